"""Rules on what a mirror leads to: who sends it must see the target, and its settings, and may refer to it."""

from collections.abc import Iterator
from typing import Final

from .clusters import ClusterObjects
from .envoy import GATEWAY
from .known_targets import UNKNOWING, hidden_by_exports, unknowing_sidecars, unknowing_waypoint
from .mirror_entries import MirrorEntry
from .objects import KubeObject
from .patching import cluster_at, sent
from .placements import standing
from .policies import faulty, proxies, workload_selector
from .references import ungranted
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .routes import MESH, ROUTE, Route
from .visibility import EXPORT

EXPORTS: Final = "https://istio.io/latest/docs/reference/config/annotations/#NetworkingExportTo"
DESTINATION_RULE_LOOKUP: Final = (
    "https://istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration"
)


@mirror_rule(
    rule_id="destination-rule-out-of-reach",
    title="A target's DestinationRule is in reach of the proxy that mirrors",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A proxy looks for it in its own namespace, in the target's and in the root namespace; elsewhere it is ignored"
    " with all its brakes and TLS settings.",
    source=DESTINATION_RULE_LOOKUP,
    remedy="Move it to the target's namespace, or export it",
)
def rule_out_of_reach(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report DestinationRules for the target that a sender never finds."""
    for namespace, _, _ in faulty(
        case.cluster, mirror_entry.route, mirror_entry.target, lambda found: found.rule is None
    ):
        covering = case.cluster.destination_rules.covering(mirror_entry.target.host)
        rules = [rule for rule in covering if rule.spec["host"].text() != "*"]
        for_all = [rule for rule in rules if workload_selector(rule) is None]
        if not for_all:
            return
        where = f"proxies in {namespace} that mirror to {mirror_entry.target.host}"
        hiding = next((rule for rule in rules if rule.namespace == namespace and rule not in for_all), None)
        if hiding:
            message = f"{where} are not chosen by it, and because of it they ignore {for_all[0]}"
            remedy = f"Add one without workloadSelector in {namespace}, with exportTo: [{namespace}]"
            yield problem(hiding, "spec.workloadSelector", message, remedy=remedy)
        else:
            yield problem(for_all[0], "metadata.namespace", f"{where} ignore it")
        return


@mirror_rule(
    rule_id="service-entry-hidden",
    title="A target's ServiceEntry is visible to the proxy that mirrors",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A host that is not exported to the proxy's namespace has no cluster there: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/",
    remedy="Add the namespace of the gateway to exportTo",
)
def entry_hidden(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report ServiceEntries that a sender does not see."""
    cluster, host = case.cluster, mirror_entry.target.host
    for sender in () if cluster.service(host) else _senders(cluster, mirror_entry.route):
        if entry := hidden_by_exports(cluster, host, sender):
            message = f"proxies in {sender[1]} that mirror to {host} do not see it"
            yield problem(entry, "spec.exportTo", message, likely=not _at_hand(cluster, mirror_entry.route, sender))
            return


def _senders(cluster: ClusterObjects, route: Route) -> list[tuple[str, str]]:
    """Who sends an entry's mirrors, but for gateways that are nowhere, of which another rule tells."""
    if not cluster.complete:
        return proxies(cluster, route)
    placed = [each.outlet for each in standing(cluster, route).placements if each.action == ROUTE]
    there = (each for each in placed if not each.gateway or cluster.gateways.named(each.gateway))
    return list(dict.fromkeys((each.context, each.namespace) for each in there))


def _at_hand(cluster: ClusterObjects, route: Route, sender: tuple[str, str]) -> bool:
    """Whether pods of a sender are at hand, or for sidecars any workloads of its namespace."""
    context, namespace = sender
    bound = (each for each in route.gateways if each != MESH)
    at = [each for each in bound if namespace in cluster.gateways.namespaces_of(each)]
    return any(map(cluster.gateways.has_pods_of, at)) if context == GATEWAY else namespace in cluster.namespaces


@mirror_rule(
    rule_id="mirror-target-hidden",
    title="A target's Service is exported to the proxy that mirrors",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A Service that does not export itself to the proxy's namespace has no cluster there: copies vanish. A waypoint"
    " has clusters for its own Services, and for what routes for them by their full names lead to. What its Sidecar"
    " leaves out, a proxy knows where entries lead there, but for those whose matches name other namespaces alone.",
    source=f"Held against istiod; {EXPORTS}",
    remedy=f"Add the namespace to the annotation {EXPORT} of the Service",
)
def hidden(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report Services that a sender does not see."""
    cluster, host = case.cluster, mirror_entry.target.host
    for sender in _senders(cluster, mirror_entry.route) if cluster.service(host) else ():
        if service := hidden_by_exports(cluster, host, sender):
            message = f"proxies in {sender[1]} that mirror to {host} do not see it"
            yield problem(service, f"metadata.annotations.{EXPORT}", message)
            return
    if waypoint := unknowing_waypoint(cluster, mirror_entry.route, host):
        message = f"the waypoint {waypoint} knows no {host}: the route is for a pattern of its hosts"
        remedy = "Name the Services in the route's hosts"
        yield problem(mirror_entry.source, mirror_entry.destination, message, remedy=remedy)
    elif place := unknowing_sidecars(cluster, mirror_entry.route, mirror_entry.target):
        message = f"sidecars in {place} know no {host}: {UNKNOWING}"
        remedy = "Name the target in the Sidecar, or give the match without sourceNamespace an entry of its own"
        yield problem(mirror_entry.source, mirror_entry.destination, message, remedy=remedy)


@mirror_rule(
    rule_id="mirror-not-granted",
    settings=("complete",),
    title="A target in another namespace lets the route refer to it",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="On a gateway, a reference of the Gateway API to another namespace counts only with a ReferenceGrant there;"
    " without it the mirror is left out, and only the route's status says so.",
    source="https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
    remedy="Add a ReferenceGrant in the target's namespace",
    unsent=True,
)
def not_granted(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors of the Gateway API to another namespace that grants nothing, unless an EnvoyFilter writes them."""
    message = ungranted(case.cluster, mirror_entry)
    if message and not _sent_all_the_same(case.cluster, mirror_entry):
        yield problem(mirror_entry.source, mirror_entry.destination, message)


def _sent_all_the_same(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> bool:
    """Whether every gateway has a mirror that the route alone does not give it."""
    at_gateways = [each for each in sent(cluster, mirror_entry.route) if each.placement.outlet.context == GATEWAY]
    return bool(at_gateways) and all(
        any(policy.cluster == cluster_at(cluster, mirror_entry, each.placement.outlet) for policy in each.policies)
        for each in at_gateways
    )


@mirror_rule(
    rule_id="mirror-destination-rule-twice",
    title="One DestinationRule governs a target",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Of two DestinationRules for one host in one namespace Istio takes the older one's traffic policy.",
    source="https://istio.io/latest/docs/ops/best-practices/traffic-management/",
    remedy="Merge them",
)
def rule_twice(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report a second DestinationRule for the target's host in one namespace."""
    seen: dict[tuple[str, bool, frozenset[tuple[str, str]]], KubeObject] = {}
    rules = case.cluster.destination_rules.exactly(mirror_entry.target.host)
    for rule in rules if len(rules) > 1 else ():
        selector = workload_selector(rule)
        key = (rule.namespace, selector is None, frozenset((selector or {}).items()))
        first = seen.setdefault(key, rule)
        if first is not rule and first.spec["trafficPolicy"].given and rule.spec["trafficPolicy"].given:
            yield problem(rule, "spec.host", f"{first} governs {mirror_entry.target.host} as well")
    case.cluster.destination_rules.require_known()


RULES: Final[tuple[Rule, ...]] = (rule_out_of_reach, rule_twice, entry_hidden, hidden, not_granted)
