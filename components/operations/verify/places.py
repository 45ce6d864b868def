"""Where things of a run are: workloads, gateways and control planes, read from the objects of a cluster."""

from dataclasses import dataclass
from typing import Final

from ...model.rules import ClusterObjects, KubeObject
from ...model.rules.gateways import GATEWAY_NAME, labels, native_addresses, selects, service_addresses
from ...model.rules.hosts import covers
from ...model.rules.routes import Route
from ..errors import OperationError

PROXY_CONTAINER: Final = "istio-proxy"
DISCOVERY_CONTAINER: Final = "discovery"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Pods to look at."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[str, ...] = (PROXY_CONTAINER,)
    """Containers of interest."""

    @property
    def selector(self) -> str:
        """Kubernetes' label selector."""
        return ",".join(f"{key}={value}" for key, value in self.labels)


@dataclass(frozen=True, kw_only=True)
class GatewayPlace:
    """A gateway: its pods, and how clients reach it."""

    name: str
    """``namespace/name`` of the Gateway object."""

    pods: Workload
    addresses: tuple[str, ...]
    port: int


def workload_of(cluster: ClusterObjects, host: str, subset: str) -> Workload | None:
    """Pods behind a Service, or behind a subset of it; None where it has none that are known."""
    service = cluster.service(host)
    if service is None:
        return None
    selected = labels(service.spec["selector"])
    if subset:
        for rule in cluster.destination_rules.covering(host):
            for each in rule.spec["subsets"].elements():
                if each["name"].text() == subset:
                    selected |= labels(each["labels"])
    if not selected:
        return None
    containers = tuple(
        container["name"].text()
        for each, pods in cluster.workloads
        if each.namespace == service.namespace and selects(selected, pods)
        for container in each.spec["template"]["spec"]["containers"].elements()
        if container["name"].text() != PROXY_CONTAINER
    )
    ordered = tuple(sorted(selected.items()))
    return Workload(namespace=service.namespace, labels=ordered, containers=tuple(dict.fromkeys(containers)))


def gateway_place(cluster: ClusterObjects, name: str, host: str) -> GatewayPlace:
    """The gateway of a name, and the port at which it takes a host.

    Raises:
        OperationError: It does not exist, or its pods cannot be found.
    """
    gateway = cluster.gateways.named(name)
    if gateway is None:
        raise OperationError(
            f"The gateway {name} of {cluster.name} does not exist", remedy="Deploy it, or correct the route's gateways"
        )
    selector = _pods_of(cluster, gateway)
    workload = next((each for each, pods in cluster.workloads if selects(selector, pods)), None)
    if workload is None:
        raise OperationError(
            f"No workload of {cluster.name} has the pods of the gateway {name}",
            remedy="Check the Gateway's selector, and that its Deployment is there",
        )
    addresses = {address for service in cluster.gateways.services_of(gateway) for address in service_addresses(service)}
    if gateway.kind != "Gateway":
        hosts = native_addresses(gateway)
        behind = [service for host in hosts if (service := cluster.service(host))]
        addresses = {each for service in behind for each in service_addresses(service)} or hosts
    ports = [
        listener.port
        for listener in cluster.listeners.known
        if listener.gateway == name and listener.port and any(covers(pattern, host) for pattern in listener.hosts)
    ]
    return GatewayPlace(
        name=name,
        pods=Workload(namespace=workload.namespace, labels=tuple(sorted(selector.items()))),
        addresses=tuple(sorted(addresses)),
        port=ports[0] if ports else 80,
    )


def _pods_of(cluster: ClusterObjects, gateway: KubeObject) -> dict[str, str]:
    """Labels of a gateway's pods. One of the Gateway API names a Service, or Istio deploys its pods.

    Source: https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/#deployment-methods
    """
    if gateway.kind == "Gateway":
        return labels(gateway.spec["selector"])
    for node in gateway.spec["addresses"].elements():
        if node["type"].text() == "Hostname" and (service := cluster.service(node["value"].text())):
            return labels(service.spec["selector"])
    return {GATEWAY_NAME: gateway.name}


def version_of(cluster: ClusterObjects, workload: Workload) -> str:
    """Value of the label ``version`` that all pods of a workload have; empty when they have none or several."""
    chosen = dict(workload.labels)
    found = {
        pods.get("version", "")
        for each, pods in cluster.workloads
        if each.namespace == workload.namespace and selects(chosen, pods)
    }
    return found.pop() if len(found) == 1 else ""


def workload_behind(cluster: ClusterObjects, route: Route) -> Workload | None:
    """Pods behind a route; of several entries of its object the first that answers by a Service."""
    for each in cluster.routing.routes:
        if each.owner == route.owner:
            for target in each.primaries:
                if target.host and (found := workload_of(cluster, target.host, target.subset)):
                    return found
    return None


def control_planes(cluster: ClusterObjects) -> list[Workload]:
    """Every istiod, by its container ``discovery``."""
    found: list[Workload] = []
    for each, pods in cluster.workloads:
        containers = each.spec["template"]["spec"]["containers"].elements()
        if any(container["name"].text() == DISCOVERY_CONTAINER for container in containers):
            found.append(
                Workload(
                    namespace=each.namespace, labels=tuple(sorted(pods.items())), containers=(DISCOVERY_CONTAINER,)
                )
            )
    return found
