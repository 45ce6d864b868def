"""The order in which Istio asks the rules of the Gateway API's routes, which is not the order they are written in."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from .conditions import Condition
from .nodes import Node
from .routes import Route

_RANKS: Final = {"Exact": 3, "PathPrefix": 2, "RegularExpression": 1}
_EVERYTHING: Final = Node({"path": {"type": "PathPrefix", "value": "/"}})
"""What the API server writes into an HTTPRoute's rule without matches."""

_NOTHING: Final = Node({})
"""Stands for the match of a GRPCRoute's rule that has none: it is asked last, even after an empty match."""

_EMPTY: Final = Node({})
"""An empty match, which such a rule gets where its parent is one port of a Service. Source: augmentPortMatch."""


class NativeCondition(Condition):
    """What one match of an HTTPRoute or GRPCRoute asks for."""

    def __init__(self, match: Node, *, rpc: bool, port: Node) -> None:
        super().__init__([(Node({"port": port.value} if port.given else {}), "")])
        self.match, self._rpc = match, rpc

    def precedes(self, other: "NativeCondition") -> bool | None:
        """Whether a proxy asks it first for all that the other asks for; None where the age of both routes decides."""
        if not self.takes_all and self.match.value != other.match.value:
            return False
        return None if self.order == other.order else self.order < other.order

    @cached_property
    def takes_all(self) -> bool:
        """Whether a proxy stops at it, because it takes every request."""
        match = self.match
        return _path_takes_all(match, rpc=self._rpc) and not (
            (not self._rpc and match["method"].given) or match["headers"].elements() or match["queryParams"].elements()
        )

    @property
    def order(self) -> tuple[int, int, bool, int, int]:
        """What it is sorted by: the most particular first. Source: sortHTTPRoutes of Istio's pilot."""
        rank, length = _path_rank(self.match, rpc=self._rpc)
        method = not self._rpc and self.match["method"].given
        headers, query = self.match["headers"].elements(), self.match["queryParams"].elements()
        return -rank, -length, not method, -len(headers), -len(query)


def native_order(routes: Sequence[Route], *, of_port: bool) -> list[tuple[Route, Condition]]:
    """Every rule once for each of its matches, in the order in which a proxy asks them.

    Args:
        routes: The rules of one object.
        of_port: Whether it is asked by callers of one port of a Service.
    """
    found = [(route, each) for route in routes for each in native_conditions(route, of_port=of_port)]
    found.sort(key=lambda each: each[1].order)
    return list(found)


def native_conditions(route: Route, *, of_port: bool = False) -> list[NativeCondition]:
    """What the matches of a rule ask for; of one without matches what stands in for them."""
    rpc = route.source.kind == "GRPCRoute"
    without = (_EMPTY if of_port else _NOTHING) if rpc else _EVERYTHING
    matches = route.entry["matches"].elements() or [without]
    return [NativeCondition(match, rpc=rpc, port=Node(None)) for match in matches]


def _path_takes_all(match: Node, *, rpc: bool) -> bool:
    if rpc:
        return not match["method"].given
    path = match["path"]
    kind, value = path["type"].text("PathPrefix"), path["value"].text("/")
    return (kind == "PathPrefix" and value == "/") or (kind == "RegularExpression" and value == ".*")


def _path_rank(match: Node, *, rpc: bool) -> tuple[int, int]:
    if not rpc:
        path = match["path"]
        return _RANKS.get(path["type"].text("PathPrefix"), -1), len(path["value"].text("/"))
    method = match["method"]
    if match is _NOTHING:
        return -2, 0
    if not method.given:
        return -1, 0
    service, name = method["service"].text(), method["method"].text()
    if not service:
        return _RANKS["RegularExpression"], len(f"/[^/]+/{name}")
    if method["type"].text("Exact") != "Exact":
        return _RANKS["RegularExpression"], len(f"/{service}/{name or '.+'}")
    return _RANKS["Exact" if name else "PathPrefix"], len(f"/{service}/{name}")
