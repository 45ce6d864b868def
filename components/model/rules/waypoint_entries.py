"""Services that gateways send requests to by way of a waypoint, whose mirrors then take what came in at a gateway.

Waypoints themselves send to no other waypoint. Source: findServiceWaypoint and ingressUseWaypointFromLabels of Istio's
pilot.
"""

from collections.abc import Callable, Iterator
from typing import Final

from .clusters import ClusterObjects
from .gateways import labels
from .routes import MESH, ROUTE, Route, Target
from .waypoints import waypoint_of

_INGRESS: Final = "istio.io/ingress-use-waypoint"
_TRUE: Final = ("1", "t", "true")


def waypoint_of_gateways(cluster: ClusterObjects, host: str) -> str:
    """The waypoint that gateways send a Service's requests to, as ``namespace/name``; empty for none."""
    service = cluster.service(host)
    if not service:
        return ""
    space = cluster.find("Namespace", "default", service.namespace)
    own, around = (labels(each.root["metadata"]["labels"]) if each else {} for each in (service, space))
    if own.get(_INGRESS, around.get(_INGRESS, "")).lower() not in _TRUE:
        return ""
    return waypoint_of(cluster, service.namespace, service)


def entering(cluster: ClusterObjects, host: str) -> list[Route]:
    """Entries at gateways whose requests, or copies of these, pass the waypoint of a Service."""
    if not waypoint_of_gateways(cluster, host):
        return []
    return cluster.once(("entering", host), lambda: list(sending(cluster, lambda each: each == host)))


def sending(cluster: ClusterObjects, takes_in: Callable[[str], bool]) -> Iterator[Route]:
    """Entries at gateways that send requests, or copies of these, to one of some hosts."""
    for route in cluster.routing.routes:
        at_gateway = route.action == ROUTE and set(route.gateways) - {MESH}
        if at_gateway and any(takes_in(each.host) for each in _sent(cluster, route)):
            yield route


def _sent(cluster: ClusterObjects, route: Route) -> Iterator[Target]:
    yield from route.primaries
    yield from (each.target for each in cluster.routing.of_route(route) if not each.disabled)


def at_waypoint(cluster: ClusterObjects, host: str) -> list[Route]:
    """Entries that the waypoint of a Service has; none where nothing but the Service says where requests go."""
    return [route for route in cluster.route_index.exactly(host) if MESH in route.gateways]
