"""Rules on what leaves with a copy: credentials, identities, the mark, and the transport."""

from collections.abc import Iterator
from typing import Final

from ..annotations import CONTRACT
from ..contract import is_private
from ..safety import PEER_HEADERS
from .filter_mirrors import FilterMirror, faulty_for
from .lookups import Lookup
from .mirror_entries import MirrorEntry
from .objects import KubeObject
from .patching import is_replaced, out_of_reach, patched_cluster, policies_for
from .policies import Policy, faulty
from .reach import Side, entry_addresses, reach, service_entry, side_of
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, mirror_rule, problem
from .routes import Target

MIRROR_POLICY: Final = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto"
ENCRYPTED: Final = frozenset({"SIMPLE", "MUTUAL", "ISTIO_MUTUAL"})


def at_source(case: Case, mirror_entry: MirrorEntry) -> tuple[set[str], set[str]]:
    """Headers that every sender removes from a copy, and those that it writes on the copy alone."""
    return case.mesh.once(("source", mirror_entry), lambda: _at_source(case, mirror_entry))


def _at_source(case: Case, mirror_entry: MirrorEntry) -> tuple[set[str], set[str]]:
    """What happens at every place from which the mirror is sent."""
    everywhere: list[tuple[frozenset[str], frozenset[str]]] = []
    for each, policy in policies_for(case.cluster, mirror_entry):
        patched = patched_cluster(case.cluster, mirror_entry.route, each.placement.outlet, policy.cluster)
        everywhere.append((policy.removed | patched.removed, policy.written | patched.written))
    removed = set(frozenset[str].intersection(*(off for off, _ in everywhere)) if everywhere else ())
    written = set(frozenset[str].intersection(*(on for _, on in everywhere)) if everywhere else ())
    return removed | mirror_entry.route.removed_headers, written


def at_receiver(case: Case, mirror_entry: MirrorEntry) -> tuple[set[str], set[str]] | None:
    """Headers that every receiving route removes and sets; None when no receiving route is at hand."""
    return case.mesh.once(("receiver", mirror_entry), lambda: _at_receiver(case, mirror_entry))


def _at_receiver(case: Case, mirror_entry: MirrorEntry) -> tuple[set[str], set[str]] | None:
    found = reach(case.mesh, case.cluster, mirror_entry.route, mirror_entry.target)
    routes = {
        id(route): route
        for cluster in found.clusters
        for form in mirror_entry.route.carried
        for _, route in cluster.arrivals(form)
    }.values()
    answering = [route for route in routes if route.primaries]
    if found.side is not Side.REMOTE or not answering:
        return None
    removed, written = answering[0].removed_headers, answering[0].set_headers
    for route in answering[1:]:
        removed, written = removed & route.removed_headers, written & route.set_headers
    return removed, written


def by_contract(case: Case, mirror_entry: MirrorEntry) -> bool:
    """Whether a contract obliges a receiver of another cluster that is not at hand."""
    name = mirror_entry.name
    if not name or case.mesh.others(case.cluster) or not mirror_entry.source.annotation(f"{CONTRACT}{name}"):
        return False
    return reach(case.mesh, case.cluster, mirror_entry.route, mirror_entry.target).side is Side.REMOTE


def _may_change_elsewhere(case: Case, mirror_entry: MirrorEntry) -> bool:
    """Whether an EnvoyFilter or a receiving route that is not at hand may change the headers of a copy.

    No filter does for a waypoint's own Services; where one at hand writes the mirror's policy, it says what is changed.
    """
    found = policies_for(case.cluster, mirror_entry)
    told = [each.applied or out_of_reach(case.cluster, each.placement.outlet, policy.cluster) for each, policy in found]
    if not told or not all(told):
        return True
    remote = reach(case.mesh, case.cluster, mirror_entry.route, mirror_entry.target).side is Side.REMOTE
    return remote and at_receiver(case, mirror_entry) is None


def _left_to_receiver(mirror_entry: MirrorEntry) -> Unjudged:
    return Unjudged(
        subject=mirror_entry.source,
        field=mirror_entry.node.path,
        message="is left to a receiver that is not at hand, by a contract that the object names",
        remedy="Check the receiver's cluster together with this one",
    )


@mirror_rule(
    rule_id="mirror-credentials",
    settings=("credential_headers",),
    title="Credentials do not reach a mirror",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A copy carries the caller's tokens and cookies into an environment that guards them less.",
    source=f"Measured; {MIRROR_POLICY}",
    remedy="Remove them on the copy (EnvoyFilter with request_headers_mutations, Istio >= 1.31) or at the receiver's"
    " route (headers.request.remove)",
)
def credentials(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report credential headers that nobody removes; not of a mirror that is not sent as it is written."""
    if is_replaced(case.cluster, mirror_entry):
        return
    wanted = set(case.settings.credential_headers)
    left = wanted - at_source(case, mirror_entry)[0]
    if left and by_contract(case, mirror_entry):
        yield _left_to_receiver(mirror_entry)
    elif left:
        receiver = at_receiver(case, mirror_entry)
        left -= receiver[0] if receiver else set()
        if left:
            message = f"{', '.join(sorted(left))} of the caller go along to {mirror_entry.target.host}"
            waived, likely = mirror_entry.waiver("scrub"), _may_change_elsewhere(case, mirror_entry)
            yield problem(mirror_entry.source, mirror_entry.node, message, waived=waived, likely=likely)


@mirror_rule(
    rule_id="mirror-scrubbed-late",
    finds_by=(Lookup.LISTENERS,),
    settings=("credential_headers",),
    title="Credentials stay in the cluster that they were sent to",
    severity=Severity.NOTICE,
    scope=Scope.CLUSTERS,
    why="Removed at the receiver only, they still cross the network and the receiver's gateway sees them.",
    source=MIRROR_POLICY,
    remedy="Run Istio >= 1.31 in the sending cluster, where they can be removed on the copy",
)
def scrubbed_late(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors that only the receiver scrubs."""
    left = set(case.settings.credential_headers) - at_source(case, mirror_entry)[0]
    receiver = at_receiver(case, mirror_entry) if left else None
    if receiver and not left - receiver[0]:
        yield problem(
            mirror_entry.source, mirror_entry.node, f"{', '.join(sorted(left))} are removed by the receiver only"
        )


@mirror_rule(
    rule_id="mirror-peer-metadata",
    title="Identities of the mesh stay in the mesh",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="The proxies' metadata exchange adds the sending pod's name, namespace and labels to every request.",
    source="Measured; the captured headers in many published recipes show it.",
    remedy=f"Remove {' and '.join(PEER_HEADERS)} on the copy or at the receiver's route",
)
def peer_metadata(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report cross-cluster mirrors that keep the metadata headers."""
    remote = reach(case.mesh, case.cluster, mirror_entry.route, mirror_entry.target).side is Side.REMOTE
    if not remote or is_replaced(case.cluster, mirror_entry):
        return
    left = set(PEER_HEADERS) - at_source(case, mirror_entry)[0]
    if left and by_contract(case, mirror_entry):
        yield _left_to_receiver(mirror_entry)
        return
    receiver = at_receiver(case, mirror_entry) if left else None
    left -= receiver[0] if receiver else set()
    if left:
        message = f"{', '.join(sorted(left))} leave the cluster with the copy"
        waived, likely = mirror_entry.waiver("scrub"), _may_change_elsewhere(case, mirror_entry)
        yield problem(mirror_entry.source, mirror_entry.node, message, waived=waived, likely=likely)


@mirror_rule(
    rule_id="mirror-unmarked",
    title="A copy can be told from a primary request",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Proxies add nothing that says 'copy': without a mark nobody can refuse, count or filter copies.",
    source=f"Measured; {MIRROR_POLICY}",
    remedy="Add a mark on the copy, or set one at the receiver's route",
)
def unmarked(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report copies without a header of their own."""
    if at_source(case, mirror_entry)[1]:
        return
    if by_contract(case, mirror_entry):
        yield _left_to_receiver(mirror_entry)
        return
    receiver = at_receiver(case, mirror_entry)
    if not (receiver and receiver[1]):
        message = f"nothing marks the copies to {mirror_entry.target.host}"
        waived, likely = mirror_entry.waiver("scrub"), _may_change_elsewhere(case, mirror_entry)
        yield problem(mirror_entry.source, mirror_entry.node, message, waived=waived, likely=likely)


def _filter_in_the_clear(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    target = mirror.target
    if target is None or side_of(case.cluster, target) is not Side.REMOTE:
        return
    entry = service_entry(case.cluster, target.host)
    for _, policy, _ in faulty_for(case.cluster, mirror, _in_the_clear):
        if not _may_be_plain(case, entry, target):
            waived = mirror.waiver("plain-text")
            said = entry and policy.rule and (policy.tls_mode or policy.mesh.given)
            likely = not said or policy.by_order
            yield problem(mirror.source, mirror.node, _in_plain_text(target), waived=waived, likely=likely)
            return


def _may_be_plain(case: Case, entry: KubeObject | None, target: Target) -> bool:
    """Whether plain text is accepted to where a target lies."""
    return case.settings.private_plain_text and all(map(is_private, entry_addresses(entry, target.host)))


def _in_plain_text(target: Target) -> str:
    return f"copies to {target.host} leave the cluster in plain text"


@mirror_rule(
    rule_id="mirror-plain-text",
    settings=("private_plain_text",),
    title="Copies leave the cluster encrypted",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A copy carries production data; between clusters anybody on the way can read it.",
    source="https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings",
    remedy="Set tls.mode MUTUAL or SIMPLE in the target's DestinationRule and end TLS at the receiver's gateway",
    by_filter=_filter_in_the_clear,
)
def plain_text(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report cross-cluster mirrors without TLS."""
    target = mirror_entry.target
    found = reach(case.mesh, case.cluster, mirror_entry.route, target)
    if found.side is not Side.REMOTE:
        return
    for _, policy, _ in faulty(case.cluster, mirror_entry.route, target, _in_the_clear):
        if _may_be_plain(case, found.entry, target):
            continue
        waived = mirror_entry.waiver("plain-text")
        # A DestinationRule, a mesh's default or a ServiceEntry that is not at hand may say otherwise.
        said = found.entry and policy.rule and (policy.tls_mode or policy.mesh.given)
        likely = not said or policy.by_order
        yield problem(mirror_entry.source, mirror_entry.node, _in_plain_text(target), waived=waived, likely=likely)
        return


def _in_the_clear(found: Policy) -> bool:
    return found.tls_mode not in ENCRYPTED


RULES: Final[tuple[Rule, ...]] = (
    credentials,
    scrubbed_late,
    peer_metadata,
    unmarked,
    plain_text,
)
