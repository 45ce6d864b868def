"""What EnvoyFilters make of a route entry's mirrors and of a mirror's cluster, at each place where a proxy has it.

Written after rc_patch.go and cluster_patch.go of Istio's pilot, and held against istiod itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..istio import NEWEST_ISTIO
from .clusters import ClusterObjects
from .envoy import (
    ADDING,
    GATEWAY,
    REMOVE,
    REPLACE_LISTS,
    SIDECAR,
    WAYPOINT,
    MirrorPolicy,
    Patch,
    http_options,
)
from .mirror_entries import MirrorEntry
from .nodes import Node
from .outlets import Outlet, port_at
from .placements import Placement, everywhere, standing
from .references import written_at
from .routes import ROUTE, Route
from .waypoints import is_for, stands_before


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a proxy mirrors at one place of an entry.

    Attributes:
        placement: The place.
        policies: Its mirrors.
        applied: Patches that write mirrors, and that are for it.
        removed_by: The patch that takes the whole route away; None for none.
        sure: Whether it is surely so: the place is there, and all of these patches reach it.
    """

    placement: Placement
    policies: tuple[MirrorPolicy, ...] = ()
    applied: tuple[Patch, ...] = ()
    removed_by: Patch | None = None
    sure: bool


@dataclass(frozen=True, kw_only=True)
class PatchedCluster:
    """What a proxy has of a mirror's cluster.

    Attributes:
        removed_by: The patch that takes it away; None for none.
        bound: Seconds after which it ends a request; None for never.
        removed: Headers that it takes off every request.
        written: Headers that it sets on every request.
    """

    removed_by: Patch | None = None
    bound: float | None = None
    removed: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()


def sent(cluster: ClusterObjects, route: Route) -> list[Sent]:
    """What is mirrored at each place of an entry, after all patches."""
    return cluster.once(
        ("sent", route), lambda: [_sent(cluster, route, each) for each in standing(cluster, route).placements]
    )


def sent_everywhere(cluster: ClusterObjects, route: Route) -> list[Sent]:
    """What any proxy mirrors of an entry, sidecars of every namespace that sees it included."""
    return cluster.once(("sent everywhere", route), lambda: _sent_everywhere(cluster, route))


def _sent_everywhere(cluster: ClusterObjects, route: Route) -> list[Sent]:
    own = {each.placement: each for each in sent(cluster, route)}
    return [own.get(each) or _sent(cluster, route, each) for each in everywhere(cluster, route)]


def _sent(cluster: ClusterObjects, route: Route, placement: Placement) -> Sent:
    outlet = placement.outlet
    policies = [
        policy for mirror_entry in cluster.routing.of_route(route) if (policy := _policy(cluster, mirror_entry, outlet))
    ]
    if placement.action != ROUTE:
        policies = []
    applied: list[Patch] = []
    sure = placement.sure
    for patch in cluster.patches.hosts if cluster.patches.removes_hosts else ():
        if patch.operation == REMOVE and _surely_fits_host(patch, outlet) and reaches(cluster, patch, route, outlet):
            chosen = cluster.gateways.chooses(patch.selector, outlet.context, outlet.namespace, route)
            return Sent(placement=placement, removed_by=patch, sure=sure and chosen is True)
    for patch in cluster.patches.of_route(placement.name):
        if patch.operation in ADDING or not fits(patch, placement) or not reaches(cluster, patch, route, outlet):
            continue
        chosen = cluster.gateways.chooses(patch.selector, outlet.context, outlet.namespace, route)
        if patch.operation == REMOVE:
            return Sent(placement=placement, removed_by=patch, sure=sure and chosen is True)
        if patch.merges and patch.policies and placement.action == ROUTE:
            applied.append(patch)
            sure = sure and chosen is True
            policies = [*(() if patch.operation == REPLACE_LISTS else policies), *patch.policies]
    return Sent(placement=placement, policies=tuple(policies), applied=tuple(applied), sure=sure)


def _policy(cluster: ClusterObjects, mirror_entry: MirrorEntry, outlet: Outlet) -> MirrorPolicy | None:
    """What Istio writes for a mirror; nothing for one that rests, or that it leaves out there."""
    if mirror_entry.disabled or not written_at(cluster, mirror_entry, outlet):
        return None
    name = cluster_at(cluster, mirror_entry, outlet)
    return MirrorPolicy(
        node=mirror_entry.node, cluster=name, percent=mirror_entry.percent, removed=frozenset(), written=frozenset()
    )


def cluster_at(cluster: ClusterObjects, mirror_entry: MirrorEntry, outlet: Outlet) -> str:
    """Name of a mirror's cluster; without a port it has the only one of the target, but at sidecars the listener's."""
    target = mirror_entry.target
    port = port_at(cluster, target, outlet)
    return f"outbound|{port or ''}|{target.subset}|{target.host}"


def routes_for(cluster: ClusterObjects, patch: Patch) -> Sequence[Route]:
    """The entries that a patch may be for by its name: those of that name, or all."""
    return cluster.routes_named(patch.name) if patch.name else cluster.routing.routes


def reaches(cluster: ClusterObjects, patch: Patch, route: Route, outlet: Outlet) -> bool:
    """Whether a patch reaches the proxies of an outlet."""
    if outlet.context == WAYPOINT:
        return False
    return cluster.applies(patch, outlet.context, outlet.namespace, route) and patch.fits_release(release(cluster))


def _reaches_cluster(cluster: ClusterObjects, patch: Patch, route: Route, outlet: Outlet, name: str) -> bool:
    """Whether a patch reaches a cluster of an outlet's proxies; a waypoint's by a filter for the waypoint."""
    if outlet.context != WAYPOINT:
        return reaches(cluster, patch, route, outlet)
    named = SIDECAR in patch.contexts and is_for(cluster, patch.source, outlet.waypoint)
    return named and not out_of_reach(cluster, outlet, name) and patch.fits_release(release(cluster))


def out_of_reach(cluster: ClusterObjects, outlet: Outlet, name: str) -> bool:
    """Whether no EnvoyFilter reaches a cluster: those of Services that a waypoint stands before.

    Those of others it has in the context of sidecars. Source: BuildClusters of Istio's pilot.
    """
    return outlet.context == WAYPOINT and stands_before(cluster, outlet.waypoint, name.rpartition("|")[2])


def release(cluster: ClusterObjects) -> str:
    """Release of the proxies, the newest known one where it is not told."""
    return str(cluster.istio.version if cluster.istio else NEWEST_ISTIO)


def fits(patch: Patch, placement: Placement) -> bool:
    """Whether a patch of routes is for a route; what is not known of the route counts as met."""
    if not fits_host(patch, placement.outlet):
        return False
    if patch.name and patch.name != placement.name:
        return False
    wanted = patch.match.at("routeConfiguration", "vhost", "route", "action").text("ANY")
    return wanted in ("ANY", placement.action)


def fits_host(patch: Patch, outlet: Outlet) -> bool:
    """Whether a patch is for a virtual host of an outlet."""
    # First, because it tells most apart where each route has a filter of its own.
    if patch.virtual_host and not outlet.may_have(patch.virtual_host):
        return False
    match = patch.match["routeConfiguration"]
    if not match.given:
        return True
    if not fits_outlet(match, outlet):
        return False
    domain = match["vhost"]["domainName"].text()
    return not domain or not outlet.hosts or any(_has_domain(host, domain) for host in outlet.hosts)


def _surely_fits_host(patch: Patch, outlet: Outlet) -> bool:
    """Whether a patch is for a virtual host of an outlet, whatever is not known of the outlet."""
    match = patch.match["routeConfiguration"]
    host = match["vhost"]
    known = (
        (host["name"].given or host["domainName"].given, outlet.hosts),
        (host["name"].given or match["portNumber"].given, outlet.port is not None),
        (match["name"].given, outlet.config),
    )
    return fits_host(patch, outlet) and all(part for asked, part in known if asked)


def fits_outlet(match: Node, outlet: Outlet) -> bool:
    """Whether a patch is for the route configuration of an outlet. Source: routeConfigurationMatch."""
    name, port = match["name"].text(), match["portNumber"].integer()
    if outlet.config and name and name != outlet.config:
        return False
    if outlet.context != GATEWAY:
        return not port or outlet.port is None or port == outlet.port
    if outlet.config.startswith("http.") and (match["portName"].text() or match["gateway"].text()):
        return False
    own = outlet.config.split(".")
    secured = outlet.config.startswith("https.") and len(own) == 5  # noqa: PLR2004 -- the form of such a name
    if secured and (
        match["portName"].text(own[2]) != own[2] or match["gateway"].text(outlet.gateway) != outlet.gateway
    ):
        return False
    return not port or outlet.port is None or port == outlet.port


def _has_domain(host: str, domain: str) -> bool:
    """Whether a virtual host has a domain: its own name, or a short form of a Service's."""
    return domain == host or (host.startswith(f"{domain}.") and host.endswith(".svc.cluster.local"))


def patched_cluster(cluster: ClusterObjects, route: Route, outlet: Outlet, name: str) -> PatchedCluster:
    """What the proxies of an outlet have of Envoy's cluster ``name``, after all patches."""
    options: Patch | None = None
    for patch in cluster.patches.of_cluster(name):
        if not _reaches_cluster(cluster, patch, route, outlet, name):
            continue
        if patch.operation == REMOVE:
            return PatchedCluster(removed_by=patch)
        if patch.merges and http_options(patch).given:
            options = patch  # each replaces what an earlier one says, as a whole
    if options is None:
        return PatchedCluster()
    removed, written = options.cluster_mutations
    return PatchedCluster(bound=options.stream_bound or None, removed=removed, written=written)


def policies_for(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> Iterator[tuple[Sent, MirrorPolicy]]:
    """The mirror policies that lead to a mirror's target, at each place that has some."""
    for each in sent(cluster, mirror_entry.route):
        name = cluster_at(cluster, mirror_entry, each.placement.outlet)
        for policy in each.policies:
            if policy.cluster == name:
                yield each, policy


def is_replaced(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> bool:
    """Whether EnvoyFilters leave a mirror out at each place of its entry, for lists of their own."""
    places = sent(cluster, mirror_entry.route)
    written = all(each.applied for each in places) and bool(places)
    return written and next(policies_for(cluster, mirror_entry), None) is None
