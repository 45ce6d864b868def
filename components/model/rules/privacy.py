"""Rules on what leaves with a copy: credentials, identities, the mark, and the transport."""

from collections.abc import Iterable, Iterator
from typing import Final

from ..contract import is_private
from ..safety import PEER_HEADERS
from ..values import NEWEST_ISTIO, IstioVersion
from .envoy import Patch, cluster_mutations
from .objects import KubeObject
from .policies import Policy, faulty, proxies
from .reach import Side, entry_addresses, reach
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .sites import ANNOTATION, Site

MIRROR_POLICY: Final = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto"
REPLACES_LISTS: Final = IstioVersion(1, 31)
"""First release whose EnvoyFilter has MERGE_AND_REPLACE_LIST."""
MUTATES_MIRRORS: Final = IstioVersion(1, 28)
"""First release whose proxies (Envoy 1.36) change headers on the copy alone."""
ENCRYPTED: Final = frozenset({"SIMPLE", "MUTUAL", "ISTIO_MUTUAL"})


def at_source(case: Case, site: Site) -> tuple[set[str], set[str]]:
    """Headers that every sender removes from a copy, and those that it writes on the copy alone."""
    return case.mesh.once(("source", site), lambda: _at_source(case, site))


def _at_source(case: Case, site: Site) -> tuple[set[str], set[str]]:
    everywhere = [
        _by_sender(case, site, context, namespace) for context, namespace in proxies(case.cluster, site.route)
    ]
    removed = set[str].intersection(*(off for off, _ in everywhere)) if everywhere else set[str]()
    written = set[str].intersection(*(on for _, on in everywhere)) if everywhere else set[str]()
    return removed | site.route.removed_headers, written


def _by_sender(case: Case, site: Site, context: str, namespace: str) -> tuple[set[str], set[str]]:
    """Headers that one kind of proxy removes and writes: by the policy of the mirror, or on its cluster."""
    patches = case.cluster.patches
    changes: list[tuple[Iterable[str], Iterable[str]]] = [
        cluster_mutations(patch)
        for patch in patches.of_cluster(site.target.cluster_name)
        if case.cluster.applies(patch, context, namespace, site.route)
    ]
    changes += [
        (found.removed, found.written)
        for patch in patches.of_route(site.route.name)
        if case.cluster.applies(patch, context, namespace, site.route)
        for found in patch.policies
        if found.cluster == site.target.cluster_name
    ]
    return {name for off, _ in changes for name in off}, {name for _, on in changes for name in on}


def at_receiver(case: Case, site: Site) -> tuple[set[str], set[str]] | None:
    """Headers that every receiving route removes and sets; None when no receiving route is at hand."""
    return case.mesh.once(("receiver", site), lambda: _at_receiver(case, site))


def _at_receiver(case: Case, site: Site) -> tuple[set[str], set[str]] | None:
    found = reach(case.mesh, case.cluster, site.route, site.target)
    routes = {
        id(route): route
        for cluster in found.clusters
        for form in site.route.carried
        for _, route in cluster.arrivals(form)
    }.values()
    answering = [route for route in routes if route.primaries]
    if found.side is not Side.REMOTE or not answering:
        return None
    removed, written = answering[0].removed_headers, answering[0].set_headers
    for route in answering[1:]:
        removed, written = removed & route.removed_headers, written & route.set_headers
    return removed, written


def by_contract(case: Case, site: Site) -> bool:
    """Whether a contract obliges a receiver that is not at hand."""
    name = site.name
    return bool(name and site.source.annotation(f"{ANNOTATION}/contract.{name}") and not case.mesh.others(case.cluster))


@mirror_rule(
    rule_id="mirror-credentials",
    title="Credentials do not reach a mirror",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A copy carries the caller's tokens and cookies into an environment that guards them less.",
    source=f"Measured; {MIRROR_POLICY}",
    remedy="Remove them on the copy (EnvoyFilter with request_headers_mutations, Istio >= 1.31) or at the receiver's"
    " route (headers.request.remove)",
)
def credentials(case: Case, site: Site) -> Iterator[Report]:
    """Report credential headers that nobody removes."""
    wanted = set(case.settings.credential_headers)
    left = wanted - at_source(case, site)[0]
    if left and not by_contract(case, site):
        receiver = at_receiver(case, site)
        left -= receiver[0] if receiver else set()
        if left:
            message = f"{', '.join(sorted(left))} of the caller go along to {site.target.host}"
            yield problem(site.source, site.node, message, waived=site.waiver("scrub"))


@mirror_rule(
    rule_id="mirror-scrubbed-late",
    title="Credentials stay in the cluster that they were sent to",
    severity=Severity.NOTICE,
    scope=Scope.CLUSTERS,
    why="Removed at the receiver only, they still cross the network and the receiver's gateway sees them.",
    source=MIRROR_POLICY,
    remedy="Run Istio >= 1.31 in the sending cluster, where they can be removed on the copy",
)
def scrubbed_late(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors that only the receiver scrubs."""
    left = set(case.settings.credential_headers) - at_source(case, site)[0]
    receiver = at_receiver(case, site) if left else None
    if receiver and not left - receiver[0]:
        yield problem(site.source, site.node, f"{', '.join(sorted(left))} are removed by the receiver only")


@mirror_rule(
    rule_id="mirror-peer-metadata",
    title="Identities of the mesh stay in the mesh",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="The proxies' metadata exchange adds the sending pod's name, namespace and labels to every request.",
    source="Measured; the captured headers in many published recipes show it.",
    remedy=f"Remove {' and '.join(PEER_HEADERS)} on the copy or at the receiver's route",
)
def peer_metadata(case: Case, site: Site) -> Iterator[Report]:
    """Report cross-cluster mirrors that keep the metadata headers."""
    if reach(case.mesh, case.cluster, site.route, site.target).side is not Side.REMOTE or by_contract(case, site):
        return
    left = set(PEER_HEADERS) - at_source(case, site)[0]
    receiver = at_receiver(case, site) if left else None
    left -= receiver[0] if receiver else set()
    if left:
        message = f"{', '.join(sorted(left))} leave the cluster with the copy"
        yield problem(site.source, site.node, message, waived=site.waiver("scrub"))


@mirror_rule(
    rule_id="mirror-unmarked",
    title="A copy can be told from a primary request",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Proxies add nothing that says 'copy': without a mark nobody can refuse, count or filter copies.",
    source=f"Measured; {MIRROR_POLICY}",
    remedy="Add a mark on the copy, or set one at the receiver's route",
)
def unmarked(case: Case, site: Site) -> Iterator[Report]:
    """Report copies without a header of their own."""
    if at_source(case, site)[1] or by_contract(case, site):
        return
    receiver = at_receiver(case, site)
    if not (receiver and receiver[1]):
        message = f"nothing marks the copies to {site.target.host}"
        yield problem(site.source, site.node, message, waived=site.waiver("scrub"))


@mirror_rule(
    rule_id="mirror-plain-text",
    title="Copies leave the cluster encrypted",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A copy carries production data; between clusters anybody on the way can read it.",
    source="https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings",
    remedy="Set tls.mode MUTUAL or SIMPLE in the target's DestinationRule and end TLS at the receiver's gateway",
)
def plain_text(case: Case, site: Site) -> Iterator[Report]:
    """Report cross-cluster mirrors without TLS."""
    found = reach(case.mesh, case.cluster, site.route, site.target)
    if found.side is not Side.REMOTE:
        return
    for _ in faulty(case.cluster, site.route, site.target, _in_the_clear):
        if case.settings.private_plain_text:
            addresses = entry_addresses(found.entry, site.target.host)
            if all(is_private(address) for address in addresses):
                continue
        message = f"copies to {site.target.host} leave the cluster in plain text"
        yield problem(site.source, site.node, message, waived=site.waiver("plain-text"))
        return


def _in_the_clear(found: Policy) -> bool:
    return found.tls_mode not in ENCRYPTED


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
    """Report operations and fields of later releases."""
    version = case.cluster.istio.version if case.cluster.istio else NEWEST_ISTIO
    for patch in case.cluster.patches.of_source(subject):
        if patch.operation == "MERGE_AND_REPLACE_LIST" and version < REPLACES_LISTS:
            place = patch.node["patch"]["operation"]
            yield problem(subject, place, f"{patch.operation} needs Istio {REPLACES_LISTS}; this is {version}")
        if version < MUTATES_MIRRORS and any(found.removed or found.written for found in patch.policies):
            message = f"request_headers_mutations of a mirror needs Istio {MUTATES_MIRRORS}; this is {version}"
            yield problem(subject, patch.value, message)


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-authority",
    title="A mirror's header changes leave the authority alone",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The proxy refuses changes of :authority or host there and rejects the whole route configuration.",
    source=MIRROR_POLICY,
    remedy="Use host_rewrite_literal of the mirror policy (Envoy >= 1.36)",
)
def authority_mutation(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report mutations of the authority."""
    for patch in case.cluster.patches.of_source(subject):
        for found in patch.policies:
            for name in sorted((found.removed | found.written) & {":authority", "host"}):
                yield problem(subject, found.node, f"{name} is changed on a mirror")


@mirror_rule(
    rule_id="mirror-policy-drift",
    title="Route and EnvoyFilter say the same about a mirror",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A list of mirror policies in an EnvoyFilter replaces the route's: what the route says has no effect.",
    source="https://istio.io/latest/docs/reference/config/networking/envoy-filter/",
    remedy="Render both from one description, or drop the EnvoyFilter's list",
    resting=True,
)
def policy_drift(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors that the EnvoyFilter's list lacks or gives another share."""
    patches = [patch for patch in case.cluster.patches.of_route(site.route.name) if patch.policies]
    for patch in patches if site.target.port is not None else ():
        if patch.operation == "MERGE_AND_REPLACE_LIST":
            yield from _drift(site, patch)


def _drift(site: Site, patch: Patch) -> Iterator[Report]:
    same = [found for found in patch.policies if found.cluster == site.target.cluster_name]
    shares = [found.percent for found in same]
    if not same:
        if not site.rests:
            yield problem(patch.source, patch.value, f"the list leaves out {site.target.cluster_name} of {site.source}")
    elif site.percent is not None and all(share is None or abs(share - site.percent) > 1e-4 for share in shares):  # noqa: PLR2004 -- the proxy's resolution
        theirs = ", ".join("an unreadable share" if share is None else f"{share:g} %" for share in shares)
        message = f"{site.target.cluster_name} gets {theirs}, but {site.source} says {site.percent:g} %"
        yield problem(patch.source, same[0].node, message)


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-no-such-route",
    title="A patch of mirrors names a route that exists",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="A patch for a route that nobody defines does nothing: its scrub is not there.",
    source="https://istio.io/latest/docs/reference/config/networking/envoy-filter/",
    remedy="Name the http entry of the VirtualService, and use that name",
)
def no_such_route(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report patches for routes that no VirtualService names."""
    if not case.cluster.complete or case.cluster.routing.unknown:
        return
    for patch in case.cluster.patches.of_source(subject):
        if patch.name and patch.policies and not case.cluster.has_route(patch.name):
            yield problem(subject, patch.node["match"], f"no VirtualService has a route named {patch.name!r}")


RULES: Final[tuple[Rule, ...]] = (
    credentials,
    scrubbed_late,
    peer_metadata,
    unmarked,
    plain_text,
    policy_drift,
    too_new,
    authority_mutation,
    no_such_route,
)
