"""Mirrors that EnvoyFilters hang on Services inside the mesh: at the sidecars of callers, or at a waypoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...model import ValidationError
from ...model.rules import ClusterObjects, KubeObject, Mesh, Node, Route
from ...model.rules.additions import Addition, additions
from ...model.rules.aiming import holds
from ...model.rules.envoy import SIDECAR
from ...model.rules.gateways import GATEWAY_NAME
from ...model.rules.routes import MESH
from ...model.rules.waypoints import USE_WAYPOINT, waypoint_of
from ..errors import OperationError
from .overlaid import HungMirror
from .places import GatewayPlace, Workload, version_of, workload_of
from .plan import Plan, Sender, hung_target, mirrored_hosts
from .request import Request, takes


@dataclass(frozen=True)
class Inside:
    """A port of a Service whose requests are mirrored on their way inside the mesh."""

    host: str
    port: int
    sent_by: Sender

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


def choose_inside(cluster: ClusterObjects, wanted: str) -> Inside | None:
    """The place inside the mesh to verify; None where a host at a gateway is meant.

    Args:
        cluster: Objects of the cluster that owns the traffic.
        wanted: The host that the user named, with or without port; empty when there must be one only.

    Raises:
        ValidationError: Several are meant.
    """
    at_gateways = dict.fromkeys(host for host, _ in mirrored_hosts(cluster))
    if wanted in at_gateways or (at_gateways and not wanted):
        return None
    known = list(dict.fromkeys(place for place, _ in _hung(cluster)))
    found = [each for each in known if wanted in ("", each.host, each.authority)]
    if len(found) > 1:
        raise ValidationError(
            field="--host",
            value=wanted or None,
            rule="must name one port of one Service, mirrored at sidecars or at a waypoint; there are:"
            f" {', '.join(f'{each.authority} ({each.sent_by.name.lower()})' for each in found)}",
            remedy="Give one as HOST:PORT; where both mirror it, verify it with one overlay at a time",
        )
    return found[0] if found else None


def make_inside_plan(
    staging: ClusterObjects, receiving: Sequence[ClusterObjects], request: Request, place: Inside
) -> Plan:
    """Read from the live objects what is to be verified of requests inside the mesh.

    Args:
        staging: Objects of the cluster that owns the traffic.
        receiving: Those of the clusters that get copies.
        request: A call, as those that are watched.
        place: Where it is mirrored.

    Raises:
        OperationError: No mirror takes the call, or it cannot be told which waypoint serves the Service.
    """
    request = replace(request, authority=place.authority)
    service = staging.service(place.host)
    at_waypoint = place.sent_by is Sender.WAYPOINT
    gateway = _waypoint(staging, place, service) if at_waypoint else _callers(place)
    owned = [each for each in staging.routing.routes if MESH in each.gateways and place.host in each.hosts]
    entry = next((each for each in owned if takes(each, request, MESH)), None) or _unrouted(staging, place)
    mesh = Mesh(clusters=[staging, *receiving])
    hung: dict[str, HungMirror] = {}
    for where, addition in _hung(staging):
        if where != place:
            continue
        for mirror in addition.mirrors:
            taken = holds(mirror.condition, request.asked) if mirror.condition else None
            if mirror.target and taken is not False:
                routes = frozenset({addition.route_name} - {""})
                before = hung.get(mirror.header or mirror.cluster)
                joined = routes | before.routes if routes and before and before.routes else routes
                hung[mirror.header or mirror.cluster] = HungMirror(
                    mirror=mirror, target=mirror.target, entry=entry, routes=joined
                )
    if not hung:
        raise OperationError(
            f"No overlay on {place.authority} takes {request.method} {request.path}",
            remedy="Name a call that one takes with --rpc or --path",
        )
    sender = (SIDECAR, gateway.pods.namespace or entry.source.namespace)
    workload = workload_of(staging, place.host, "") if entry.source is service else None
    chain = f"inbound-vip|{place.port}|http|{place.host}"
    answering = [f"outbound|{place.port}||{place.host}", chain]
    for target in entry.primaries:
        answering += [target.cluster_name, f"inbound-vip|{target.port}|http|{target.host}"]
    return Plan(
        route=str(entry.source),
        sender=staging.name,
        request=request,
        gateway=gateway,
        primaries=tuple(dict.fromkeys(answering)),
        targets=tuple(hung_target(mesh, staging, request, each, sender) for each in hung.values()),
        workload=workload,
        version=version_of(staging, workload) if workload else "",
        in_mesh=not at_waypoint,
        sent_by=place.sent_by,
        routes=chain if at_waypoint else str(place.port),
    )


def _hung(cluster: ClusterObjects) -> Iterator[tuple[Inside, Addition]]:
    for made in additions(cluster).values():
        for addition in made:
            host, _, port = addition.host["name"].text().rpartition(":")
            if addition.chain:
                yield Inside(addition.chain[0], int(addition.chain[1]), Sender.WAYPOINT), addition
            elif addition.context in (SIDECAR, "ANY") and host and port.isdecimal():
                yield Inside(host, int(port), Sender.SIDECARS), addition


def _callers(place: Inside) -> GatewayPlace:
    pods = Workload(namespace="", labels=())
    return GatewayPlace(name="the callers' sidecars", pods=pods, addresses=(), port=place.port)


def _waypoint(cluster: ClusterObjects, place: Inside, service: KubeObject | None) -> GatewayPlace:
    """The waypoint that an overlay names, else the one that the Service or its namespace uses."""
    named = {
        (source.namespace, node["name"].text())
        for where, addition in _hung(cluster)
        for source in [addition.source]
        for node in source.spec.either("targetRefs", "target_refs").elements()
        if where == place and node["kind"].text() == "Gateway"
    }
    if service and not named and (used := waypoint_of(cluster, service.namespace, service)):
        namespace, _, name = used.partition("/")
        named.add((namespace, name))
    if len(named) != 1:
        raise OperationError(
            f"Which waypoint serves {place.authority} cannot be told",
            remedy=f"Name one in the EnvoyFilter's targetRefs, or label the Service {USE_WAYPOINT}",
        )
    ((namespace, name),) = named
    pods = Workload(namespace=namespace, labels=((GATEWAY_NAME, name),))
    return GatewayPlace(name=f"the waypoint {namespace}/{name}", pods=pods, addresses=(), port=place.port)


def _unrouted(cluster: ClusterObjects, place: Inside) -> Route:
    """The entry that a Service has by itself, where nobody routes it.

    Raises:
        OperationError: There is no such Service.
    """
    service = cluster.service(place.host)
    if service is None:
        raise OperationError(
            f"Nothing in {cluster.name} is called {place.host}", remedy="Write the Service's full name in the overlay"
        )
    hosts = (place.host,)
    return Route(
        source=service,
        entry=Node({}),
        hosts=hosts,
        admitted_hosts=hosts,
        gateways=(MESH,),
        native=False,
        owner=service,
        bound=(MESH,),
    )
