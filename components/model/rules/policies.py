"""Which DestinationRules govern a mirror, and what they say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from .clusters import ClusterObjects
from .envoy import WAYPOINT
from .gateways import labels
from .nodes import Node
from .objects import KubeObject, exported, service_name
from .outlets import port_at
from .placements import standing
from .reach import service_entry
from .routes import ROUTE, Route, Target
from .waypoints import behind_any

_NOTHING: Final = Node(None)
Fault = TypeVar("Fault")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What governs requests to a target.

    Attributes:
        rule: The DestinationRule, of several that Istio merges the one with a traffic policy; None when none is in
            reach.
        subset: The target's subset; nothing when the target has none, or no rule defines it.
        layers: Traffic policies and who says them, the most specific first; a later one fills in what an earlier one
            leaves out.
        mesh: The mesh's configuration.
        defaults: Its default traffic policy, which fills in what all of them leave out.
        by_order: Whether the order of the objects alone decides which of several rules it is: age does in a cluster,
            and they do not say when they were made.
    """

    rule: KubeObject | None
    subset: Node = field(default=_NOTHING, repr=False)
    layers: tuple[tuple[KubeObject, Node], ...] = field(default=(), repr=False)
    mesh: Node = field(default=_NOTHING, repr=False)
    defaults: Node = field(default=_NOTHING, repr=False)
    by_order: bool = False

    def setting(self, *path: str) -> Node:
        """A setting; Istio merges layers by their first key only."""
        for _, layer in self.layers:
            if layer[path[0]].given:
                return layer.at(*path)
        return self.defaults.at(*path) if self.defaults.given else _NOTHING

    def source(self, key: str) -> KubeObject | None:
        """The DestinationRule that says something under a first key; the governing one where none does."""
        return next((rule for rule, layer in self.layers if layer[key].given), self.rule)

    @property
    def tls_mode(self) -> str:
        """How connections are secured; empty when nothing is said."""
        return self.setting("tls", "mode").text().upper()


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What may govern requests to a target from the proxies of a namespace.

    Attributes:
        chosen: Policies for some workloads, with the labels that choose them.
        general: The policy for all others.
    """

    chosen: tuple[tuple[dict[str, str], Policy], ...]
    general: Policy


def proxies(cluster: ClusterObjects, route: Route) -> list[tuple[str, str]]:
    """Who sends a route's mirrors: kind of proxy and namespace, for each gateway and for sidecars."""
    return cluster.once(("proxies", route), lambda: list(standing(cluster, route).senders))


def home(cluster: ClusterObjects, host: str, namespace: str = "") -> str:
    """Namespace of the Service, or of the ServiceEntry that ``namespace`` sees, behind a host; empty for none."""
    service = service_name(host)
    if service:
        return service[1]
    entry = service_entry(cluster, host, namespace)
    return entry.namespace if entry else ""


def policies(cluster: ClusterObjects, route: Route, target: Target, sender: tuple[str, str]) -> Sequence[Policy]:
    """What governs requests to ``target`` from a sender of ``route``'s; several where it cannot be told which."""
    context, namespace = sender
    found = cluster.once(("policies", target.cluster_name, namespace), lambda: _find(cluster, target, namespace))
    possible: list[Policy] = []
    for wanted, policy in found.chosen:
        taken = cluster.gateways.chooses(wanted, context, namespace, route)
        if taken is not False:
            possible.append(policy)
        if taken:
            break
    else:
        possible.append(found.general)
    if context == WAYPOINT and _takes_in(cluster, namespace, target.host):
        return [replace(each, defaults=_NOTHING) for each in possible]
    return possible


def _takes_in(cluster: ClusterObjects, namespace: str, host: str) -> bool:
    """Whether a waypoint of a namespace stands before a Service, for which the mesh has no defaults there.

    Source: buildWaypointInboundVIPCluster of Istio's pilot.
    """
    return any(each.waypoint.partition("/")[0] == namespace for each in behind_any(cluster, host))


def policies_in(cluster: ClusterObjects, target: Target, namespace: str) -> Sequence[Policy]:
    """What may govern requests to ``target`` from a namespace; that for all its proxies which no labels choose last."""
    found = cluster.once(("policies", target.cluster_name, namespace), lambda: _find(cluster, target, namespace))
    return (*(policy for _, policy in found.chosen), found.general)


def faulty(
    cluster: ClusterObjects, route: Route, target: Target, fault: Callable[[Policy], Fault]
) -> Iterator[tuple[str, Policy, Fault]]:
    """Namespace, policy and fault of each sender whose every possible policy has a fault, for each port of its own."""
    for sender in proxies(cluster, route):
        for each in _with_ports(cluster, route, target, sender):
            possible = policies(cluster, route, each, sender)
            faults = [fault(policy) for policy in possible]
            if all(faults):
                yield sender[1], possible[0], faults[0]


def _with_ports(cluster: ClusterObjects, route: Route, target: Target, sender: tuple[str, str]) -> list[Target]:
    """A target as a sender has it: where it is written without a port, with that of each place that it is sent from."""
    if target.port is not None:
        return [target]
    outlets = [each.outlet for each in standing(cluster, route).placements if each.action == ROUTE]
    near = [each for each in outlets if (each.context, each.namespace) == sender]
    ports = dict.fromkeys(port_at(cluster, target, each) for each in near)
    return [replace(target, port=port) for port in ports]


@dataclass
class _Merged:
    """DestinationRules that Istio takes for one: those that came later fill in what the first leaves out."""

    selector: dict[str, str] | None
    exports: frozenset[str]
    rules: list[KubeObject]


def _find(cluster: ClusterObjects, target: Target, namespace: str) -> Policies:
    """Of rules for all workloads that are not merged the youngest governs. Source: SidecarScope.DestinationRule."""
    mesh = Node(cluster.mesh_config or None)
    rules = _in_force(cluster, target.host, namespace)
    merged = _merge(rules)
    by_order = len(rules) > 1 and _by_order(rules, merged, target)
    found = [(each.selector, _policy(each.rules, target, mesh, by_order=by_order)) for each in merged]
    general = [policy for selector, policy in found if selector is None]
    return Policies(
        chosen=tuple((selector, policy) for selector, policy in found if selector is not None),
        general=general[-1] if general else Policy(rule=None, mesh=mesh, defaults=mesh["defaultTrafficPolicy"]),
    )


def _by_order(rules: Sequence[KubeObject], merged: Sequence[_Merged], target: Target) -> bool:
    """Whether another order of rules that do not say when they were made may change what governs a target."""
    if all(rule.created for rule in rules):
        return False
    apart = sum(each.selector is None for each in merged) > 1
    ruling = [rule for rule in rules if rule.spec["trafficPolicy"].given]
    subsets = [node["name"].text() for rule in rules for node in rule.spec["subsets"].elements()]
    return apart or len(ruling) > 1 or subsets.count(target.subset) > 1


def _merge(rules: Sequence[KubeObject]) -> list[_Merged]:
    """Merge rules for one host as Istio does: by who sees them and which workloads they choose, the oldest first.

    One without a selector that is exported to ``.`` is merged into those with one, and is nobody else's any more. One
    that more namespaces see is merged into an older one that fewer see. Files do not say which is older: their order
    counts. Source: mergeDestinationRule and sortConfigBySelectorAndCreationTime;
    https://github.com/istio/istio/issues/58322.
    """
    merged: list[_Merged] = []
    for rule in sorted(rules, key=lambda rule: (workload_selector(rule) is None, rule.created)):
        selector = workload_selector(rule)
        exports = frozenset(rule.exported_to if selector is None else (".",))
        stays_apart = True
        for other in merged:
            stays_apart = exports != other.exports
            if stays_apart and not (other.exports and exports >= other.exports):
                continue
            if (selector is None) == (other.selector is None):
                stays_apart = selector != other.selector
            if selector is None or other.selector is None or selector == other.selector:
                other.rules.append(rule)
        if stays_apart:
            merged.append(_Merged(selector, exports, [rule]))
    return merged


def _in_force(cluster: ClusterObjects, host: str, namespace: str) -> list[KubeObject]:
    """The DestinationRules that Istio looks at for a host and a proxy in ``namespace``.

    Those of the proxy's namespace, else of the Service's, else of the root namespace, and of these the ones of the
    narrowest host only, even if they are then for other workloads. Of the root namespace's own proxies only private
    rules come first. Source: PushContext.destinationRule and setDestinationRules.
    """
    levels = cluster.destination_rules.by_width(host)
    if not levels:
        return []
    own = _private if namespace == cluster.root_namespace else _local
    if found := _narrowest(levels, namespace, own):
        return found
    for place in (home(cluster, host, namespace), cluster.root_namespace):
        shared = _narrowest(levels, place, lambda rule: not _private(rule))
        if found := [rule for rule in shared if exported(rule, namespace)]:
            return found
    return []


def _narrowest(
    levels: Sequence[Sequence[KubeObject]], namespace: str, fits: Callable[[KubeObject], bool]
) -> list[KubeObject]:
    """Rules of a namespace that fit, of the narrowest host that some are for."""
    for rules in levels:
        found = [rule for rule in rules if rule.namespace == namespace and fits(rule)]
        if found:
            return found
    return []


def workload_selector(rule: KubeObject) -> dict[str, str] | None:
    """Labels of the pods that a DestinationRule is for; None when it is for all."""
    selector = rule.spec["workloadSelector"]
    return labels(selector["matchLabels"]) if selector.given else None


def _private(rule: KubeObject) -> bool:
    """Whether a rule is for its own namespace alone, as each with a selector is."""
    return workload_selector(rule) is not None or rule.exports == frozenset((rule.namespace,))


def _local(rule: KubeObject) -> bool:
    """Whether a rule is for its own namespace too."""
    return workload_selector(rule) is not None or exported(rule, rule.namespace)


def _policy(rules: Sequence[KubeObject], target: Target, mesh: Node, *, by_order: bool) -> Policy:
    """What rules for one host say together: all their subsets, and the first traffic policy.

    Source: mergeDestinationRule.
    """
    ruling = next((rule for rule in rules if rule.spec["trafficPolicy"].given), rules[0])
    definer, subset = ruling, _NOTHING
    if target.subset:
        subsets = ((rule, node) for rule in rules for node in rule.spec["subsets"].elements())
        named = ((rule, node) for rule, node in subsets if node["name"].text() == target.subset)
        definer, subset = next(named, (ruling, _NOTHING))
    layers: list[tuple[KubeObject, Node]] = []
    for rule, holder in ((definer, subset), (ruling, ruling.spec)):
        whole = holder["trafficPolicy"]
        port = _of_port(whole, target.port)
        if port:
            # Settings of a port stand alone: nothing is inherited below them.
            layers.append((rule, port))
            break
        layers.append((rule, whole))
    given = tuple((rule, layer) for rule, layer in layers if layer.given)
    return Policy(
        rule=ruling,
        subset=subset,
        layers=given,
        mesh=mesh,
        defaults=mesh["defaultTrafficPolicy"],
        by_order=by_order,
    )


def _of_port(whole: Node, port: int | None) -> Node | None:
    settings = whole["portLevelSettings"].elements()
    return next((node for node in settings if port is not None and node["port"]["number"].integer() == port), None)
