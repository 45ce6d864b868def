"""Whether two route entries may take the same request."""

from collections.abc import Callable
from itertools import product
from typing import Final

from .conditions import TEXTS_BESIDE_PATH, Condition, all_conditions
from .nodes import Node
from .routes import Route

_ANY_CASE: Final = "ignoreUriCase"


def may_clash(first: Route, second: Route) -> bool:
    """Whether a gateway may take either of two entries of VirtualServices for a request.

    Which of two objects it asks first is up to chance, but it asks those that take everything last. Source:
    SortVHostRoutes of Istio's pilot.
    """
    return any(
        one.takes_all is other.takes_all and not _apart(one, other)
        for one, other in product(all_conditions(first), all_conditions(second))
    )


def _apart(one: Condition, other: Condition) -> bool:
    """Whether no request meets both conditions, as far as plain texts tell."""
    ports = one["port"].integer(), other["port"].integer()
    if None not in ports and ports[0] != ports[1]:
        return True
    if _paths_apart(one, other) or any(_differ(one[key], other[key]) for key in TEXTS_BESIDE_PATH):
        return True
    return any(
        _differ(mine, theirs)
        for key, fold in (("headers", str.lower), ("queryParams", str))
        for name, mine in _named(one[key], fold).items()
        if (theirs := _named(other[key], fold).get(name))
    )


def _named(node: Node, fold: Callable[[str], str]) -> dict[str, Node]:
    return {fold(name): value for name, value in node.entries()}


def _differ(mine: Node, theirs: Node) -> bool:
    texts = mine["exact"].text(), theirs["exact"].text()
    return all(texts) and texts[0] != texts[1]


def _paths_apart(one: Condition, other: Condition) -> bool:
    fold = str.lower if any(each[_ANY_CASE].value for each in (one, other)) else str
    exact, start = (fold(one["uri"][kind].text()) for kind in ("exact", "prefix"))
    other_exact, other_start = (fold(other["uri"][kind].text()) for kind in ("exact", "prefix"))
    if exact and other_exact:
        return exact != other_exact
    if exact or other_exact:
        return bool(start or other_start) and not (exact or other_exact).startswith(start or other_start)
    return bool(start and other_start) and not (start.startswith(other_start) or other_start.startswith(start))
