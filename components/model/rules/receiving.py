"""Rules on the far side: what a cross-cluster mirror meets in the cluster that it is sent to."""

from collections.abc import Iterator
from typing import Final

from ..annotations import CONTRACT
from ..istio import AuthorityMode
from .braking import missing_brakes
from .clusters import ClusterObjects
from .gateways import HTTP_PROTOCOLS, Listener
from .lookups import Lookup
from .mirror_entries import MirrorEntry
from .policies import Policy, faulty
from .reach import Reach, Side, reach
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .routes import MESH, Route, authority_form

RELEASE_NOTES: Final = "https://istio.io/latest/news/releases/1.28.x/announcing-1.28/change-notes/"
MODES: Final = {
    AuthorityMode.PRESERVED: "Istio >= 1.28 keeps the client's authority",
    AuthorityMode.SUFFIXED: "Istio <= 1.27 appends -shadow",
}


def remote(case: Case, mirror_entry: MirrorEntry) -> Reach | None:
    """Where a mirror leads, when that is another cluster at hand."""
    found = reach(case.mesh, case.cluster, mirror_entry.route, mirror_entry.target)
    return found if found.side is Side.REMOTE and found.clusters else None


def taken(cluster: ClusterObjects, authority: str) -> list[Route]:
    """Gateway routes for an authority, on gateways that let it in or that are not at hand."""
    found: list[Route] = []
    for route in cluster.route_index.covering(authority):
        for name in route.gateways:
            if name == MESH:
                continue
            unknown = name in cluster.listeners.unknown or not cluster.gateways.named(name)
            listeners = cluster.listeners.by_gateway.get(name, ())
            if unknown or any(listener.takes(authority) for listener in listeners):
                found.append(route)
                break
    return found


def missed(case: Case, mirror_entry: MirrorEntry, found: Reach) -> dict[AuthorityMode, list[str]]:
    """Authorities that none of the clusters routes, by the mode in which they occur."""
    return case.mesh.once(("missed", mirror_entry), lambda: _missed(mirror_entry, found))


def _missed(mirror_entry: MirrorEntry, found: Reach) -> dict[AuthorityMode, list[str]]:
    lost: dict[AuthorityMode, list[str]] = {}
    for mode in AuthorityMode:
        for authority in mirror_entry.route.authorities:
            form = authority_form(authority, mode)
            if not any(taken(cluster, form) for cluster in found.clusters):
                lost.setdefault(mode, []).append(form)
    return lost


@mirror_rule(
    rule_id="receiver-no-route",
    title="The receiver routes what a mirror carries as authority",
    severity=Severity.ERROR,
    scope=Scope.CLUSTERS,
    why="A copy carries the client's authority, never the target's name. What nobody routes gets 404, or for gRPC"
    " status 12 under HTTP 200, and the sender sees nothing of it.",
    source=f"Measured; {RELEASE_NOTES}",
    remedy="List both forms, the host and the host with -shadow, in the receiver's Gateway and VirtualService",
)
def no_route(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report authorities in force that the receiver does not route."""
    found = remote(case, mirror_entry)
    lost = missed(case, mirror_entry, found) if found else {}
    for mode in case.cluster.authority_modes:
        if found and mode in lost:
            where = " or ".join(cluster.name for cluster in found.clusters)
            message = f"{where} has no route for {', '.join(lost[mode])}: {MODES[mode]}"
            yield problem(mirror_entry.source, mirror_entry.node, message)


@mirror_rule(
    rule_id="receiver-single-form",
    title="The receiver is ready for the other form of the authority",
    severity=Severity.WARNING,
    scope=Scope.CLUSTERS,
    why="The form is a switch of the whole control plane: the next upgrade or a compatibility setting turns it, and"
    " every mirror stops arriving without an error.",
    source=f"Measured; {RELEASE_NOTES}",
    remedy="List both forms, the host and the host with -shadow, in the receiver's Gateway and VirtualService",
)
def single_form(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report authorities of the mode that is not in force."""
    found = remote(case, mirror_entry)
    lost = missed(case, mirror_entry, found) if found else {}
    for mode in AuthorityMode:
        if mode in lost and mode not in case.cluster.authority_modes:
            yield problem(
                mirror_entry.source, mirror_entry.node, f"{', '.join(lost[mode])} would not be routed: {MODES[mode]}"
            )


@mirror_rule(
    rule_id="receiver-target-name",
    title="The receiver does not route the target's name in place of the authority",
    severity=Severity.WARNING,
    scope=Scope.CLUSTERS,
    why="Copies never carry the target's name as authority, so that route never matches and hides the missing one.",
    source="Measured.",
    remedy="Route the authority that clients use at the sender, in both forms",
)
def target_name(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report receiving routes for the target's name."""
    found = remote(case, mirror_entry)
    host = mirror_entry.target.host
    if not found or host in mirror_entry.route.carried:
        return
    for cluster in found.clusters:
        for route in cluster.route_index.exactly(host):
            if route.source.kind != "VirtualService" or any(name != MESH for name in route.gateways):
                yield problem(route.source, "spec.hosts", f"{host} is no authority that a copy carries")
                break


def listeners_of(case: Case, mirror_entry: MirrorEntry, found: Reach) -> list[tuple[ClusterObjects, Listener]]:
    """Listeners of the receivers that let some form of the mirror's authority in."""
    return case.mesh.once(("inlets", mirror_entry), lambda: _inlets(mirror_entry, found))


def _inlets(mirror_entry: MirrorEntry, found: Reach) -> list[tuple[ClusterObjects, Listener]]:
    entered: dict[int, tuple[ClusterObjects, Listener]] = {}
    for cluster in found.clusters:
        for form in mirror_entry.route.carried:
            for listener, _ in cluster.arrivals(form):
                entered[id(listener)] = (cluster, listener)
    return list(entered.values())


@mirror_rule(
    rule_id="receiver-port",
    finds_by=(Lookup.LISTENERS,),
    title="The receiver's gateway listens where the mirror is sent",
    severity=Severity.ERROR,
    scope=Scope.CLUSTERS,
    why="A connect to a port that nobody listens on fails at the mirror only.",
    source="https://istio.io/latest/docs/reference/config/networking/gateway/",
    remedy="Use one port in ServiceEntry, mirror destination, Gateway server and the gateway's Service",
)
def receiver_port(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors to a port that the receiver's listeners do not have."""
    found = remote(case, mirror_entry)
    entered = listeners_of(case, mirror_entry, found) if found else []
    if not found or found.port is None or not entered:
        return
    ports = {port for cluster, listener in entered for port in _outside(cluster, listener)}
    if found.port not in ports:
        known = ", ".join(str(port) for port in sorted(ports))
        cluster, listener = entered[0]
        message = (
            f"copies go to port {found.port}, but {listener.source} in {cluster.name} is reached on {known or 'none'}"
        )
        yield problem(mirror_entry.source, mirror_entry.destination, message)


def _outside(cluster: ClusterObjects, listener: Listener) -> set[int]:
    """Ports by which a listener is reached: its own, and those that the gateway's Services map to it."""
    ports = {listener.port}
    for service in cluster.gateways.services_of(listener.source):
        for node in service.spec["ports"].elements():
            if node["targetPort"].integer() == listener.port:
                ports.add(node["port"].integer())
    return {port for port in ports if port is not None}


def _at_port(found: Reach, entered: list[tuple[ClusterObjects, Listener]]) -> list[tuple[ClusterObjects, Listener]]:
    return [(cluster, listener) for cluster, listener in entered if found.port in _outside(cluster, listener)]


@mirror_rule(
    rule_id="receiver-protocol",
    finds_by=(Lookup.LISTENERS,),
    title="The receiver's listener takes requests",
    severity=Severity.ERROR,
    scope=Scope.CLUSTERS,
    why="A listener for TCP or for TLS that is passed through sees no authority, so no route of requests applies.",
    source="https://istio.io/latest/docs/reference/config/networking/gateway/",
    remedy="Give the server protocol GRPC, HTTP2, HTTP, or HTTPS with TLS that ends there",
)
def receiver_protocol(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report listeners that do not read requests."""
    found = remote(case, mirror_entry)
    for _, listener in _at_port(found, listeners_of(case, mirror_entry, found)) if found else ():
        through = listener.tls_mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH")
        if listener.protocol not in HTTP_PROTOCOLS or through:
            what = f"{listener.protocol} {listener.tls_mode}".strip()
            message = f"it speaks {what}, but copies of {mirror_entry.source} from {case.cluster.name} are requests"
            yield problem(listener.source, listener.node, message)


@mirror_rule(
    rule_id="receiver-tls",
    finds_by=(Lookup.LISTENERS,),
    title="Sender and receiver agree on TLS",
    severity=Severity.ERROR,
    scope=Scope.CLUSTERS,
    why="Plain text at a TLS listener, TLS at a plain one, a server name that no server lists, or a missing client"
    " certificate: each ends the connection, at the mirror only.",
    source="https://istio.io/latest/docs/ops/configuration/traffic-management/tls-configuration/",
    remedy="Give the target's DestinationRule the TLS mode of the receiver's server, and an sni among its hosts",
)
def receiver_tls(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report TLS settings of the sender that the receiver's listener does not take."""
    found = remote(case, mirror_entry)
    entered = _at_port(found, listeners_of(case, mirror_entry, found)) if found else []

    def misfit(sent: Policy) -> str:
        faults = [_tls_fault(sent, listener, mirror_entry) for _, listener in entered]
        return faults[0] if all(faults) else ""

    for _, sent, fault in faulty(case.cluster, mirror_entry.route, mirror_entry.target, misfit) if entered else ():
        said = sent.source("tls") if sent.tls_mode else None
        yield problem(said or mirror_entry.source, sent.setting("tls") if said else mirror_entry.destination, fault)
        return


def _tls_fault(sent: Policy, listener: Listener, mirror_entry: MirrorEntry) -> str:
    mode = "" if sent.tls_mode == "DISABLE" else sent.tls_mode
    ends = listener.tls_mode
    where = f"{listener.source} in {listener.source.cluster}"
    if not ends:
        return f"it sends TLS ({mode}), but {where} takes plain text" if mode else ""
    if ends in ("PASSTHROUGH", "AUTO_PASSTHROUGH"):
        return ""
    if not mode:
        return f"it sends plain text, but {where} wants TLS ({ends})"
    given = sent.setting("tls", "sni").text()
    # Without a name of its own a connection carries the authority of the copy.
    names = [given] if given else mirror_entry.route.carried
    strange = [name for name in names if not listener.takes(name)]
    if strange:
        return f"its server name {strange[0]} is not among the hosts of {where}"
    if "MUTUAL" in ends and "OPTIONAL" not in ends and mode == "SIMPLE":
        return f"it shows no certificate, but {where} wants one ({ends})"
    return ""


@mirror_rule(
    rule_id="receiver-contract",
    title="Both clusters were rendered from one contract",
    severity=Severity.ERROR,
    scope=Scope.CLUSTERS,
    why="A contract that was changed on one side only leaves mirrors unrouted or unscrubbed.",
    source="The digests that MirroredService and MirrorReceiver write as annotations.",
    remedy="Deploy both stacks from the same contract",
)
def receiver_contract(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report contracts that the receiver does not have."""
    found = remote(case, mirror_entry)
    name = mirror_entry.name
    digest = mirror_entry.source.annotation(f"{CONTRACT}{name}") if name else ""
    if found and digest and not any(digest in cluster.contract_digests for cluster in found.clusters):
        theirs = {known[:12] for cluster in found.clusters for known in cluster.contract_digests}
        message = f"contract {digest[:12]} is not at the receiver, which has {', '.join(sorted(theirs)) or 'none'}"
        yield problem(mirror_entry.source, f"metadata.annotations.{CONTRACT}{name}", message)


@mirror_rule(
    rule_id="receiver-no-limits",
    finds_by=(Lookup.LISTENERS,),
    title="The receiver bounds what copies may cost it",
    severity=Severity.WARNING,
    scope=Scope.CLUSTERS,
    why="Copies of production traffic arrive at an environment that was not sized for it.",
    source="https://istio.io/latest/docs/tasks/traffic-management/circuit-breaking/",
    remedy="Give the service behind the receiving route a DestinationRule with connectionPool limits",
)
def receiver_no_limits(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report receiving services without limits."""
    found = remote(case, mirror_entry)
    for cluster in found.clusters if found else ():
        routes = {id(route): route for form in mirror_entry.route.carried for _, route in cluster.arrivals(form)}
        for route in routes.values():
            for target in route.primaries:
                lacking = [name for _, _, names in faulty(cluster, route, target, _missing_limits) for name in names]
                if lacking:
                    message = (
                        f"nothing limits what copies cost {target.host}: it lacks {', '.join(dict.fromkeys(lacking))}"
                    )
                    yield problem(route.source, target.node, message)


def _missing_limits(found: Policy) -> list[str]:
    return [name for name in missing_brakes(found) if "limit" in name]


RULES: Final[tuple[Rule, ...]] = (
    no_route,
    single_form,
    target_name,
    receiver_port,
    receiver_protocol,
    receiver_tls,
    receiver_contract,
    receiver_no_limits,
)
