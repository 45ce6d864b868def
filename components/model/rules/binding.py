"""Rules on gateways: what a mirroring or receiving route is bound to must exist and let its requests in."""

from collections.abc import Iterator
from typing import Final

from .attaching import admits
from .gateways import labels, selects, translates
from .lookups import Lookup
from .objects import KubeObject, exported, service_name
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem
from .routes import MESH

GATEWAY_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/gateway/"
ROUTES: Final = ("VirtualService", "HTTPRoute", "GRPCRoute")


def _gateways(case: Case, subject: KubeObject) -> list[str]:
    """Gateways that a mirroring or receiving object is bound to; none for any other object."""
    routes = case.mesh.concerned(case.cluster).get(subject, [])
    return list(dict.fromkeys(name for route in routes for name in route.gateways if name != MESH))


def _place(subject: KubeObject) -> str:
    return "spec.gateways" if subject.kind == "VirtualService" else "spec.parentRefs"


@object_rule(
    kinds=ROUTES,
    rule_id="gateway-undefined",
    settings=("complete",),
    title="The gateway of a route exists",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A route on a gateway that nobody defines is nowhere: requests get 404, for gRPC status 12.",
    source=GATEWAY_REFERENCE,
    remedy="Define the Gateway, or correct its namespace/name",
)
def gateway_undefined(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report gateways that are named but not defined."""
    for name in _gateways(case, subject) if case.cluster.complete else ():
        if not case.cluster.gateways.named(name):
            refused = case.cluster.gateways.refused(name)
            message = f"Gateway {name} is refused" if refused else f"no Gateway {name} is defined"
            yield problem(subject, _place(subject), message)


@object_rule(
    kinds=ROUTES,
    rule_id="gateway-host",
    finds_by=(Lookup.LISTENERS,),
    title="The gateway lets the route's hosts in",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="Requests for a host that none of the gateway's servers lists get 404 before any route is looked at.",
    source=GATEWAY_REFERENCE,
    remedy="Add the host to the servers of the Gateway",
)
def gateway_host(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report hosts that none of the route's gateways takes."""
    listeners = case.cluster.listeners
    names = _gateways(case, subject)
    if not names or any(name in listeners.unknown or not case.cluster.gateways.named(name) for name in names):
        return
    routes = [route for route in case.mesh.concerned(case.cluster)[subject] if set(names) & set(route.gateways)]
    hosts = dict.fromkeys(host for route in routes for host in route.hosts_at(names[0]))
    served = {
        host: any(listener.gateway in names for listener in case.cluster.listener_index.overlapping(host))
        for host in hosts
    }
    for host in hosts:
        # Flagger adds the Service's own name to the hosts of every VirtualService, those of gateways included.
        inside = service_name(host) and (MESH in routes[0].bound or any(served.values()))
        if not inside and not served[host]:
            yield problem(subject, "spec.hosts", f"{host} is let in by none of {', '.join(names)}")


@object_rule(
    kinds=ROUTES,
    rule_id="gateway-namespace",
    finds_by=(Lookup.LISTENERS,),
    title="The gateway takes routes of this namespace",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A route that a gateway may not see, or does not take, is nowhere: requests get 404, for gRPC status 12."
    " Listeners of the Gateway API take routes of their own namespace only unless told otherwise.",
    source="https://gateway-api.sigs.k8s.io/guides/multiple-ns/",
    remedy="Let the gateway take this namespace: by allowedRoutes of a listener, or by namespace/host in a server",
)
def gateway_namespace(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report gateways that do not take the route because of its namespace, or that do not see it."""
    routes = case.mesh.concerned(case.cluster).get(subject, [])
    for name in _gateways(case, subject):
        if subject.kind == "VirtualService":
            where = case.cluster.gateways.namespaces_of(name)
            if not any(exported(subject, namespace) for namespace in where):
                message = f"proxies of {name} in {', '.join(where)} do not see it"
                remedy = "Add the namespace of the gateway's pods to exportTo"
                yield problem(subject, "spec.exportTo", message, remedy=remedy)
        hosts = {host for route in routes for host in route.hosts_at(name)}
        listeners = case.cluster.listeners.by_gateway.get(name, []) if case.cluster.gateways.named(name) else []
        if listeners and all(
            admits(case.cluster, listener, subject.namespace, hosts) is False for listener in listeners
        ):
            yield problem(subject, _place(subject), f"Gateway {name} takes no routes of namespace {subject.namespace}")


@object_rule(
    kinds=ROUTES,
    rule_id="gateway-selector",
    finds_by=(Lookup.PODS,),
    title="The gateway's selector finds pods",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A Gateway that selects no proxy configures nobody.",
    source=GATEWAY_REFERENCE,
    remedy="Use the labels of the gateway's pods as selector",
)
def gateway_selector(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report Gateways whose selector meets no workload, where gateways with such labels are at hand."""
    for name in _gateways(case, subject):
        gateway = case.cluster.gateways.named(name)
        selector = labels(gateway.spec["selector"]) if gateway and gateway.kind == "Gateway" else {}
        pods = [found for workload, found in case.cluster.workloads if _is_proxy(workload, found)]
        pods = [found for found in pods if not selector.keys().isdisjoint(found)]
        if gateway and pods and not any(selects(selector, found) for found in pods):
            yield problem(gateway, "spec.selector", f"no pods have the labels {_words(selector)}")


def _is_proxy(workload: KubeObject, pods: dict[str, str]) -> bool:
    """Whether a workload is a gateway: by the container that is injected, or by the label of Istio's own charts."""
    containers = workload.spec["template"]["spec"]["containers"].elements()
    return pods.get("istio", "pilot") != "pilot" or any(each["name"].text() == "istio-proxy" for each in containers)


def _words(selector: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))


@object_rule(
    kinds=ROUTES,
    rule_id="gateway-port-closed",
    finds_by=(Lookup.PODS, Lookup.LISTENERS),
    title="The gateway's Service opens the port that the gateway listens on",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="The Service of Istio's gateway chart opens 15021, 80 and 443 only; other ports must be added.",
    source="https://istio.io/latest/docs/setup/additional-setup/gateway/",
    remedy="Add the port to the gateway's Service",
)
def gateway_port_closed(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report listeners whose port none of the gateway's Services forwards to.

    For a Service's own port Istio listens on its target port, unless the Service asks it not to.
    """
    for name in _gateways(case, subject):
        gateway = case.cluster.gateways.named(name)
        services = case.cluster.gateways.services_of(gateway) if gateway else []
        nodes = [node for service in services for node in service.spec["ports"].elements()]
        opened = {node["targetPort" if node["targetPort"].given else "port"].integer() for node in nodes}
        translated = [service for service in services if translates(service)]
        opened |= {node["port"].integer() for service in translated for node in service.spec["ports"].elements()}
        named = any(node["targetPort"].text() for node in nodes)
        for listener in case.cluster.listeners.by_gateway.get(name, ()) if services and not named else ():
            if listener.port not in opened:
                place = listener.node["port"]
                yield problem(listener.source, place, f"{services[0]} does not open port {listener.port}")


RULES: Final[tuple[Rule, ...]] = (
    gateway_undefined,
    gateway_host,
    gateway_namespace,
    gateway_selector,
    gateway_port_closed,
)
