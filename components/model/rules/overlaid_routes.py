"""Routes of gateways as overlays make them, there, at waypoints and where pods take in: who gets copies beside."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..istio import AuthorityMode
from .additions import AddedMirror, Addition, added_to
from .aiming import absent_headers, required_hosts
from .clusters import ClusterObjects
from .envoy import GATEWAY, INBOUND, MERGE, Patch, targets_of
from .gateways import labels, selects
from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import KubeObject, is_ambient
from .patching import release
from .reaching import asks_for_default
from .routes import MESH, ROUTE, Route, Target
from .waypoint_entries import at_waypoint, entering, sending, waypoint_of_gateways
from .waypoints import is_for

SOME_GATEWAY = "gateways"
"""Stands for the gateways of routes that are not at hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OverlaidRoute:
    """One mirror of an overlay on one route entry.

    Attributes:
        mirror: The mirror.
        target: Where its copies go.
        route: The entry, as far as the mirror takes its requests: its source is the EnvoyFilter, its hosts those that
            the condition takes, its gateways those that the EnvoyFilter reaches, or whose requests come by a waypoint
            or to pods that it reaches.
    """

    mirror: AddedMirror
    target: Target
    route: Route = field(repr=False)

    @cached_property
    def marks(self) -> frozenset[str]:
        """Headers that its copies alone carry."""
        return self.mirror.policy.written

    @cached_property
    def refused(self) -> frozenset[str]:
        """Headers with which a request is not copied."""
        return absent_headers(self.mirror.condition)

    @cached_property
    def authority_mode(self) -> AuthorityMode:
        """What its copies carry as authority, which an upgrade of the control plane does not change."""
        kept = self.mirror.node.either("disable_shadow_host_suffix_append", "disableShadowHostSuffixAppend").known
        return AuthorityMode.PRESERVED if kept is True else AuthorityMode.SUFFIXED

    @cached_property
    def authority_rewrite(self) -> str:
        """The authority that its copies carry whatever the route says; empty for the route's."""
        return self.mirror.node.either("host_rewrite_literal", "hostRewriteLiteral").text()


def overlaid_routes(cluster: ClusterObjects, source: KubeObject) -> list[OverlaidRoute]:
    """What one EnvoyFilter mirrors of what comes in at gateways: there, at a waypoint behind them, or at pods.

    Nothing of mirrors at rest, or with a target that cannot be read.

    Raises:
        NotJudgedError: A value that decides about it is not known yet.
    """
    return cluster.once(("overlaid", source), lambda: list(_overlaid(cluster, source)))


def _overlaid(cluster: ClusterObjects, source: KubeObject) -> Iterator[OverlaidRoute]:
    for addition in added_to(cluster, source):
        mirrors = [each for each in addition.mirrors if each.target and each.policy.percent != 0]
        if not mirrors:
            continue
        hung = list(_entered(cluster, addition))
        for mirror in mirrors:
            for route in hung:
                hosts = _taken(mirror, route)
                if mirror.target and hosts:
                    taken = replace(route, source=source, hosts=hosts, admitted_hosts=hosts)
                    yield OverlaidRoute(mirror=mirror, target=mirror.target, route=taken)


def _entered(cluster: ClusterObjects, addition: Addition) -> Iterator[Route]:
    """Entries at gateways whose requests an addition meets: there, at a waypoint, or where pods take them in."""
    if addition.chain:
        yield from _behind_waypoint(cluster, addition)
    if addition.kind == "NETWORK_FILTER":
        return
    if addition.context in (GATEWAY, "ANY"):
        yield from _hung(cluster, addition)
    # What sidecars send on has not come by a gateway.
    if addition.context in (INBOUND, "ANY"):
        yield from _before_pods(cluster, addition)


def _before_pods(cluster: ClusterObjects, addition: Addition) -> Iterator[Route]:
    """Entries at gateways whose requests come to pods that a patch of what these take in is for.

    What is for one port of a pod, or for one configuration by its name, is not judged.
    """
    match, source, host = addition.match["routeConfiguration"], addition.source, addition.host
    named = match["name"].given or match["portNumber"].given or host["name"].given
    named = named or host["domainName"].text("*") != "*"
    if named or not asks_for_default(addition.match) or targets_of(source):
        return
    for route in sending(cluster, lambda host: _takes_in(cluster, source, host)):
        _require_known(route)
        yield replace(route, gateways=tuple(each for each in route.gateways if each != MESH))


def _takes_in(cluster: ClusterObjects, source: KubeObject, host: str) -> bool:
    """Whether an EnvoyFilter is for some of the pods behind a Service."""
    service = cluster.service(host)
    if not service or source.namespace not in (service.namespace, cluster.root_namespace):
        return False
    if is_ambient(cluster.find("Namespace", "default", service.namespace)):
        return False
    chosen, behind = labels(source.spec["workloadSelector"]["labels"]), labels(service.spec["selector"])
    near = [pods for each, pods in cluster.workloads if each.namespace == service.namespace and selects(behind, pods)]
    if near:
        return any(selects(chosen, pods) for pods in near) if chosen else True
    return bool(behind) and chosen.items() <= behind.items()


def _behind_waypoint(cluster: ClusterObjects, addition: Addition) -> Iterator[Route]:
    """Entries at gateways whose requests come by the waypoint that a patch is for, and by the overlay there."""
    host = addition.chain[0] if addition.chain else ""
    if not is_for(cluster, addition.source, waypoint_of_gateways(cluster, host)):
        return
    own = at_waypoint(cluster, host)
    # Mirrors of a route are taken instead of the overlay's, and what becomes of another authority is not followed.
    if own and all(_overruled(cluster, addition, each) or each.authority_rewrite for each in own):
        return
    for route in entering(cluster, host):
        gateways = tuple(each for each in route.gateways if each != MESH)
        _require_known(route)
        yield replace(route, gateways=gateways)


def _hung(cluster: ClusterObjects, addition: Addition) -> Iterator[Route]:
    """Entries that a patch is for, at the gateways that it reaches; one for all where others may have them."""
    found = [each for each in _on_host(cluster, addition) if not (set(each.gateways) <= {MESH})]
    for route in found:
        named = not addition.route_name or addition.route_name in route.envoy_names
        if not named or route.action != ROUTE or _overruled(cluster, addition, route):
            continue
        gateways = tuple(each for each in route.gateways if each != MESH and _reaches(cluster, addition, route, each))
        if gateways:
            _require_known(route)
            yield replace(route, gateways=gateways)
    if not found and not cluster.complete:
        yield _unseen(addition)


def _on_host(cluster: ClusterObjects, addition: Addition) -> list[Route]:
    """Entries of the virtual hosts that a patch is for; those with equal routes share one, so that it is for all."""
    domain = addition.domain
    if not domain:
        return list(cluster.routing.routes)
    return [
        route
        for route in dict.fromkeys(cluster.route_index.overlapping(domain))
        if domain in (*route.hosts, *route.admitted_hosts)
    ]


def _overruled(cluster: ClusterObjects, addition: Addition, route: Route) -> bool:
    """Whether an entry's own mirrors are taken instead of those of its virtual host or configuration."""
    return addition.kind != "HTTP_ROUTE" and any(not each.disabled for each in cluster.routing.of_route(route))


def _reaches(cluster: ClusterObjects, addition: Addition, route: Route, gateway: str) -> bool:
    patch = Patch(
        source=addition.source,
        node=addition.node,
        kind=addition.kind,
        contexts=(GATEWAY,),
        name=addition.route_name,
        operation=MERGE,
        value=addition.node["patch"]["value"],
    )
    alone = replace(route, gateways=(gateway,))
    return patch.fits_release(release(cluster)) and any(
        cluster.applies(patch, GATEWAY, namespace, alone) for namespace in cluster.gateways.namespaces_of(gateway)
    )


def _taken(mirror: AddedMirror, route: Route) -> tuple[str, ...]:
    named = required_hosts(mirror.condition)
    admitted = route.admitted_hosts
    return tuple(each for each in named if any(covers(host, each) for host in admitted)) if named else admitted


def _require_known(route: Route) -> None:
    """Meet what is not known yet as a place in the object that has it."""
    try:
        _ = route.authority_rewrite
    except NotJudgedError as error:
        raise NotJudgedError(error.path, error.subject or route.source) from None


def _unseen(addition: Addition) -> Route:
    hosts = (addition.domain or "*",)
    return Route(
        source=addition.source,
        entry=Node(None),
        hosts=hosts,
        admitted_hosts=hosts,
        gateways=(SOME_GATEWAY,),
        native=False,
        owner=addition.source,
        bound=(),
    )
