"""The objects of an overlay: patches of other people's routes, and how the mirrors are reached."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..istio import IstioVersion
from ..jsontypes import JsonObject, JsonValue
from ..mirrors import CrossClusterMirror, Mirror, matched
from ..overlay import (
    FIRST_OVERLAY_ISTIO,
    GatewayHosts,
    OverlayRoute,
    Place,
    WaypointService,
    mirrors_at,
    places,
)
from ..routing import GatewayRef
from ..safety import Scrub, Waiver
from .condition import aimed, condition
from .envoy_filter import cluster_options, header_mutations, policy_options
from .objects import compact, home, istio_object, selecting
from .virtual_service import mirror_notes

PRIORITY = 10
"""After EnvoyFilters that replace lists of mirrors, whose priority is 0 unless somebody set it."""

REFERENCED = "envoyfilter.istio.io/referenced-services"
"""Annotation that gives a waypoint, or a gateway that knows only what its routes name, the clusters of the mirrors.
Source: convertToEnvoyFilterWrapper of Istio's pilot."""

_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
_HTTP_CONNECTIONS = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def overlay_filters(route: OverlayRoute) -> dict[str, JsonObject]:
    """One EnvoyFilter in the root namespace for gateways and sidecars, and one for each waypoint, by a name for each.

    That for a gateway that is known lies in the gateway's namespace instead, for its pods alone.
    They change no route but for a header and a mirror policy more, which the owner's updates pass through.
    """
    shared = [each for each in places(route) if not isinstance(each[1], WaypointService)]
    at_waypoints = [each for each in places(route) if isinstance(each[1], WaypointService)]
    filters: dict[str, JsonObject] = {}
    if route.gateway:
        at_gateway = [each for each in shared if isinstance(each[1], GatewayHosts)]
        shared = [each for each in shared if not isinstance(each[1], GatewayHosts)]
        if route.mirrors:
            filters["envoy-filter-gateway"] = _gateway_filter(route, route.gateway, at_gateway)
    if any(mirrors_at(route, place) for _, place, _ in shared):
        filters["envoy-filter"] = _root_filter(route, shared)
    at_waypoints.sort(key=_waypoint)
    for waypoint, group in groupby(at_waypoints, key=_waypoint):
        found = [each for each in group if mirrors_at(route, each[1])]
        if found:
            filters["-".join(("envoy-filter", *waypoint))] = _waypoint_filter(route, waypoint, found)
    return filters


def _waypoint(numbered: tuple[int, Place, str]) -> tuple[str, str]:
    place = numbered[1]
    return (place.waypoint_namespace, place.waypoint) if isinstance(place, WaypointService) else ("", "")


def _root_filter(route: OverlayRoute, hung: Sequence[tuple[int, Place, str]]) -> JsonObject:
    spec: JsonObject = {"priority": PRIORITY, "configPatches": _patches(route, hung)}
    name = f"{route.namespace}-{route.name}-overlay"
    return istio_object("EnvoyFilter", name, str(route.root_namespace), spec, _notes(route, route.mirrors))


def _gateway_filter(route: OverlayRoute, gateway: GatewayRef, hung: Sequence[tuple[int, Place, str]]) -> JsonObject:
    patches = _patches(route, hung)
    spec: JsonObject = {"priority": PRIORITY, **selecting(gateway.labels), "configPatches": patches}
    name = f"{route.namespace}-{route.name}-gateway-overlay"
    return istio_object("EnvoyFilter", name, str(gateway.namespace), spec, _notes(route, route.mirrors))


def _patches(route: OverlayRoute, hung: Sequence[tuple[int, Place, str]]) -> list[JsonValue]:
    patches: list[JsonValue] = []
    for number, place, name in hung:
        patches += _route_patches(route, number, place, name)
    contexts = dict.fromkeys(_context(place) for _, place, _ in hung)
    for context in contexts:
        patches += _brakes(route, context)
    return patches


def _context(place: Place) -> str:
    return "GATEWAY" if isinstance(place, GatewayHosts) else "SIDECAR_OUTBOUND"


def _route_patches(route: OverlayRoute, number: int, place: Place, name: str) -> Iterator[JsonObject]:
    # Not by the virtual host's name at a gateway: hosts with equal routes share one, called after the first of them.
    at_gateway = isinstance(place, GatewayHosts)
    host: JsonObject = {"domainName": place.domain or name} if at_gateway else {"name": f"{name}:{int(place.port)}"}
    hosts = [name] if at_gateway else []
    mirrors = mirrors_at(route, place)
    if not mirrors:
        return
    for chosen in route.routes or ("",):
        # Without the action a redirect would get an action of a forwarding route too, and Envoy refuses all routes.
        target = compact({"name": chosen, "action": "ROUTE"})
        value = _aim(route, mirrors, number, hosts)
        yield {
            "applyTo": "HTTP_ROUTE",
            "match": {
                "context": _context(place),
                "proxy": {"proxyVersion": proxies_from(FIRST_OVERLAY_ISTIO)},
                "routeConfiguration": {"vhost": {**host, "route": target}},
            },
            "patch": {
                "operation": "MERGE",
                "value": {**value, "route": {"request_mirror_policies": _policies(route, place, number)}},
            },
        }


def proxies_from(version: IstioVersion) -> str:
    """Regular expression of the versions of proxies from a release line on: older ones would leave fields out."""
    tens, ones = divmod(version.minor, 10)
    return rf"^1\.({tens}[{ones}-9]|[{tens + 1}-9][0-9])\b"


def _aim(route: OverlayRoute, mirrors: Sequence[Mirror], number: int, hosts: Sequence[str]) -> JsonObject:
    headers: list[JsonValue] = [
        {
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            "header": {
                "key": route.aim_header(mirror, number),
                "value": aimed(
                    condition(matched(mirror, route.protocol), route.marks, hosts), mirror.destination().cluster_name
                ),
            },
        }
        for mirror in mirrors
    ]
    # Whoever sent it: a client must not choose where copies go.
    forged: list[JsonValue] = [route.aim_header(mirror, number) for mirror in mirrors]
    return {"request_headers_to_remove": forged, "request_headers_to_add": headers}


def _policies(route: OverlayRoute, place: Place, number: int) -> list[JsonValue]:
    return [_policy(route, mirror, place, number) for mirror in mirrors_at(route, place)]


def _policy(route: OverlayRoute, mirror: Mirror, place: Place, number: int) -> JsonObject:
    off: list[JsonValue] = [
        {"remove": route.aim_header(each, other)}
        for other, beside, _ in places(route)
        if isinstance(beside, type(place))
        for each in mirrors_at(route, beside)
    ]
    scrub = header_mutations(mirror.scrub) if isinstance(mirror.scrub, Scrub) else []
    return {
        "cluster_header": route.aim_header(mirror, number),
        **policy_options(mirror, route.istio),
        "request_headers_mutations": [*off, *scrub],
    }


def _brakes(route: OverlayRoute, context: str) -> Iterator[JsonObject]:
    for mirror in route.mirrors:
        if isinstance(mirror.brakes, Waiver) or (context != "GATEWAY" and isinstance(mirror, CrossClusterMirror)):
            continue
        yield {
            "applyTo": "CLUSTER",
            "match": {"context": context, "cluster": {"name": mirror.destination().cluster_name}},
            "patch": {"operation": "MERGE", "value": cluster_options(mirror.brakes, route.protocol, None)},
        }


def _waypoint_filter(
    route: OverlayRoute, waypoint: tuple[str, str], hung: Sequence[tuple[int, Place, str]]
) -> JsonObject:
    """Patches of the connection manager: Istio runs patches of routes on no waypoint whose Service has a route."""
    namespace, gateway = waypoint
    patches: list[JsonValue] = []
    for number, place, name in hung:
        if not isinstance(place, WaypointService):
            continue
        mirrors = mirrors_at(route, place)
        routes = {**_aim(route, mirrors, number, ()), "request_mirror_policies": _policies(route, place, number)}
        options: JsonObject = {"@type": f"type.googleapis.com/{_HTTP_CONNECTIONS}", "route_config": routes}
        chain = f"inbound-vip|{int(place.port)}|http|{name}"
        listener: JsonObject = {"filterChain": {"name": chain, "filter": {"name": _CONNECTION_MANAGER}}}
        patches.append(
            {
                "applyTo": "NETWORK_FILTER",
                "match": {
                    "context": "SIDECAR_INBOUND",
                    "proxy": {"proxyVersion": proxies_from(FIRST_OVERLAY_ISTIO)},
                    "listener": listener,
                },
                "patch": {"operation": "MERGE", "value": {"name": _CONNECTION_MANAGER, "typed_config": options}},
            }
        )
    patches += _brakes(route, "SIDECAR_OUTBOUND")
    reference: JsonObject = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}
    spec: JsonObject = {"priority": PRIORITY, "targetRefs": [reference], "configPatches": patches}
    name = f"{route.namespace}-{route.name}-{gateway}-overlay"
    return istio_object("EnvoyFilter", name, namespace, spec, _notes(route, mirrors_at(route, hung[0][1])))


def _notes(route: OverlayRoute, mirrors: Sequence[Mirror]) -> JsonObject:
    targets = [mirror.destination() for mirror in mirrors]
    referenced = [f"{home(target, str(route.namespace))}/{target.host}" for target in targets]
    return {REFERENCED: ",".join(referenced), **mirror_notes(mirrors)}
