"""Which mirrors there are to verify: read from the live objects of the cluster that owns the traffic."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto, unique

from ...model import ValidationError
from ...model.annotations import MIRROR
from ...model.credentials import CREDENTIAL_HEADERS
from ...model.rules import ClusterObjects, KubeObject, Mesh, MirrorEntry
from ...model.rules.envoy import GATEWAY
from ...model.rules.hosts import covers
from ...model.rules.objects import service_name
from ...model.rules.reach import Reach, Side, reach
from ...model.rules.routes import MESH, Route
from ...model.safety import Scrub
from ..errors import OperationError
from .facts import Hung, Wanted
from .overlaid import HungMirror, hung_hosts, hung_mirrors, routes_of
from .places import GatewayPlace, Workload, gateway_place, version_of, workload_behind, workload_of
from .promises import promised_brakes, scrub_of, written_scrub
from .request import Request, takes


@dataclass(frozen=True, kw_only=True)
class Target:
    """One mirror to verify, and where its copies can be seen."""

    wanted: Wanted
    workload: Workload | None = None
    """Pods that get the copies; None when they are not known."""


@dataclass(frozen=True, kw_only=True)
class MeshCall:
    """A call that sidecars make, and what they should copy of it."""

    authority: str
    """With port."""

    routes: str
    """Name of the sidecars' route configuration that takes it."""

    clusters: tuple[str, ...]
    """Names that the mirrors' clusters have in proxies."""


@unique
class Sender(Enum):
    """Which proxies send the copies."""

    GATEWAY = auto()
    SIDECARS = auto()
    """Those of all callers, whoever they are."""
    WAYPOINT = auto()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is to be verified with one kind of call."""

    route: str
    """The object that routes the calls, for people."""

    sender: str
    """Name of the cluster that owns the traffic."""

    request: Request
    gateway: GatewayPlace
    """The gateway or waypoint that sends; of sidecars no pods, as they are everybody's."""

    primaries: tuple[str, ...]
    """Names in proxies of the clusters that answer."""

    targets: tuple[Target, ...]
    receivers: Mapping[str, GatewayPlace] = field(default_factory=dict[str, GatewayPlace])
    """Gateways that should take copies, by name of their cluster."""

    owner: str = ""
    """VirtualService whose route should take the calls, as ``namespace/name``; empty for another kind."""

    workload: Workload | None = None
    """Pods of the primary; None when they are not known, or several answer."""

    version: str = ""
    """Version of the primary, by the label of its pods; empty when there is none, or several may answer."""

    in_mesh: bool = False
    """Whether sidecars send copies of calls to this route too."""

    mesh_calls: tuple["MeshCall", ...] = ()
    """Calls inside the mesh that the same object mirrors."""

    sent_by: Sender = Sender.GATEWAY

    routes: str = ""
    """Name of the route configuration that takes the calls in those proxies; empty where their authority tells."""

    @property
    def namespaces(self) -> frozenset[str]:
        """Namespaces of the sending cluster whose proxies take part."""
        inside = [each.workload for each in self.targets if not each.wanted.across]
        found = [self.gateway.pods, self.workload, *inside]
        return frozenset(each.namespace for each in found if each is not None)


def mirrored_hosts(cluster: ClusterObjects) -> list[tuple[str, KubeObject]]:
    """Hosts at gateways whose calls are mirrored, or that have notes of a mirror at rest, with their route objects."""
    found: dict[tuple[str, str], tuple[str, KubeObject]] = {}
    noted = {id(source) for source in cluster.of("VirtualService") if _notes(source)}
    mirrored = {id(mirror_entry.route.owner) for mirror_entry in cluster.routing.mirror_entries}
    for route in cluster.routing.routes:
        if id(route.owner) in noted | mirrored and any(gateway != MESH for gateway in route.gateways):
            for host in route.hosts:
                found.setdefault((host, str(route.owner)), (host, route.owner))
    for host, owner in hung_hosts(cluster):
        found.setdefault((host, str(owner)), (host, owner))
    return list(found.values())


def _enters(route: Route, request: Request) -> bool:
    """Whether an entry takes the call at some gateway."""
    return any(takes(route, request, gateway) for gateway in route.gateways if gateway != MESH)


def choose_host(cluster: ClusterObjects, wanted: str, request: Request) -> tuple[str, KubeObject]:
    """The host to call, and the object that routes the call.

    Args:
        cluster: Objects of the cluster that owns the traffic.
        wanted: The host that the user named; empty when there must be one only.
        request: The call, of any authority: several objects may route one host.

    Raises:
        ValidationError: There is none, or several and none is named.
    """
    found = mirrored_hosts(cluster)
    chosen = [each for each in found if wanted in ("", each[0])]
    if len({host for host, _ in chosen}) == 1:
        call = replace(request, authority=chosen[0][0])
        taken = {id(route.owner) for route in routes_of(cluster, call.host) if _enters(route, call)}
        return next((each for each in chosen if id(each[1]) in taken), chosen[0])
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


def make_plan(
    staging: ClusterObjects, receiving: Sequence[ClusterObjects], request: Request, source: KubeObject
) -> Plan:
    """Read from the live objects what is to be verified.

    Args:
        staging: Objects of the cluster that owns the traffic.
        receiving: Those of the clusters that get copies; none when only mirrors inside the cluster are verified.
        request: The call; an authority without port gets the gateway's.
        source: The route object that takes it.

    Raises:
        OperationError: No entry takes the call, or the gateway's pods cannot be found.
    """
    owned = [each for each in staging.routing.routes if each.owner == source]
    routes = [each for each in owned if any(covers(pattern, request.host) for pattern in each.hosts)]
    bound = [gateway for each in routes for gateway in each.gateways if gateway != MESH]
    if not bound:
        raise OperationError(
            f"{source} routes {request.host} for callers inside the mesh only",
            remedy="Verify a host that is called at a gateway",
        )
    gateway = gateway_place(staging, bound[0], request.host)
    if ":" not in request.authority:
        request = replace(request, authority=f"{request.authority}:{gateway.port}")
    entry = next((each for each in routes if takes(each, request, bound[0])), None)
    if entry is None:
        raise OperationError(
            f"No entry of {source} takes {request.method} {request.path}",
            remedy="Name a call that it routes with --rpc or --path",
        )
    mesh = Mesh(clusters=[staging, *receiving])
    targets = [
        _target(mesh, staging, request, mirror_entry, gateway.pods.namespace)
        for mirror_entry in staging.routing.of_route(entry)
    ]
    targets += _at_rest(source, {target.wanted.cluster for target in targets})
    for hung in hung_mirrors(staging, entry, request, gateway.pods.namespace):
        added = hung_target(mesh, staging, request, hung, (GATEWAY, gateway.pods.namespace))
        if added.wanted.name in {each.wanted.name for each in targets}:
            added = replace(added, wanted=replace(added.wanted, name=f"{hung.filter}/{added.wanted.name}"))
        targets.append(added)
    receivers: dict[str, GatewayPlace] = {}
    for cluster in receiving:
        theirs = [target for target in targets if target.wanted.receiver == cluster.name]
        found = _receiver(cluster, theirs, request)
        if found is not None:
            receivers[cluster.name] = found[0]
            targets = [replace(each, workload=found[1]) if each in theirs else each for each in targets]
    primaries = entry.primaries
    alone = primaries[0] if len(primaries) == 1 else None
    workload = workload_of(staging, alone.host, alone.subset) if alone else None
    return Plan(
        route=str(source),
        sender=staging.name,
        owner=f"{source.namespace}/{source.name}" if source.kind == "VirtualService" else "",
        request=request,
        gateway=gateway,
        primaries=tuple(dict.fromkeys(each.cluster_name for each in primaries)),
        targets=tuple(targets),
        receivers=receivers,
        workload=workload,
        version=version_of(staging, workload) if workload else "",
        in_mesh=any(MESH in each.gateways for each in owned),
        mesh_calls=tuple(_mesh_calls(staging, owned, request)),
    )


def _mesh_calls(cluster: ClusterObjects, routes: Sequence[Route], request: Request) -> Iterator[MeshCall]:
    """What sidecars should copy of the same call, for each host that they know the route by."""
    for host in dict.fromkeys(host for each in routes if MESH in each.gateways for host in each.hosts):
        here = [each for each in routes if MESH in each.gateways and host in each.hosts]
        port = next((target.port for each in here for target in each.primaries if target.port), None)
        if port is None or cluster.service(host) is None:
            continue
        call = replace(request, authority=f"{host}:{port}")
        entry = next((each for each in here if takes(each, call, MESH)), None)
        mirror_entries = cluster.routing.of_route(entry) if entry else []
        copied = tuple(mirror_entry.target.cluster_name for mirror_entry in mirror_entries if not mirror_entry.disabled)
        if copied:
            yield MeshCall(authority=call.authority, routes=str(port), clusters=copied)


def _notes(source: KubeObject) -> dict[str, str]:
    """Cluster names of the mirrors that this library rendered, by name; those at 0 per cent included."""
    prefix = MIRROR
    entries = source.root["metadata"]["annotations"].entries()
    return {key.removeprefix(prefix): note.text() for key, note in entries if key.startswith(prefix)}


def _target(mesh: Mesh, staging: ClusterObjects, request: Request, mirror_entry: MirrorEntry, namespace: str) -> Target:
    target = mirror_entry.target
    found = reach(mesh, staging, mirror_entry.route, target)
    across = found.side is Side.REMOTE
    name = mirror_entry.name or target.host.partition(".")[0] + (f"-{target.subset}" if target.subset else "")
    scrub = Scrub()
    # Only what this library rendered promises a scrub; a stranger's mirror is not held against our defaults.
    rendered = bool(mirror_entry.name) and not mirror_entry.waiver("scrub")
    at_source = staging.istio.scrubs_at_source if staging.istio else staging.patches_all("HTTP_ROUTE")
    mark, removed = written_scrub(staging, target.cluster_name) or (
        (scrub.mark_header, scrub.mark_value),
        frozenset(CREDENTIAL_HEADERS),
    )
    percent = mirror_entry.percent
    promised = bool(mirror_entry.name) and not mirror_entry.waiver("brakes")
    duration, requests = promised_brakes(staging, mirror_entry.route, target, (GATEWAY, namespace), promised=promised)
    return Target(
        wanted=Wanted(
            name=name,
            cluster=target.cluster_name,
            percent=100.0 if percent is None else percent,
            across=across,
            grpc=request.is_grpc,
            mark=mark if rendered else None,
            removed=removed if rendered and at_source else frozenset(),
            rewrite=mirror_entry.route.authority_rewrite,
            max_duration_seconds=duration,
            max_requests=requests,
            receiver=_receiver_name(staging, found),
        ),
        workload=workload_of(staging, target.host, target.subset),
    )


def hung_target(
    mesh: Mesh, staging: ClusterObjects, request: Request, hung: HungMirror, sender: tuple[str, str]
) -> Target:
    """What is wanted of a mirror that an EnvoyFilter hangs on routes.

    Args:
        mesh: All clusters.
        staging: The one that owns the traffic.
        request: The call.
        hung: The mirror.
        sender: Kind and namespace of the proxies that send it.
    """
    mirror, target, entry = hung.mirror, hung.target, hung.entry
    found = reach(mesh, staging, entry, target)
    rendered = bool(mirror.name) and not mirror.waiver("scrub")
    mark, removed = scrub_of(mirror.node) or (None, frozenset[str]())
    promised = bool(mirror.name) and not mirror.waiver("brakes")
    duration, requests = promised_brakes(staging, entry, target, sender, promised=promised, own=mirror.addition.source)
    return Target(
        wanted=Wanted(
            name=mirror.name or target.host.partition(".")[0],
            cluster=mirror.cluster,
            percent=100.0 if mirror.policy.percent is None else mirror.policy.percent,
            across=found.side is Side.REMOTE,
            grpc=request.is_grpc,
            mark=mark if rendered else None,
            removed=removed if rendered else frozenset(),
            rewrite=entry.authority_rewrite,
            max_duration_seconds=duration,
            max_requests=requests,
            receiver=_receiver_name(staging, found),
            hung=Hung(source=str(mirror.addition.source), header=mirror.header, routes=hung.routes),
        ),
        workload=workload_of(staging, target.host, target.subset),
    )


def _receiver_name(staging: ClusterObjects, found: Reach) -> str:
    if found.side is not Side.REMOTE:
        return staging.name
    return found.clusters[0].name if len(found.clusters) == 1 else ""


def _at_rest(source: KubeObject, rendered: Iterable[str]) -> list[Target]:
    """Mirrors that have a note and no entry: their share is 0."""
    found: list[Target] = []
    for name, cluster in _notes(source).items():
        if cluster and cluster not in rendered:
            across = service_name(cluster.rpartition("|")[2]) is None
            found.append(Target(wanted=Wanted(name=name, cluster=cluster, percent=0.0, across=across, mark=None)))
    return found


def _receiver(
    cluster: ClusterObjects, targets: Sequence[Target], request: Request
) -> tuple[GatewayPlace, Workload | None] | None:
    """The gateway that should take the copies: one that takes the call's host, else the one that listens there."""
    if not targets:
        return None
    for authority in (request.host, f"{request.host}-shadow"):
        for listener, route in cluster.arrivals(authority):
            return gateway_place(cluster, listener.gateway, authority), workload_behind(cluster, route)
    # Nothing takes the host, which may be just what is wrong; the gateway on that port is still the one to ask.
    ports = {target.wanted.cluster.split("|")[1] for target in targets}
    for listener in cluster.listeners.known:
        if str(listener.port) in ports:
            return gateway_place(cluster, listener.gateway, listener.hosts[0] if listener.hosts else "*"), None
    return None


def expecting(plan: Plan, expected: Mapping[str, float]) -> Plan:
    """Return the plan with other shares than the routes say.

    Args:
        plan: As read from the routes.
        expected: Shares in per cent by name of the mirror.

    Raises:
        ValidationError: There is no such mirror.
    """
    names = [target.wanted.name for target in plan.targets]
    for name in expected:
        if name not in names:
            raise ValidationError(
                field="--expect",
                value=name,
                rule=f"must name a mirror of {plan.route}; it has: {', '.join(names) or 'none'}",
                remedy="Check the name, or deploy the mirror first",
            )
    targets = tuple(
        replace(t, wanted=replace(t.wanted, percent=expected.get(t.wanted.name, t.wanted.percent)))
        for t in plan.targets
    )
    return replace(plan, targets=targets)


def address_of(plan: Plan) -> str:
    """``host:port`` where the gateway is called.

    Raises:
        ValidationError: Its Service has no address.
    """
    if not plan.gateway.addresses:
        raise ValidationError(
            field="--gateway",
            value=None,
            rule=f"must be given, because the Service of {plan.gateway.name} has no address",
            remedy="Give HOST:PORT by which this machine reaches the gateway, e.g. of a port-forward",
        )
    address = plan.gateway.addresses[0]
    return f"[{address}]:{plan.gateway.port}" if ":" in address else f"{address}:{plan.gateway.port}"
