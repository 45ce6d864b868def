"""Rules on what answers at a mirror's target: pods, addresses, and the protocol that they speak."""

from collections.abc import Iterator
from typing import Final

from .clusters import WORKLOADS, ClusterObjects
from .envoy import SIDECAR
from .gateways import labels, pod_labels, selects
from .mirror_entries import MirrorEntry
from .objects import KubeObject, is_ambient, service_name
from .policies import policies, proxies
from .ports import family, name_fault, port_nodes, port_number, port_protocol, spoken_by
from .reach import service_entry
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem

PROTOCOL_REFERENCE: Final = "https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/"


@mirror_rule(
    rule_id="mirror-protocol",
    title="The target's port speaks the primary's protocol",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="The port's protocol decides between HTTP/1.1 and HTTP/2 upstream; gRPC over HTTP/1.1 fails at the mirror only,"
    " where nobody looks.",
    source=PROTOCOL_REFERENCE,
    remedy="Set the port's protocol (ServiceEntry) or its name or appProtocol (Service) to that of the primary",
)
def protocol(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report a target port whose protocol differs from the primary's."""
    found = port_nodes(case.cluster, mirror_entry.target.host)
    ports = [node for node in found[1] if port_number(node) == mirror_entry.target.port] if found else []
    spoken = spoken_by(case.cluster, mirror_entry)
    if not found or len(ports) != 1 or not spoken:
        return
    subject, port = found[0], ports[0]
    theirs = family(port_protocol(subject, port))
    if theirs and theirs != spoken:
        carried = "HTTP/2 (gRPC)" if spoken == "http2" else "HTTP/1.1"
        said = port_protocol(subject, port)
        yield problem(
            subject,
            port,
            f"port {mirror_entry.target.port} speaks {said}, but the primary of {mirror_entry.source} speaks {carried}",
        )


@mirror_rule(
    rule_id="mirror-port-name",
    title="Ports that mirrors use say which protocol they carry",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Istio reads a Service port's protocol from its name; whoever reads a ServiceEntry takes the name for it.",
    source=PROTOCOL_REFERENCE,
    remedy="Name the port after its protocol, e.g. grpc, or set appProtocol",
)
def port_name(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report ports without a protocol in their name, or with another one than they carry."""
    spoken = spoken_by(case.cluster, mirror_entry)
    for target in (mirror_entry.target, *mirror_entry.route.primaries):
        found = port_nodes(case.cluster, target.host)
        for port in found[1] if found else ():
            if found and target.port in (None, port_number(port)):
                message = name_fault(found[0], port, spoken)
                if message:
                    yield problem(found[0], port["name"], message)


@mirror_rule(
    rule_id="mirror-target-no-pods",
    settings=("complete",),
    title="A target has pods",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="Without an endpoint a proxy drops each copy, and no client notices.",
    source="https://kubernetes.io/docs/concepts/services-networking/service/#endpointslices",
    remedy="Correct the selector or the subset's labels, or run some replicas",
)
def no_pods(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report targets whose labels no workload at hand has, and those whose workloads all have no replicas."""
    cluster, target = case.cluster, mirror_entry.target
    service = cluster.service(target.host)
    wanted = labels(service.spec["selector"]) if service else {}
    if not service or not wanted or not cluster.complete:
        return
    place = service.namespace
    near = cluster.once(("pods", place), lambda: _pods(cluster, place))
    if not near:
        return
    for namespace, labels_of_subset in _subsets(case, mirror_entry):
        chosen = wanted | labels_of_subset
        taken = [found for found, pods in near if selects(chosen, pods)]
        words = ", ".join(f"{key}={value}" for key, value in sorted(chosen.items()))
        if not taken:
            yield problem(
                mirror_entry.source, mirror_entry.destination, f"no workload of {namespace} has pods with {words}"
            )
        elif all(found.spec["replicas"].number() == 0 for found in taken):
            yield problem(mirror_entry.source, mirror_entry.destination, f"{taken[0]} has 0 replicas")
        return


def _pods(cluster: ClusterObjects, namespace: str) -> list[tuple[KubeObject, dict[str, str]]]:
    """Workloads of a namespace with the labels of their pods."""
    workloads = cluster.of(*WORKLOADS)
    return [(each, pod_labels(each)) for each in workloads if each.namespace == namespace]


def _subsets(case: Case, mirror_entry: MirrorEntry) -> Iterator[tuple[str, dict[str, str]]]:
    """Namespace of the target, and the labels that its subset asks for beside the Service's."""
    service = case.cluster.service(mirror_entry.target.host)
    place = service.namespace if service else ""
    if not mirror_entry.target.subset:
        yield place, {}
        return
    for sender in proxies(case.cluster, mirror_entry.route):
        for found in policies(case.cluster, mirror_entry.route, mirror_entry.target, sender):
            if found.subset.given:
                yield place, labels(found.subset["labels"])


@mirror_rule(
    rule_id="service-entry-without-address",
    title="A target's ServiceEntry says where it is",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="With resolution NONE, which is the default, a proxy sends to the address that the caller had connected to; a"
    " copy has none, so it goes nowhere.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/#ServiceEntry-Resolution",
    remedy="Set resolution to STATIC with endpoints, or to DNS",
)
def entry_without_address(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report ServiceEntries that leave the address to the caller, and those that have none for a mirror."""
    target = mirror_entry.target
    entry = None if service_name(target.host) else service_entry(case.cluster, target.host)
    resolution = entry.spec["resolution"].text("NONE") if entry else ""
    if entry and resolution == "NONE":
        message = f"copies to {target.host} are lost: with resolution NONE the proxy knows no address for them"
        yield problem(entry, "spec.resolution", message)
    elif entry and resolution == "STATIC" and not entry.spec["workloadSelector"].given:
        endpoints = [labels(each["labels"]) for each in entry.spec["endpoints"].elements()]
        for _, wanted in _subsets(case, mirror_entry):
            if not any(wanted.items() <= each.items() for each in endpoints):
                words = f"none has the labels of subset {target.subset!r}" if endpoints else "there is none"
                message = f"copies to {target.host} are lost: of its endpoints {words}"
                yield problem(entry, "spec.endpoints", message, remedy="Add an endpoint, with the labels of the subset")
            return


@mirror_rule(
    rule_id="mirror-target-headless",
    title="What sidecars mirror to has an address of its own",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A sidecar sends requests for a headless Service to the address that the caller had connected to; a copy has"
    " none, so it goes nowhere. A gateway chooses a pod.",
    source="Measured; https://istio.io/latest/docs/ops/configuration/traffic-management/traffic-routing/",
    remedy="Mirror to a Service with a cluster IP for the same pods",
)
def headless(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report headless Services that sidecars mirror to; what a waypoint does cannot be told."""
    service = case.cluster.service(mirror_entry.target.host)
    if not service or service.spec["clusterIP"].text() != "None":
        return
    places = [namespace for kind, namespace in proxies(case.cluster, mirror_entry.route) if kind == SIDECAR]
    if any(not is_ambient(case.cluster.find("Namespace", "default", place)) for place in places):
        message = f"copies that sidecars send to {mirror_entry.target.host} are lost: a headless Service has no address"
        yield problem(mirror_entry.source, mirror_entry.destination, message)


RULES: Final[tuple[Rule, ...]] = (protocol, port_name, no_pods, entry_without_address, headless)
