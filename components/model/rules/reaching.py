"""Which proxies an EnvoyFilter reaches, whether they have routes that it is for or not.

Written after EnvoyFilters and ShouldAttachPolicy of Istio's pilot, and held against istiod itself.
"""

from .clusters import ClusterObjects
from .envoy import Patch
from .gateways import WAYPOINT_CLASS
from .objects import KubeObject, is_ambient
from .ports import carries_http, port_number


def sidecars_reached(cluster: ClusterObjects, patch: Patch) -> list[str]:
    """Namespaces in which a patch may reach sidecars."""
    place = patch.source.namespace
    if patch.targets:
        return []
    everywhere = cluster.namespaces - {cluster.root_namespace} or {place}
    found = sorted(everywhere) if place == cluster.root_namespace else [place]
    return [each for each in found if _has_sidecars(cluster, patch, each)]


def _has_sidecars(cluster: ClusterObjects, patch: Patch, namespace: str) -> bool:
    ambient = is_ambient(cluster.find("Namespace", "default", namespace))
    return not ambient and cluster.gateways.chooses_sidecars(patch.selector, namespace) is not False


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
    near = set(sidecars_reached(cluster, patch)) & cluster.namespaces
    return (
        any(cluster.gateways.chooses_sidecars(patch.selector, each) for each in near)
        or reaches_waypoint(cluster, patch)
        or any(
            cluster.gateways.has_pods_of(f"{each.namespace}/{each.name}") for each in gateways_reached(cluster, patch)
        )
    )


def reaches_waypoint(cluster: ClusterObjects, patch: Patch, port: int | None = None) -> bool:
    """Whether a patch reaches some waypoint, for which it must name it or, in the root namespace, its class.

    With ``port`` one in whose namespace a Service has that port.
    """
    for each in cluster.of("KubernetesGateway"):
        of_class = ("GatewayClass", f"{cluster.root_namespace}/{WAYPOINT_CLASS}")
        wanted = (("Gateway", f"{each.namespace}/{each.name}"), of_class)
        near = port is None or any(
            port == port_number(node) and carries_http(service, node)
            for service in cluster.of("Service")
            if service.namespace == each.namespace
            for node in service.spec["ports"].elements()
        )
        if near and _is_waypoint(each) and any(target in wanted for target in patch.targets):
            return True
    return False


def _is_waypoint(gateway: KubeObject) -> bool:
    return gateway.kind == "KubernetesGateway" and gateway.spec["gatewayClassName"].text() == WAYPOINT_CLASS
