"""What the matches of a route entry ask for, those of a delegating entry included."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Final

from .nodes import Node
from .routes import Route

_NOTHING: Final = Node(None)
_NARROWING: Final = ("headers", "withoutHeaders", "queryParams")
_TEXTS: Final = ("uri", "scheme", "method", "authority")
_OF_SENDERS: Final = frozenset({"port", "gateways", "sourceNamespace", "sourceLabels"})
_LIMITING: Final = frozenset({*_NARROWING, *_TEXTS})
_ANYTHING: Final = frozenset({".*", "^.*", ".*$", "^.*$"})
"""Regular expressions that every text meets, the empty one as well."""

TEXTS_BESIDE_PATH: Final = ("method", "authority", "scheme")


class Condition:
    """What one match asks for; a delegated entry's is completed by that of the delegating one.

    Attributes:
        parts: The matches, the delegated entry's first, each with the namespace that its gateways' names start from.
    """

    def __init__(self, parts: Sequence[tuple[Node, str]]) -> None:
        self.parts = parts

    def __getitem__(self, key: str) -> Node:
        return next((node for part, _ in self.parts if (node := part[key]).given), _NOTHING)

    @cached_property
    def name(self) -> str:
        """The name that a route of this match adds to its entry's."""
        return "-".join(name for part, _ in reversed(self.parts) if (name := part["name"].text()))

    @cached_property
    def asks_for_sender(self) -> bool:
        """Whether it says anything of who sends a request, or of the port that it comes to."""
        return any(name in _OF_SENDERS for part, _ in self.parts for name in part.names())

    @cached_property
    def unmeetable(self) -> bool:
        """Whether no request meets it: a header that is missing counts as empty, which such a pattern takes as well.

        Source: TranslateRouteMatch of Istio's pilot; measured with Envoy.
        """
        return any(
            asked["regex"].text() in _ANYTHING
            for part, _ in self.parts
            if "withoutHeaders" in part.names()
            for _, asked in part["withoutHeaders"].entries()
        )

    @cached_property
    def takes_all(self) -> bool:
        """Whether a proxy stops at it, because it takes every request. Source: IsCatchAllRoute of Istio's pilot."""
        if not any(name in _LIMITING for part, _ in self.parts for name in part.names()):
            return True
        path = self["uri"]
        anywhere = not path.given or path["prefix"].text() == "/" or path["regex"].text() == ".*"
        narrowed = any(part[key].entries() for part, _ in self.parts for key in _NARROWING)
        return anywhere and not narrowed and not any(self[key].given for key in TEXTS_BESIDE_PATH)


def conditions(route: Route) -> list[Condition] | None:
    """The matches of an Istio entry; one that asks for nothing where it has none.

    None where a delegated entry asks for something that no match of the delegating one lets through, so that Istio
    leaves it out. Source: mergeHTTPMatchRequests.
    """
    own = [(node, route.source.namespace) for node in route.entry["match"].elements()]
    outer = [(node, route.owner.namespace) for node in route.outer["match"].elements()] if route.outer.given else []
    if not own or not outer:
        return [Condition([each]) for each in own or outer] or [Condition([])]
    joined = [
        [Condition([inner, outside]) for outside in outer if not _contradicts(outside[0], inner[0])] for inner in own
    ]
    return [each for found in joined for each in found] if all(joined) else None


def all_conditions(route: Route) -> list[Condition]:
    """Every pair of matches of a delegated entry and the delegating one, whether they fit or not."""
    lists = [
        [(node, source.namespace) for node in entry["match"].elements()] or [(_NOTHING, "")]
        for source, entry in ((route.source, route.entry), (route.owner, route.outer))
    ]
    return [Condition(parts) for parts in product(*lists)]


def _contradicts(outer: Node, inner: Node) -> bool:
    """Whether a delegated match is no part of the delegating one. Source: hasConflict of Istio's pilot."""
    if any(_texts_contradict(outer[key], inner[key]) for key in _TEXTS):
        return True
    if any(_texts_contradict(outer[key][name], value) for key in _NARROWING for name, value in inner[key].entries()):
        return True
    if (outer["ignoreUriCase"].value is True) != (inner["ignoreUriCase"].value is True):
        return True
    ports = outer["port"].integer() or 0, inner["port"].integer() or 0
    return (all(ports) and ports[0] != ports[1]) or _sources_contradict(outer, inner)


def _sources_contradict(outer: Node, inner: Node) -> bool:
    namespace = outer["sourceNamespace"].text()
    if namespace and inner["sourceNamespace"].text() != namespace:
        return True
    wanted = dict(outer["sourceLabels"].entries())
    if any(key in wanted and wanted[key].text() != value.text() for key, value in inner["sourceLabels"].entries()):
        return True
    bound = outer["gateways"].texts()
    return bool(bound) and not set(inner["gateways"].texts()) <= set(bound)


def _texts_contradict(outer: Node, inner: Node) -> bool:
    """Whether what a delegated match asks of a text is not within what the delegating one asks."""
    if not outer.given or not inner.given:
        return False
    exact, prefix = outer["exact"].text(), outer["prefix"].text()
    if exact:
        return inner["exact"].text() != exact
    if prefix and not inner["regex"].text():
        within = inner["prefix"].text() or inner["exact"].text()
        return not within.startswith(prefix)
    return True
