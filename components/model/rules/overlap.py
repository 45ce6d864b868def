"""Whether two route entries may take the same request."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Final

from .nodes import Node
from .sites import Route

_NOTHING: Final = Node(None)
_NARROWING: Final = ("headers", "withoutHeaders", "without_headers", "queryParams", "query_params")
_ANY_CASE: Final = ("ignoreUriCase", "ignore_uri_case")
_TEXTS: Final = ("method", "authority", "scheme")


def may_clash(first: Route, second: Route) -> bool:
    """Whether a gateway may take either of two entries of VirtualServices for a request.

    Which of two objects it asks first is up to chance, but it asks those that take everything last. Source:
    SortVHostRoutes of Istio's pilot.
    """
    return any(
        _takes_all(one) is _takes_all(other) and not _apart(one, other)
        for one, other in product(_conditions(first), _conditions(second))
    )


class _Condition:
    """What one match asks for; a delegated entry's is completed by that of the delegating one."""

    def __init__(self, parts: Sequence[Node]) -> None:
        self._parts = parts

    def __getitem__(self, key: str) -> Node:
        return next((node for part in self._parts if (node := part[key]).given), _NOTHING)


def _conditions(route: Route) -> list[_Condition]:
    lists = [entry["match"].elements() or [_NOTHING] for entry in (route.entry, route.outer)]
    return [_Condition(parts) for parts in product(*lists)]


def _takes_all(condition: _Condition) -> bool:
    path = condition["uri"]
    anywhere = not path.given or path["prefix"].text() == "/" or path["regex"].text() == ".*"
    return anywhere and not any(condition[key].given for key in (*_NARROWING, *_TEXTS))


def _apart(one: _Condition, other: _Condition) -> bool:
    """Whether no request meets both conditions, as far as plain texts tell."""
    ports = one["port"].integer(), other["port"].integer()
    if None not in ports and ports[0] != ports[1]:
        return True
    if _paths_apart(one, other) or any(_differ(one[key], other[key]) for key in _TEXTS):
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


def _paths_apart(one: _Condition, other: _Condition) -> bool:
    fold = str.lower if any(each[key].value for each in (one, other) for key in _ANY_CASE) else str
    exact, start = (fold(one["uri"][kind].text()) for kind in ("exact", "prefix"))
    other_exact, other_start = (fold(other["uri"][kind].text()) for kind in ("exact", "prefix"))
    if exact and other_exact:
        return exact != other_exact
    if exact or other_exact:
        return bool(start or other_start) and not (exact or other_exact).startswith(start or other_start)
    return bool(start and other_start) and not (start.startswith(other_start) or other_start.startswith(start))
