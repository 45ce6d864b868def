"""Which mirrors there are to verify: read from the live objects of the cluster that owns the traffic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...model import ValidationError
from ...model.rules import ClusterObjects, KubeObject, Site
from ...model.rules.gateways import labels, selects, service_addresses
from ...model.rules.hosts import covers
from ...model.rules.objects import service_name
from ...model.rules.sites import ANNOTATION, MESH, Route
from ...model.safety import CREDENTIAL_HEADERS, Scrub
from ..errors import OperationError
from .facts import Wanted
from .request import Request, takes

GRPC_PROTOCOLS: Final = ("GRPC", "HTTP2", "HTTPS", "TLS")
"""Protocols of a Gateway's server by which calls are taken for gRPC unless a path is named."""

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


@dataclass(frozen=True, kw_only=True)
class Target:
    """One mirror to verify, and where its copies can be seen."""

    wanted: Wanted
    host: str
    """Host that copies are sent to."""

    port: int
    workload: Workload | None
    """Pods that get the copies; None when they are not known."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is to be verified with one kind of call."""

    route: str
    """The object that routes the calls, for people."""

    request: Request
    gateway: GatewayPlace
    primary: str
    """Name of the primary's cluster in proxies."""

    targets: tuple[Target, ...]
    receiver: GatewayPlace | None = None
    """The other cluster's gateway; None when there is none that takes the copies."""


def mirrored_hosts(cluster: ClusterObjects) -> list[tuple[str, KubeObject]]:
    """Hosts at gateways whose calls are mirrored, or that have notes of a mirror at rest, with their route objects."""
    found: dict[tuple[str, str], tuple[str, KubeObject]] = {}
    noted = {id(source) for source in cluster.of("VirtualService") if _notes(source)}
    mirrored = {id(site.route.owner) for site in cluster.routing.sites}
    for route in cluster.routing.routes:
        if id(route.owner) in noted | mirrored and any(gateway != MESH for gateway in route.gateways):
            for host in route.hosts:
                found.setdefault((host, str(route.owner)), (host, route.owner))
    return list(found.values())


def choose_host(cluster: ClusterObjects, wanted: str) -> tuple[str, KubeObject]:
    """The host to call.

    Args:
        cluster: Objects of the cluster that owns the traffic.
        wanted: The host that the user named; empty when there must be one only.

    Raises:
        ValidationError: There is none, or several and none is named.
    """
    found = mirrored_hosts(cluster)
    chosen = [each for each in found if wanted in ("", each[0])]
    if len(chosen) == 1:
        return chosen[0]
    if wanted and not chosen:
        # Somebody may have expected a mirror and its route may be what is missing.
        for route in cluster.route_index.covering(wanted):
            return wanted, route.owner
    names = ", ".join(dict.fromkeys(host for host, _ in found)) or "none"
    raise ValidationError(
        field="--host",
        value=wanted or None,
        rule=f"must name one host whose calls are mirrored at a gateway of {cluster.name}; there are: {names}",
        remedy="Give one of them, or deploy the mirror first",
    )


def make_plan(staging: ClusterObjects, testing: ClusterObjects | None, request: Request, source: KubeObject) -> Plan:
    """Read from the live objects what is to be verified.

    Args:
        staging: Objects of the cluster that owns the traffic.
        testing: Those of the cluster that gets copies; None when only mirrors inside the cluster are verified.
        request: The call; an authority without port gets the gateway's.
        source: The route object that takes it.

    Raises:
        OperationError: No entry takes the call, or the gateway's pods cannot be found.
    """
    routes = [each for each in staging.routing.routes if each.owner == source and request.host in each.hosts]
    bound = [gateway for each in routes for gateway in each.gateways if gateway != MESH]
    if not bound:
        raise OperationError(
            f"{source} routes {request.host} for callers inside the mesh only",
            remedy="Verify a host that is called at a gateway",
        )
    gateway = _gateway(staging, bound[0], request.host)
    if ":" not in request.authority:
        request = replace(request, authority=f"{request.authority}:{gateway.port}")
    entry = next((each for each in routes if takes(each, request, bound[0])), None)
    if entry is None:
        raise OperationError(
            f"No entry of {source} takes {request.method} {request.path}",
            remedy="Name a call that it routes with --rpc or --path",
        )
    sites = staging.routing.of_route(entry)
    targets = [_target(staging, testing, source, site) for site in sites]
    targets += _at_rest(source, {target.wanted.cluster for target in targets})
    receiver = _receiver(testing, targets, request) if testing else None
    if receiver is not None and testing is not None:
        targets = [replace(t, workload=receiver[1]) if t.wanted.across else t for t in targets]
    return Plan(
        route=str(source),
        request=request,
        gateway=gateway,
        primary=next((target.cluster_name for target in entry.primaries), ""),
        targets=tuple(targets),
        receiver=receiver[0] if receiver else None,
    )


def _notes(source: KubeObject) -> dict[str, str]:
    """Cluster names of the mirrors that this library rendered, by name; those at 0 per cent included."""
    prefix = f"{ANNOTATION}/mirror."
    entries = source.root["metadata"]["annotations"].entries()
    return {key.removeprefix(prefix): note.text() for key, note in entries if key.startswith(prefix)}


def _target(staging: ClusterObjects, testing: ClusterObjects | None, source: KubeObject, site: Site) -> Target:
    target = site.target
    service = staging.service(target.host)
    across = service is None and service_name(target.host) is None
    name = site.name or target.host.partition(".")[0] + (f"-{target.subset}" if target.subset else "")
    scrub = Scrub()
    # Only what this library rendered promises a scrub; a stranger's mirror is not held against our defaults.
    rendered = bool(site.name) and not site.waiver("scrub")
    at_source = staging.istio is None or staging.istio.scrubs_at_source
    mark, removed = _written_scrub(staging, target.cluster_name) or (
        (scrub.mark_header, scrub.mark_value),
        frozenset(CREDENTIAL_HEADERS),
    )
    percent = site.percent
    return Target(
        wanted=Wanted(
            name=name,
            cluster=target.cluster_name,
            percent=100.0 if percent is None else percent,
            across=across,
            mark=mark if rendered else None,
            removed=removed if rendered and at_source else frozenset(),
        ),
        host=target.host,
        port=target.port or 0,
        workload=_workload(staging, target.host, target.subset),
    )


def _written_scrub(staging: ClusterObjects, cluster: str) -> tuple[tuple[str, str], frozenset[str]] | None:
    """Mark and removed headers as an EnvoyFilter of this library writes them for a mirror; None when none does."""
    for source in staging.of("EnvoyFilter"):
        for patch in source.spec["configPatches"].elements():
            for policy in patch["patch"]["value"]["route"]["request_mirror_policies"].elements():
                if policy["cluster"].text() != cluster:
                    continue
                mutations = policy["request_headers_mutations"].elements()
                removed = frozenset(each["remove"].text() for each in mutations if each["remove"].given)
                marks = [each["append"]["header"] for each in mutations if each["append"].given]
                if marks:
                    return (marks[0]["key"].text(), marks[0]["value"].text()), removed
    return None


def _at_rest(source: KubeObject, rendered: Iterable[str]) -> list[Target]:
    """Mirrors that have a note and no entry: their share is 0."""
    found: list[Target] = []
    for name, cluster in _notes(source).items():
        if cluster and cluster not in rendered:
            _, port, _, host = [*cluster.split("|", 3), "", "", ""][:4]
            across = service_name(host) is None
            wanted = Wanted(name=name, cluster=cluster, percent=0.0, across=across, mark=None)
            found.append(Target(wanted=wanted, host=host, port=int(port or 0), workload=None))
    return found


def _workload(cluster: ClusterObjects, host: str, subset: str) -> Workload | None:
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


def _gateway(cluster: ClusterObjects, name: str, host: str) -> GatewayPlace:
    gateway = cluster.gateway(name)
    if gateway is None:
        raise OperationError(
            f"The gateway {name} of {cluster.name} does not exist", remedy="Deploy it, or correct the route's gateways"
        )
    selector = labels(gateway.spec["selector"])
    workload = next((each for each, pods in cluster.workloads if selects(selector, pods)), None)
    if workload is None:
        raise OperationError(
            f"No workload of {cluster.name} has the pods of the gateway {name}",
            remedy="Check the Gateway's selector, and that its Deployment is there",
        )
    services = cluster.services_of(gateway)
    addresses = sorted({address for service in services for address in service_addresses(service)})
    ports = [
        listener.port
        for listener in cluster.listeners.known
        if listener.gateway == name and listener.port and any(covers(pattern, host) for pattern in listener.hosts)
    ]
    return GatewayPlace(
        name=name,
        pods=Workload(namespace=workload.namespace, labels=tuple(sorted(selector.items()))),
        addresses=tuple(addresses),
        port=ports[0] if ports else 80,
    )


def _receiver(
    testing: ClusterObjects, targets: Sequence[Target], request: Request
) -> tuple[GatewayPlace, Workload | None] | None:
    """The gateway that should take the copies: one that takes the call's host, else the one that listens there."""
    across = [target for target in targets if target.wanted.across]
    if not across:
        return None
    for authority in (request.host, f"{request.host}-shadow"):
        for listener, route in testing.arrivals(authority):
            return _gateway(testing, listener.gateway, authority), _primary_workload(testing, route)
    # Nothing takes the host, which may be just what is wrong; the gateway on that port is still the one to ask.
    for listener in testing.listeners.known:
        if listener.port == across[0].port:
            return _gateway(testing, listener.gateway, listener.hosts[0] if listener.hosts else "*"), None
    return None


def _primary_workload(cluster: ClusterObjects, route: Route) -> Workload | None:
    """Pods behind a route; of several entries of its object the first that answers by a Service."""
    for each in cluster.routing.routes:
        if each.owner == route.owner:
            for target in each.primaries:
                if target.host and (found := _workload(cluster, target.host, target.subset)):
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


def is_grpc(cluster: ClusterObjects, plan: GatewayPlace) -> bool:
    """Whether the gateway's server on that port is for gRPC or HTTP/2."""
    protocols: Mapping[int | None, str] = {
        each.port: each.protocol for each in cluster.listeners.known if each.gateway == plan.name
    }
    return protocols.get(plan.port, "") in GRPC_PROTOCOLS
