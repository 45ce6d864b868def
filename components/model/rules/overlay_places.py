"""Rules on where overlays hang: whether anything is there, whether proxies run their patches, and in which order."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ..render.overlay import REFERENCED
from .additions import Addition, added_to, is_service, mirrors_of
from .clusters import ClusterObjects
from .envoy import GATEWAY, INBOUND, REPLACE_LISTS, WAYPOINT, Patch
from .gateways import WAYPOINT_CLASS
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .overlays import KINDS, MEASURED
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, object_rule, problem
from .routes import MESH

_ON: Final = ("1", "t", "true")
_FILTERED: Final = "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG"
"""istiod's environment variable by which gateways get only the clusters that their routes name."""


@object_rule(
    kinds=KINDS,
    rule_id="overlay-order",
    title="No list of mirrors is replaced after an overlay",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="A patch that replaces lists takes the overlay's mirrors away where it comes later: at a higher priority, or at"
    " an equal one where it was made later.",
    source=f"{MEASURED}; getMatchedEnvoyFilters of Istio's pilot",
    remedy="Give the overlay the higher priority",
)
def order(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report overlays on routes whose mirrors another EnvoyFilter replaces later."""
    # Patches of routes never run at a waypoint.
    mine = [each for each in added_to(case.cluster, source) if not each.chain]
    for patch in _replacing(case.cluster) if mine else ():
        if _comes_later(patch.source, source, case.cluster.root_namespace) and any(
            _meets(patch, each) for each in mine
        ):
            which = f"the routes {patch.name}" if patch.name else "all routes"
            priority = patch.source.spec["priority"].number() or 0.0
            message = f"{patch.source} replaces the mirrors of {which} at priority {priority:g}"
            yield problem(source, "spec.priority", message)
            return


def _replacing(cluster: ClusterObjects) -> list[Patch]:
    """Patches that replace the mirrors of routes.

    Raises:
        NotJudgedError: An EnvoyFilter cannot be read yet, which may have one.
    """
    if cluster.patches.unknown:
        raise cluster.patches.unknown[0]
    patches = (patch for found in cluster.patches.routes.values() for patch in found)
    return [each for each in patches if each.operation == REPLACE_LISTS and each.policies]


def _comes_later(theirs: KubeObject, mine: KubeObject, root_namespace: str) -> bool:
    """Whether istiod applies one EnvoyFilter after another; so it may be where nobody can tell who is older."""
    if theirs is mine:
        return False
    first, second = ((each.spec["priority"].number() or 0.0) for each in (mine, theirs))
    if first != second:
        return second > first
    ours, others = mine.namespace == root_namespace, theirs.namespace == root_namespace
    if ours != others:
        return ours
    made = [each.root["metadata"]["creationTimestamp"].text() for each in (mine, theirs)]
    return not all(made) or made[1] >= made[0]


def _meets(patch: Patch, addition: Addition) -> bool:
    """Whether a patch may be for a route that an addition is for, by kind of proxy, virtual host and route's name."""
    if addition.context not in (*patch.contexts, "ANY"):
        return False
    theirs = patch.match.at("routeConfiguration", "vhost")
    for key in ("name", "domainName"):
        here, there = addition.host[key].text(), theirs[key].text()
        if here and there and here != there:
            return False
    return not (patch.name and addition.route_name) or patch.name == addition.route_name


@object_rule(
    kinds=KINDS,
    rule_id="overlay-hidden-cluster",
    title="Proxies that know only what they serve know an overlay's mirrors too",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A waypoint has clusters only for what it serves, and so has a gateway where istiod filters its clusters:"
    " without the annotation it knows none for the mirror, and nothing is copied, in silence.",
    source=MEASURED,
    remedy=f"List the mirror as <namespace>/<host> in the annotation {REFERENCED}",
)
def hidden_cluster(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report mirrors of waypoints, and of gateways whose clusters are filtered, that the annotation does not list."""
    listed = {entry.rpartition("/")[2] for entry in source.annotation(REFERENCED).split(",")}
    contexts = {INBOUND, *((GATEWAY, "ANY") if _filters_clusters(case.cluster) else ())}
    for mirror in mirrors_of(case.cluster, source):
        if mirror.addition.context in contexts and mirror.host and mirror.host not in listed:
            yield problem(source, f"metadata.annotations.{REFERENCED}", f"does not list {mirror.host}")


def _filters_clusters(cluster: ClusterObjects) -> bool:
    """Whether an istiod at hand gives gateways only the clusters that their routes name."""
    return cluster.once("filters-clusters", lambda: any(map(_is_filtering, cluster.of("Deployment"))))


def _is_filtering(workload: KubeObject) -> bool:
    with suppress(NotJudgedError):
        if workload.root["metadata"]["labels"]["app"].text() == "istiod":
            containers = workload.spec["template"]["spec"]["containers"].elements()
            switches = [node for each in containers for node in each["env"].elements()]
            return any(node["name"].text() == _FILTERED and node["value"].text().lower() in _ON for node in switches)
    return False


@object_rule(
    kinds=KINDS,
    rule_id="overlay-waypoint-target",
    title="A waypoint's overlay is for it by name, and patches its connection manager",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="EnvoyFilters without targetRefs reach no waypoint; patches of routes, and the context WAYPOINT, do nothing"
    " there, in silence.",
    source=MEASURED,
    remedy="Name the waypoint's Gateway, or its GatewayClass from the root namespace, in targetRefs, and merge the"
    " mirrors into the route_config of its HTTP connection manager in context SIDECAR_INBOUND",
)
def waypoint_target(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report overlays for waypoints without targetRefs, and those whose patches no waypoint runs."""
    found = added_to(case.cluster, source)
    targets = source.spec.either("targetRefs", "target_refs").elements()
    if any(addition.chain for addition in found) and not targets:
        yield problem(source, "spec.targetRefs", "names no waypoint, so none applies it")
    only_waypoints = bool(targets) and all(_is_waypoint(case.cluster, source.namespace, node) for node in targets)
    for addition in found:
        if addition.context == WAYPOINT:
            yield problem(source, addition.match["context"], "is for the context WAYPOINT, which no proxy has")
        elif only_waypoints and addition.kind != "NETWORK_FILTER":
            yield problem(source, addition.node["applyTo"], f"patches {addition.kind}, which runs at no waypoint")


def _is_waypoint(cluster: ClusterObjects, namespace: str, target: Node) -> bool:
    name = target["name"].text()
    if target["kind"].text() == "GatewayClass":
        return name == WAYPOINT_CLASS
    gateway = cluster.gateways.named(f"{namespace}/{name}")
    return bool(gateway) and gateway.spec["gatewayClassName"].text() == WAYPOINT_CLASS


@object_rule(
    kinds=KINDS,
    rule_id="overlay-waypoint-mirrors",
    title="A waypoint's routes have no mirrors beside an overlay",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="At a waypoint the proxy takes the mirrors of the route where it has any, and leaves out the overlay's.",
    source=MEASURED,
    remedy="Put all mirrors of the Service on the overlay, or all on its routes",
)
def waypoint_mirrors(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report overlays of Services whose own routes mirror."""
    for addition in added_to(case.cluster, source):
        host = addition.chain[0] if addition.chain else ""
        mirror_entries = case.cluster.routing.sent if host else ()
        own = next(
            (
                mirror_entry
                for mirror_entry in mirror_entries
                if MESH in mirror_entry.route.gateways and host in mirror_entry.route.hosts
            ),
            None,
        )
        if own:
            yield problem(source, addition.node, f"{own.source} mirrors requests to {host} itself")


@object_rule(
    kinds=KINDS,
    rule_id="overlay-unmatched",
    title="An overlay hangs on something",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A patch that matches nothing does nothing: EnvoyFilters have no status, and istiod logs nothing.",
    source=MEASURED,
    remedy="Write the host as its route does, or the Service's name and port",
    settings=("complete",),
)
def unmatched(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report patches for hosts that nobody routes and Services that are not there."""
    if not case.cluster.complete:
        return
    for addition in added_to(case.cluster, source):
        if case.cluster.routing.unknown:
            yield Unjudged(subject=source, field=addition.node.path)
            return
        missing = _missing(case.cluster, addition)
        if missing:
            yield problem(source, addition.match, missing)


def _missing(cluster: ClusterObjects, addition: Addition) -> str:
    if addition.chain:
        host, port = addition.chain
        return "" if _serves(cluster, host, port) else f"no Service {host} has a port {port}"
    name = addition.host["name"].text()
    host, _, port = name.rpartition(":")
    if name and addition.context != GATEWAY:
        routed = any(MESH in route.gateways and host in route.hosts for route in cluster.routing.routes)
        return "" if routed or _serves(cluster, host, port) else f"nothing in the mesh is called {name}"
    domain = addition.host["domainName"].text()
    if not domain:
        return ""
    routes = cluster.routing.routes
    named = any(domain in (*route.hosts, *route.admitted_hosts) for route in routes)
    return "" if named or (is_service(domain) and cluster.service(domain)) else f"no route is for the host {domain}"


def _serves(cluster: ClusterObjects, host: str, port: str) -> bool:
    service = cluster.service(host)
    try:
        ports = service.spec["ports"].elements() if service else []
        return any(str(each["port"].integer()) == port for each in ports)
    except NotJudgedError as error:
        raise NotJudgedError(error.path, error.subject or service) from None


RULES: Final[tuple[Rule, ...]] = (order, hidden_cluster, waypoint_target, waypoint_mirrors, unmatched)
