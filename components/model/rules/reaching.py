"""Which proxies an EnvoyFilter reaches, whether they have routes that it is for or not.

Written after EnvoyFilters and ShouldAttachPolicy of Istio's pilot, and held against istiod itself.
"""

from collections.abc import Iterator
from typing import Final

from ..render.overlay import REFERENCED
from .clusters import ClusterObjects
from .envoy import GATEWAY, INBOUND, WAYPOINT, Patch
from .gateways import WAYPOINT_CLASS
from .nodes import Node
from .objects import KubeObject, is_ambient, service_name
from .placements import refusable
from .ports import carries_http, port_number
from .routes import MESH, ROUTE, Route
from .waypoints import is_for, services_behind

DEFAULT: Final = "default"
"""Name of the routes that proxies have of Services by themselves, and of all that they take in."""


def sidecars_reached(cluster: ClusterObjects, patch: Patch) -> list[str]:
    """Namespaces in which a patch may reach sidecars: pods that its labels choose need not be at hand."""
    place = patch.source.namespace
    if patch.targets:
        return []
    everywhere = cluster.namespaces - {cluster.root_namespace} or {place}
    found = sorted(everywhere) if place == cluster.root_namespace else [place]
    return [each for each in found if not is_ambient(cluster.find("Namespace", "default", each))]


def gateways_reached(cluster: ClusterObjects, patch: Patch) -> list[KubeObject]:
    """Gateways whose pods a patch may reach; no waypoints."""
    return [each for each in cluster.of("Gateway", "KubernetesGateway") if _reaches_gateway(cluster, patch, each)]


def _reaches_gateway(cluster: ClusterObjects, patch: Patch, gateway: KubeObject) -> bool:
    name = f"{gateway.namespace}/{gateway.name}"
    if _is_waypoint(gateway):
        return False
    if patch.targets:
        return gateway.kind != "Gateway" and ("Gateway", name) in patch.targets
    near = patch.source.namespace in (cluster.root_namespace, *cluster.gateways.namespaces_of(name))
    return near and cluster.gateways.chooses_gateway(patch.selector, name) is not False


def proxies_at_hand(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether some proxy that a patch surely reaches is among the objects at hand."""
    return _sidecars_at_hand(cluster, patch) or _gateways_at_hand(cluster, patch) or reaches_waypoint(cluster, patch)


def all_at_hand(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether of each kind of proxy that a patch is for some that it surely reaches are among the objects at hand."""
    context = patch.match["context"].text("ANY")
    if patch.targets:
        return _gateways_at_hand(cluster, patch) or reaches_waypoint(cluster, patch)
    return (context not in ("ANY", GATEWAY) or _gateways_at_hand(cluster, patch)) and (
        context == GATEWAY or _sidecars_at_hand(cluster, patch)
    )


def _sidecars_at_hand(cluster: ClusterObjects, patch: Patch) -> bool:
    near = set(sidecars_reached(cluster, patch)) & cluster.namespaces
    return any(cluster.gateways.chooses_sidecars(patch.selector, each) for each in near)


def _gateways_at_hand(cluster: ClusterObjects, patch: Patch) -> bool:
    return any(
        cluster.gateways.has_pods_of(f"{each.namespace}/{each.name}") for each in gateways_reached(cluster, patch)
    )


def reaches_waypoint(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether a patch reaches some waypoint, for which it must name it or, in the root namespace, its class."""
    return bool(_waypoints_reached(cluster, patch))


def _waypoints_reached(cluster: ClusterObjects, patch: Patch) -> list[KubeObject]:
    waypoints = filter(_is_waypoint, cluster.of("KubernetesGateway"))
    return [each for each in waypoints if is_for(cluster, patch.source, f"{each.namespace}/{each.name}")]


def _meets_waypoint(cluster: ClusterObjects, patch: Patch, port: int) -> bool:
    """Whether a waypoint that a patch reaches has routes of a Service by itself at a port.

    Those of a Service that some route is for are never patched. Source: buildWaypointInboundHTTPRouteConfig of Istio's
    pilot.
    """
    for waypoint in _waypoints_reached(cluster, patch):
        for each in services_behind(cluster, f"{waypoint.namespace}/{waypoint.name}"):
            nodes = each.service.spec["ports"].elements()
            numbers = [port_number(node) for node in nodes if carries_http(each.service, node)]
            if port in numbers and not _is_routed(cluster, each.host, port):
                return True
    return False


def _is_routed(cluster: ClusterObjects, host: str, port: int) -> bool:
    """Whether the waypoint of a Service has some route for it at a port."""
    outlets = (placed.outlet for each in _mesh_routes(cluster, host) for placed in refusable(cluster, each))
    return any(each.context == WAYPOINT and each.port == port and host in each.hosts for each in outlets)


def _mesh_routes(cluster: ClusterObjects, host: str) -> Iterator[Route]:
    """Routes of the mesh that are for a host, but for those that are refused."""
    return (each for each in cluster.route_index.covering(host) if MESH in each.bound and not cluster.refuses(each))


def told_to_waypoint(cluster: ClusterObjects, waypoint: str, host: str) -> bool:
    """Whether an EnvoyFilter for a waypoint lists a host in the annotation that makes it known there.

    Source: ExtraWaypointServices of Istio's pilot.
    """
    name = service_name(host)
    wanted = {host, f"{name[1]}/{host}"} if name else {host}
    listing = [
        each for each in cluster.of("EnvoyFilter") if not wanted.isdisjoint(each.annotation(REFERENCED).split(","))
    ]
    return any(is_for(cluster, each, waypoint) for each in listing)


def asks_for_default(match: Node) -> bool:
    """Whether the routes that proxies have by themselves are among those that the match of a patch is for."""
    wanted = match.at("routeConfiguration", "vhost", "route")
    return wanted["name"].text(DEFAULT) == DEFAULT and wanted["action"].text("ANY") in ("ANY", ROUTE)


def meets_inbound(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether a patch of routes is for a virtual host where proxies take requests in, whatever routes it asks for.

    What is for one port of a pod, or for one configuration by its name, is not judged; what is for one of a waypoint's
    Services is.
    """
    match = patch.match["routeConfiguration"]
    host = match["vhost"]
    if patch.match["context"].text("ANY") not in ("ANY", INBOUND):
        return False
    if match["name"].text() or host["name"].text() or host["domainName"].text("*") != "*":
        return False
    if port := match["portNumber"].integer():
        return _meets_waypoint(cluster, patch, port)
    return bool(sidecars_reached(cluster, patch)) or reaches_waypoint(cluster, patch)


def _is_waypoint(gateway: KubeObject) -> bool:
    return gateway.kind == "KubernetesGateway" and gateway.spec["gatewayClassName"].text() == WAYPOINT_CLASS
