"""Rule on the primary of a mirror: who sends must have a cluster for it, or answers 503 and copies nothing."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from .clusters import ClusterObjects
from .envoy import SIDECAR
from .known_targets import unknown_at
from .mirror_entries import MirrorEntry
from .outlets import Outlet, port_at
from .patching import patched_cluster
from .placements import standing
from .policies import policies
from .ports import port_nodes, port_number
from .references import unknown_service
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .routes import MESH, ROUTE, Route, Target
from .sidecar_ports import is_alias, meant_host
from .targets import lacks_port, lacks_subset, why_undefined


@mirror_rule(
    rule_id="mirror-primary-undefined",
    settings=("complete",),
    title="The primary of a mirror is known to the mesh",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A proxy without a cluster for the primary answers 503 at once and copies nothing.",
    source="Measured; https://istio.io/latest/docs/ops/common-problems/network-issues/",
    remedy="Correct the primary's host, port or subset, or define it where the proxy sees it",
    unsent=True,
)
def primary_undefined(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report routes for Services that nothing defines, and those of which some sender has no primary's cluster."""
    cluster, route = case.cluster, mirror_entry.route
    hosts = route.hosts if MESH in route.gateways and not route.native else ()
    strangers = [host for host in hosts if unknown_service(cluster, host)]
    if hosts and len(strangers) == len(hosts):
        message = f"no Service {strangers[0]} is defined, so nobody calls it by that name"
        yield problem(route.owner, "spec.hosts", message, remedy="Correct the host, or define the Service")
    primaries = [each for each in route.primaries if each.host] if cluster.complete else []
    found = [_why_nowhere(cluster, each) for each in primaries]
    if found and all(reason for reason, _ in found):
        yield _without_cluster(route, *found[0])
        return
    placed = [each.outlet for each in standing(cluster, route).placements if each.action == ROUTE]
    for outlet in placed if primaries else ():
        pairs = zip(primaries, found, strict=True)
        lacking = [reason or _why_absent(cluster, route, each, outlet) for each, (reason, _) in pairs]
        if all(lacking):
            yield _without_cluster(route, lacking[0], likely=not outlet.sure)
            return


def _meant(cluster: ClusterObjects, target: Target) -> Target:
    """A target; of one that is a Service of type ExternalName what it stands for, which requests go to."""
    return replace(target, host=meant_host(cluster, target.host)) if is_alias(cluster, target.host) else target


def _why_nowhere(cluster: ClusterObjects, primary: Target) -> tuple[str, str]:
    """Why no proxy has a cluster for a primary, and what to do about it where that is not the rule's own remedy."""
    if primary.malformed:
        return "", ""  # nobody has the entry, which mirror-never-sent tells
    if primary.unusable:
        return f"Istio sends nothing to {primary.unusable}", "Lead to a Service"
    undefined = why_undefined(cluster, primary.host)
    return undefined or (lacks_port(cluster, _meant(cluster, primary)), "")


def _without_cluster(route: Route, reason: str, remedy: str = "", *, likely: bool = False) -> Report:
    message = f"its primary has no cluster: {reason}"
    return problem(route.source, route.entry, message, remedy=remedy, likely=likely)


def _why_absent(cluster: ClusterObjects, route: Route, primary: Target, outlet: Outlet) -> str:
    """Why the proxies of an outlet have no cluster for a primary that some have; empty where they have one."""
    port, target = port_at(cluster, primary, outlet), _meant(cluster, primary)
    found = port_nodes(cluster, target.host)
    own = cluster.ports_of(primary.host)
    if target is not primary and outlet.context == SIDECAR and outlet.port and outlet.port not in own:
        # istiod looks for what it stands for among what is called on the listener's port.
        return f"{primary.host} stands for {target.host} on its own ports alone, and not {outlet.words}"
    if port and found and port not in map(port_number, found[1]):
        return f"it is given without a port, and {found[0]} has no port {port}, as requests have {outlet.words}"
    target = target if primary.port is not None else replace(target, port=port)
    if unknowing := unknown_at(cluster, route, outlet, target):
        return unknowing
    if port and cluster.patches.removes_clusters:
        remover = patched_cluster(cluster, route, outlet, target.cluster_name).removed_by
        if remover:
            return f"{remover.source} takes {target.cluster_name} away"
    if not target.subset:
        return ""
    possible = policies(cluster, route, target, (outlet.context, outlet.namespace))
    faults = [lacks_subset(cluster, target, each) for each in possible]
    return faults[0] if all(faults) else ""


RULES: Final[tuple[Rule, ...]] = (primary_undefined,)
