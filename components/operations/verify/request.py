"""The call that is made, and which route entries take it."""

import re
from dataclasses import dataclass

from ...model.rules import Node, Route
from ...model.rules.aiming import Asked
from ...model.rules.routes import gateway_name
from ..calls import SAY_HELLO


@dataclass(frozen=True, kw_only=True)
class Request:
    """The call that is made, as routes match it."""

    authority: str
    """With port."""

    path: str = f"/{SAY_HELLO}"
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers, names in lower case."""

    @property
    def is_grpc(self) -> bool:
        """Whether it is a gRPC call: those post, and plain requests are made by GET."""
        return self.method == "POST"

    @property
    def at_proxy(self) -> dict[str, str]:
        """Its headers as routes of a proxy match them."""
        framing = {"content-type": "application/grpc"} if self.is_grpc else {}
        return {**dict(self.headers), **framing}

    @property
    def asked(self) -> Asked:
        """The call as conditions of overlays see it."""
        return Asked(method=self.method, authority=self.authority, path=self.path, headers=self.at_proxy)

    @property
    def host(self) -> str:
        """The authority without port."""
        return self.authority.partition(":")[0]


def takes(route: Route, request: Request, gateway: str) -> bool:
    """Whether an entry takes the call, as Istio and the Gateway API define their matches."""
    if gateway not in route.gateways:
        return False
    key = "matches" if route.native else "match"
    fits = _takes_native if route.native else _takes_istio
    # What an entry delegates must fit that entry as well.
    held = [(route.outer[key].elements(), route.owner.namespace), (route.entry[key].elements(), route.source.namespace)]
    return all(not matches or any(fits(match, request, gateway, place) for match in matches) for matches, place in held)


def _takes_istio(match: Node, request: Request, gateway: str, namespace: str) -> bool:
    named = [gateway_name(each, namespace) for each in match["gateways"].texts()]
    if named and gateway not in named:
        return False
    headers = dict(request.headers)
    bare = request.path.partition("?")[0]
    return (
        _text(match["uri"], bare)
        and _text(match["method"], request.method)
        and _text(match["authority"], request.authority)
        and all(name in headers and _text(test, headers[name]) for name, test in _lowered(match["headers"]))
        and not any(_excludes(test, headers.get(name)) for name, test in _lowered(match["withoutHeaders"]))
    )


def _excludes(test: Node, value: str | None) -> bool:
    """Whether a condition of ``withoutHeaders`` keeps a request out; a missing header is an empty one, as for ``.*``.

    Source: TranslateRouteMatch of Istio's pilot, which sets treat_missing_header_as_empty.
    """
    if not test.entries() or test["regex"].text() == "*":
        return value is not None
    return _text(test, value or "")


def _lowered(node: Node) -> list[tuple[str, Node]]:
    return [(name.lower(), test) for name, test in node.entries()]


def _text(test: Node, value: str) -> bool:
    """Istio's StringMatch; nothing given matches anything."""
    if test["regex"].given:
        return _matches(test["regex"].text(), value)
    exact, prefix = test["exact"], test["prefix"]
    return (not exact.given or value == exact.text()) and (not prefix.given or value.startswith(prefix.text()))


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True


def _takes_native(match: Node, request: Request, _gateway: str, _namespace: str) -> bool:
    service, _, method = request.path.lstrip("/").rpartition("/")
    rpc = match["method"]
    if rpc["service"].given or rpc["method"].given:
        return rpc["service"].text(service) == service and rpc["method"].text(method) == method
    value = match["path"]["value"].text()
    kind = match["path"]["type"].text("PathPrefix")
    bare = request.path.partition("?")[0]
    fits = {"Exact": bare == value, "PathPrefix": bare.startswith(value), "RegularExpression": _matches(value, bare)}
    if match["path"].given and not fits.get(kind, True):
        return False
    headers = dict(request.headers)
    return (not rpc.given or rpc.text(request.method) == request.method) and all(
        headers.get(test["name"].text().lower()) == test["value"].text() for test in match["headers"].elements()
    )
