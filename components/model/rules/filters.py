"""Rules on EnvoyFilters: what they do to mirrors, and to the routes that carry them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from ..istio import NEWEST_ISTIO, IstioVersion
from ..values import PERCENT_RESOLUTION
from .additions import ignored_in
from .clusters import ClusterObjects
from .envoy import ADDING, REMOVE, SIDECAR, VIRTUAL_HOST, MirrorPolicy, Patch, http_options
from .freezing import refused_routes
from .landing import lands
from .mirror_entries import MirrorEntry
from .objects import KubeObject, exported
from .outlets import own_outlets
from .patching import (
    Sent,
    cluster_at,
    fits_host,
    patched_cluster,
    release,
    sent,
    sent_everywhere,
)
from .privacy import MIRROR_POLICY
from .reaching import all_at_hand, asks_for_default, meets_inbound, proxies_at_hand, sidecars_reached
from .references import written_at
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .routes import MESH, Route

FILTER_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/envoy-filter/"
REPLACES_LISTS: Final = IstioVersion(1, 31)
"""First release whose EnvoyFilter has MERGE_AND_REPLACE_LIST."""
MUTATES_MIRRORS: Final = IstioVersion(1, 28)
"""First release whose proxies (Envoy 1.36) change headers on the copy alone."""


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-too-new",
    title="An EnvoyFilter uses what the control plane and its proxies know",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="An operation or field that is not known is rejected or ignored: the copy leaves unscrubbed.",
    source="https://istio.io/latest/docs/reference/config/networking/envoy-filter/",
    remedy="Scrub at the receiver's gateway with older releases, or upgrade Istio",
)
def too_new(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report operations and fields of later releases, and kinds of patches that a managed mesh does not apply."""
    version = case.cluster.istio.version if case.cluster.istio else NEWEST_ISTIO
    nodes = [each.node for each in case.cluster.patches.ignored.get(subject, ()) if _concerns_mirrors(each)]
    nodes += [each.node for each in ignored_in(case.cluster, subject)]
    for node in nodes:
        kind = node["applyTo"].text()
        message = f"patches of {kind} are not in force: this control plane applies {_applied(case.cluster)}"
        yield problem(subject, node["applyTo"], message, remedy="Guard the mirror by what is left, or waive the guard")
    for patch in case.cluster.patches.of_source(subject):
        if patch.operation == "MERGE_AND_REPLACE_LIST" and version < REPLACES_LISTS:
            place = patch.node["patch"]["operation"]
            yield problem(subject, place, f"{patch.operation} needs Istio {REPLACES_LISTS}; this is {version}")
        if version < MUTATES_MIRRORS and any(found.removed or found.written for found in patch.policies):
            message = f"request_headers_mutations of a mirror needs Istio {MUTATES_MIRRORS}; this is {version}"
            yield problem(subject, patch.value, message)


def _concerns_mirrors(patch: Patch) -> bool:
    return bool(http_options(patch).given if patch.kind == "CLUSTER" else patch.policies)


def _applied(cluster: ClusterObjects) -> str:
    told = f" (managed, by {cluster.managed_by})" if cluster.managed_by else ""
    return f"those of {', '.join(cluster.patched)} alone{told}" if cluster.patched else "none"


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-authority",
    title="A mirror's header changes leave the authority alone",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The proxy refuses changes of :authority there, and rejects the whole route configuration; without a host the"
    " copy is of no use.",
    source=MIRROR_POLICY,
    remedy="Use host_rewrite_literal of the mirror policy (Envoy >= 1.36)",
)
def authority_mutation(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report mutations of the authority."""
    for patch in case.cluster.patches.of_source(subject):
        for found in patch.policies:
            for name in sorted(found.written & {":authority", "host"}):
                yield problem(subject, found.node, f"{name} is changed on a mirror, which Envoy refuses")
            for name in sorted(found.removed & {":authority", "host"}):
                what = "which Envoy refuses" if name == ":authority" else "which then has none: its server answers 400"
                yield problem(subject, found.node, f"{name} is taken off a mirror, {what}")


@mirror_rule(
    rule_id="mirror-policy-drift",
    title="Route and EnvoyFilter say the same about a mirror",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A list of mirror policies in an EnvoyFilter replaces the route's or, merged, adds to it: what the route says"
    " has no effect, or each request is copied twice. Without its cluster a mirror's copies vanish.",
    source=FILTER_REFERENCE,
    remedy="Render both from one description with MERGE_AND_REPLACE_LIST, or drop the EnvoyFilter's list",
    with_disabled=True,
)
def policy_drift(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors that an EnvoyFilter leaves out, sends twice, gives another share, or takes the cluster of."""
    places = sent(case.cluster, mirror_entry.route)
    drifts = (_drift(case, mirror_entry, each) for each in places if each.applied)
    yield from islice(filter(None, drifts), 1)
    if case.cluster.patches.removes_clusters:
        taken = (_taken_away(case, mirror_entry, each) for each in places)
        yield from islice(filter(None, taken), 1)


def _drift(case: Case, mirror_entry: MirrorEntry, each: Sent) -> Report | None:
    patch, likely = each.applied[-1], not each.sure
    name = cluster_at(case.cluster, mirror_entry, each.placement.outlet)
    same = [policy for policy in each.policies if policy.cluster == name]
    alike = [
        other for other in case.cluster.routing.of_route(mirror_entry.route) if other.target == mirror_entry.target
    ]
    if not same:
        return (
            None
            if mirror_entry.disabled
            else problem(
                patch.source, patch.value, f"the list leaves out {name} of {mirror_entry.source}", likely=likely
            )
        )
    written = [policy for policy in same if not any(policy.node is other.node for other in alike)]
    if written and len(same) > len(written):
        message = f"{name} gets a second copy of each request, beside that of {mirror_entry.source}"
        return problem(patch.source, written[0].node, message, likely=likely)
    shares = [policy.percent for policy in written]
    if written and mirror_entry.percent is not None and all(_differs(share, mirror_entry.percent) for share in shares):
        theirs = ", ".join("an unreadable share" if share is None else f"{share:g} %" for share in shares)
        message = f"{name} gets {theirs}, but {mirror_entry.source} says {mirror_entry.percent:g} %"
        return problem(patch.source, written[0].node, message, likely=likely)
    return None


def _taken_away(case: Case, mirror_entry: MirrorEntry, each: Sent) -> Report | None:
    outlet = each.placement.outlet
    name = cluster_at(case.cluster, mirror_entry, outlet)
    if not any(policy.cluster == name for policy in each.policies):
        return None
    remover = patched_cluster(case.cluster, mirror_entry.route, outlet, name).removed_by
    message = f"{name} is taken away, to which {mirror_entry.source} mirrors"
    if not remover:
        return None
    remedy, likely = "Narrow its match", not each.placement.sure
    return problem(remover.source, remover.node, message, remedy=remedy, likely=likely)


def _differs(share: float | None, percent: float) -> bool:
    return share is None or abs(share - percent) > PERCENT_RESOLUTION


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-no-such-route",
    settings=("complete",),
    title="A patch of mirrors names a route that exists",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="A patch for a route that nobody has does nothing: its scrub is not there.",
    source=FILTER_REFERENCE,
    remedy="Use the route's name: the http entry's, with .<match> where a match has a name, or"
    " <namespace>.<route>.<rule> for the Gateway API's",
)
def no_such_route(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report patches for routes that no route object makes."""
    if not case.cluster.complete or case.cluster.routing.unknown:
        return
    for patch in case.cluster.patches.of_source(subject):
        if patch.name and patch.policies and not case.cluster.has_route(patch.name):
            yield problem(subject, patch.match, f"no route is named {patch.name!r}")


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-mirrors",
    title="Mirrors are written in routes",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="A mirror that only an EnvoyFilter makes is on no list of mirrors: rules judge its share, target, brakes and"
    " end, and nobody what its receiver does with what it takes.",
    source=FILTER_REFERENCE,
    remedy="Write the mirror in the route, and let the EnvoyFilter change what the route cannot say",
)
def makes_mirrors(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report mirrors that no route lists."""
    patches = case.cluster.patches
    for patch in patches.of_source(subject):
        for policy in patch.policies if patch.fits_release(release(case.cluster)) else ():
            # Where a header names the cluster, the rules of overlays read its target from the condition.
            listed = _listed(case, patch, policy) if policy.cluster and policy.percent != 0 else True
            if listed is not True:
                message = f"copies go to {policy.cluster}, and no route that it is for mirrors there"
                yield problem(subject, policy.node, message, likely=listed is None)
                break


def _listed(case: Case, patch: Patch, policy: MirrorPolicy) -> bool | None:
    """Whether each route that a patch is for has a mirror to the cluster that it names; None where some may not."""
    cluster = case.cluster
    if patch.operation == REMOVE:
        return True  # whatever its value says
    default = asks_for_default(patch.match)
    if patch.kind == VIRTUAL_HOST or patch.operation in ADDING:
        met = lands(case, patch)
    elif patch.merges:
        met = default and (_for_sidecars_own(cluster, patch) or meets_inbound(cluster, patch))
    else:
        return True  # REPLACE writes nothing into a route
    if met is not False:
        # What takes hosts or routes away may leave none to change.
        sure = met and proxies_at_hand(cluster, patch) and not cluster.patches.removes_places
        return False if sure else None
    if not patch.merges or patch.kind == VIRTUAL_HOST:
        return all_at_hand(cluster, patch) or None
    unknown = default and not patch.name and not all_at_hand(cluster, patch)
    return _all_listed(cluster, patch, policy, unknown=unknown)


def _all_listed(cluster: ClusterObjects, patch: Patch, policy: MirrorPolicy, *, unknown: bool) -> bool | None:
    """Whether each route at hand has it; None where some may not, or where other routes are ``unknown``."""
    listed = None if unknown else True
    for route, each in _where_applied(cluster, patch):
        outlet = each.placement.outlet
        mirror_entries = [mirror_entry for mirror_entry in cluster.routing.of_route(route) if not mirror_entry.nothing]
        named = (each.target for each in mirror_entries if not route.native and each.target.port is not None)
        if any(target.cluster_name == policy.cluster for target in named):
            continue  # wherever it is sent from
        if all(
            cluster_at(cluster, mirror_entry, outlet) != policy.cluster or not written_at(cluster, mirror_entry, outlet)
            for mirror_entry in mirror_entries
        ):
            if each.sure:
                return False
            listed = None
    return listed


def _where_applied(cluster: ClusterObjects, patch: Patch) -> Sequence[tuple[Route, Sent]]:
    """The entries that nothing refuses, with what is sent where a patch writes mirrors into them."""
    if patch.name:
        routes = cluster.routes_named(patch.name)
        return [(route, each) for route in routes for each in _standing(cluster, route) if patch in each.applied]
    # Of all patches at once: looking at every route for each of them takes time by the square.
    return cluster.once(("sent by patch",), lambda: _by_patch(cluster)).get(patch, ())


def _by_patch(cluster: ClusterObjects) -> dict[Patch, list[tuple[Route, Sent]]]:
    found: dict[Patch, list[tuple[Route, Sent]]] = defaultdict(list)
    for route in cluster.routing.routes:
        for each in _standing(cluster, route):
            for patch in each.applied:
                found[patch].append((route, each))
    return dict(found)


def _standing(cluster: ClusterObjects, route: Route) -> Sequence[Sent]:
    return () if cluster.refuses(route) else sent_everywhere(cluster, route)


def _for_sidecars_own(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether a patch is for routes that sidecars have by themselves: of Services that no route is for, and of others.

    Those of others have another name than those of Services.
    """
    host = patch.match["routeConfiguration"]["vhost"]
    named = host["name"].given or host["domainName"].given
    for_all = not named and not host["route"]["name"].given
    for namespace in sidecars_reached(cluster, patch) if SIDECAR in patch.contexts else ():
        if not cluster.complete and not named:
            return True
        for outlet in own_outlets(cluster, namespace):
            if fits_host(patch, outlet) and (for_all or not _routed(cluster, outlet.hosts[0], namespace)):
                return True
    return False


def _routed(cluster: ClusterObjects, host: str, namespace: str) -> bool:
    """Whether sidecars of a namespace have a route for a host in place of their own."""
    return any(
        MESH in route.bound and exported(route.owner, namespace) and not cluster.refuses(route)
        for route in cluster.route_index.covering(host)
    )


RULES: Final[tuple[Rule, ...]] = (
    policy_drift,
    too_new,
    authority_mutation,
    no_such_route,
    refused_routes,
    makes_mirrors,
)
