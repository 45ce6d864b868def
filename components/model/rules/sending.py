"""Rules on whether a mirror is sent at all."""

from collections.abc import Iterator
from typing import Final

from .clusters import ClusterObjects
from .mirror_entries import MirrorEntry
from .patching import policies_for, sent, sent_everywhere
from .placements import standing
from .references import left_out
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .routes import MESH, REDIRECT, ROUTE, Route

ROUTE_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute"
NATIVE_ANSWERS: Final = "https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule"


@mirror_rule(
    rule_id="mirror-never-sent",
    settings=("complete",),
    title="Some proxy sends the mirror",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="An entry behind another that takes every request, one that redirects, answers itself or aborts, and one that "
    "nobody sees or meets are never mirrored, and nothing says so.",
    source=f"Held against istiod; of aborted requests Envoy 1.39.3 copied none; {ROUTE_REFERENCE}",
    remedy="Move the entry before the one that takes its requests, or mirror on that one",
    with_disabled=True,
)
def never_sent(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors that no proxy has, with the reason."""
    cluster = case.cluster
    if not cluster.complete:
        return
    reason = left_out(cluster, mirror_entry.route, at_gateway=MESH not in mirror_entry.route.bound)
    if reason and (not mirror_entry.disabled or _first_at_rest(cluster, mirror_entry)):
        message = f"the whole {mirror_entry.source.kind} is left out, primaries and all, because of {reason}"
        yield problem(mirror_entry.source, mirror_entry.node, message, remedy="Mend or remove that")
        return
    if reason or mirror_entry.disabled:
        return
    unusable = mirror_entry.target.unusable
    if unusable:
        message = f"nobody sends it: Istio sends nothing to {unusable}"
        yield problem(mirror_entry.source, mirror_entry.destination, message, remedy="Mirror to a Service")
    what = _instead(mirror_entry.route)
    otherwise = unusable or next(policies_for(cluster, mirror_entry), None) or _sent_by_another(case, mirror_entry)
    if what and (mirror_entry.route.aborted or not otherwise):
        yield problem(mirror_entry.source, mirror_entry.node, f"its entry {what}, so nothing is sent on or copied")
    if what or otherwise:
        return
    near = sent(cluster, mirror_entry.route)
    remover = next((each.removed_by for each in near if each.removed_by), None)
    if remover and any(not each.removed_by for each in sent_everywhere(cluster, mirror_entry.route)):
        return  # sidecars elsewhere send it
    if remover:
        message = f"{remover.source} takes its route away"
        yield problem(
            mirror_entry.source,
            mirror_entry.node,
            message,
            remedy="Replace REMOVE in the EnvoyFilter, or narrow its match",
        )
    elif not near:
        reasons = standing(cluster, mirror_entry.route).absences
        message = "; ".join(reasons[:3]) if reasons else "no gateway and no sidecar has it"
        yield problem(mirror_entry.source, mirror_entry.node, f"nobody sends it: {message}")


def _instead(route: Route) -> str:
    """What an entry does with every request instead of sending it on; empty for nothing."""
    if route.action != ROUTE:
        return "redirects" if route.action == REDIRECT else "answers itself"
    return "aborts every request" if route.aborted else ""


def _first_at_rest(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> bool:
    """Whether a mirror is the first of an object whose mirrors all rest, so that none that is sent tells of it."""
    routing = cluster.routing
    together = [each for route in routing.of_owner(mirror_entry.route.owner) for each in routing.of_route(route)]
    return together[0] is mirror_entry and all(each.disabled for each in together)


def _sent_by_another(case: Case, mirror_entry: MirrorEntry) -> bool:
    """Whether another entry sends it: those of a delegate all have what the entry that delegates says."""
    if mirror_entry.source is mirror_entry.route.source:
        return False
    routing = case.cluster.routing
    alike = [other for route in routing.of_owner(mirror_entry.route.owner) for other in routing.of_route(route)]
    return any(
        other.node.value is mirror_entry.node.value and next(policies_for(case.cluster, other), None) for other in alike
    )


RULES: Final[tuple[Rule, ...]] = (never_sent,)
