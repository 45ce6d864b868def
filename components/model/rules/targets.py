"""Rules on where mirrors go: the target must exist, be named without doubt, and be allowed."""

from collections.abc import Iterator
from typing import Final

from ..routing import service_host
from .clusters import ClusterObjects
from .envoy import GATEWAY
from .filter_mirrors import FilterMirror
from .gateways import labels, selects
from .hosts import covers
from .mends import Edit, write
from .mirror_entries import MirrorEntry
from .nodes import Node
from .objects import KubeObject, service_name
from .outlets import Outlet
from .patching import cluster_at, sent
from .policies import Policy, faulty, home
from .ports import port_nodes, port_number
from .reach import pattern_entry, service_entry
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, mirror_rule, problem
from .routes import Target
from .settings import RuleSettings
from .sidecar_ports import meant_host

DESTINATION_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/virtual-service/#Destination"
_BY_DNS: Final = frozenset({"DNS", "DNS_ROUND_ROBIN"})
"""Resolutions of ServiceEntries whose clusters hold their endpoints themselves: without any there is no cluster."""


@mirror_rule(
    rule_id="mirror-target-short-name",
    title="The target is a full name",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Istio completes a name without dots with the route's namespace, and takes every other short form as it is.",
    source=DESTINATION_REFERENCE,
    remedy="Write name.namespace.svc.cluster.local",
)
def short_name(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report short names."""
    written = mirror_entry.target.written
    if mirror_entry.route.native or not written or service_name(written) or service_entry(case.cluster, written):
        return
    if "." not in written:
        place = mirror_entry.destination["host"]
        if not mirror_entry.source.root["metadata"]["namespace"].given:  # whoever applies it chooses the namespace
            message = f"{written!r} means another Service in each namespace that this is applied to"
            yield problem(mirror_entry.source, place, message, likely=True)
            return
        message = f"{written!r} means {mirror_entry.target.host} in this namespace only"
        mend = (write(mirror_entry.destination, "host", value=mirror_entry.target.host),)
        yield problem(mirror_entry.source, place, message, mend=mend)
    elif written.count(".") == 1 or written.endswith(".svc"):
        yield problem(
            mirror_entry.source,
            mirror_entry.destination["host"],
            f"{written!r} is not completed: Istio takes it as it is",
            likely=True,
        )


@mirror_rule(
    rule_id="mirror-target-no-port",
    title="The target's port is known",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Without a port a sidecar takes the port that the caller called, and a gateway the target's only one or else"
    " its listener's; where the target lacks that port, nothing is mirrored, in silence.",
    source=f"Held against istiod; {DESTINATION_REFERENCE}",
    remedy="Add port: {number: …}",
)
def no_port(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report targets without a port, unless every sender comes by one that it has, or by an EnvoyFilter's own list."""
    if mirror_entry.target.port is not None:
        return
    numbers = case.cluster.ports_of(mirror_entry.target.host)
    places = sent(case.cluster, mirror_entry.route)
    kept = [each for each in places if not each.removed_by]
    own = [each for each in kept if not each.applied or any(at.node is mirror_entry.node for at in each.policies)]
    if places and not own:
        return
    outlets = [each.placement.outlet for each in own]
    taken = [(outlet, cluster_at(case.cluster, mirror_entry, outlet).split("|")[1]) for outlet in outlets]
    if taken and numbers and all(port.isdigit() and int(port) in numbers for _, port in taken):
        return
    lacking = next(((outlet, port) for outlet, port in taken if port and int(port) not in numbers), None)
    message = f"{mirror_entry.target.written or 'the target'} is given without a port"
    if lacking and numbers:
        message += f": copies {lacking[0].words} go to port {lacking[1]}, which it does not have"
    mend: tuple[Edit, ...] = ()
    if len(numbers) == 1 and mirror_entry.target.host:
        only = numbers[0] if mirror_entry.route.native else {"number": numbers[0]}
        mend = (write(mirror_entry.destination, "port", value=only),)
    likely = not (lacking and numbers and _is_known(case.cluster, lacking[0]))
    yield problem(mirror_entry.source, mirror_entry.destination, message, mend=mend, likely=likely)


def _is_known(cluster: ClusterObjects, outlet: Outlet) -> bool:
    """Whether nothing that is not at hand may give the senders of an outlet other ports."""
    if outlet.context == GATEWAY:
        return outlet.sure
    return outlet.sure and any(host in cluster.registered_hosts for host in outlet.hosts)


def _filter_undefined(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    if mirror.target:
        yield from _undefined(case, mirror.source, mirror.node, mirror.target)


@mirror_rule(
    rule_id="mirror-target-undefined",
    settings=("complete",),
    title="The target is known to the mesh",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A route to a host that no Service and no ServiceEntry defines has no cluster: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/",
    remedy="Define a ServiceEntry for an outside host, or correct the name",
    unsent=True,
    by_filter=_filter_undefined,
)
def undefined(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report targets that nothing defines, but for those of a kind that Istio sends nothing to."""
    if mirror_entry.target.unusable:
        return iter(())
    return _undefined(case, mirror_entry.source, mirror_entry.destination, mirror_entry.target)


def _undefined(case: Case, source: KubeObject, place: Node, target: Target) -> Iterator[Report]:
    found = why_undefined(case.cluster, target.host) if target.host else ("no target host is named", "")
    if found:
        yield problem(source, place, found[0], remedy=found[1])


def why_undefined(cluster: ClusterObjects, host: str) -> tuple[str, str] | None:
    """Why nothing defines a host, and what to do about it where a rule says something else; None where something does.

    Of missing objects only what all objects of a cluster tell counts.
    """
    service = cluster.service(host) if service_name(host) else None
    if pattern := pattern_entry(cluster, host):
        message = f"{pattern} defines {', '.join(pattern.spec['hosts'].texts())}, which makes no cluster for {host}"
        return message, f"Define a ServiceEntry for {host} itself"
    if not cluster.complete or service_entry(cluster, host):
        return None
    if service:
        message = _stands_for_nothing(cluster, service)
        return (message, "Define a ServiceEntry for the outside host, and lead to that") if message else None
    if service_name(host):
        # Files often leave Services to another folder; with some of the namespace at hand this one should be there.
        given = any(service.namespace == home(cluster, host) for service in cluster.of("Service"))
        return (f"no Service {host} is defined", "") if given else None
    refused = next((each for each in cluster.of("ServiceEntry") if host in each.spec["hosts"].texts()), None)
    return (f"{refused}, which defines {host}, is refused" if refused else f"no ServiceEntry defines {host}"), ""


def _stands_for_nothing(cluster: ClusterObjects, service: KubeObject) -> str:
    """What is wrong with a Service of type ExternalName that stands for a host which nothing defines.

    Source: GetDestinationCluster of Istio's pilot.
    """
    if service.spec["type"].text() != "ExternalName":
        return ""
    host = meant_host(cluster, service_host(service.name, service.namespace))
    if not host:
        return f"{service} is of type ExternalName, and leads to no other host in the end"
    known = port_nodes(cluster, host)
    return "" if known else f"{service} is of type ExternalName, and no ServiceEntry defines {host} for it"


def _filter_port(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    if mirror.target and (message := lacks_port(case.cluster, mirror.target)):
        yield problem(mirror.source, mirror.node, message)


def lacks_port(cluster: ClusterObjects, target: Target) -> str:
    """What is wrong with the port of a target; empty for nothing, and where it is left out."""
    found = port_nodes(cluster, target.host)
    if target.port is None or found is None:
        return ""
    numbers = [port_number(node) for node in found[1]]
    known = ", ".join(str(number) for number in numbers if number) or "no port"
    return "" if target.port in numbers else f"{found[0]} has {known}, not {target.port}"


@mirror_rule(
    rule_id="mirror-target-port-undefined",
    title="The target has the port that is named",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="There is no cluster for a port that the Service or ServiceEntry lacks: copies vanish without an error.",
    source=DESTINATION_REFERENCE,
    remedy="Name one of the target's ports, or add the port to it",
    by_filter=_filter_port,
)
def port_undefined(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report ports that the target lacks."""
    if message := lacks_port(case.cluster, mirror_entry.target):
        yield problem(mirror_entry.source, mirror_entry.destination, message)


@mirror_rule(
    rule_id="mirror-subset-undefined",
    settings=("complete",),
    title="The target's subset is defined",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A subset that no DestinationRule in reach defines has no cluster, nor has one of a ServiceEntry resolved by"
    " DNS none of whose endpoints has its labels: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/destination-rule/#Subset",
    remedy="Define the subset in the DestinationRule of its host",
)
def subset_undefined(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report subsets that no DestinationRule defines."""
    cluster, target = case.cluster, mirror_entry.target
    faults = faulty(cluster, mirror_entry.route, target, lambda found: lacks_subset(cluster, target, found))
    for _, found, message in faults if target.subset else ():
        likely = found.rule is None or found.by_order
        yield problem(mirror_entry.source, mirror_entry.destination, message, likely=likely)
        return


def lacks_subset(cluster: ClusterObjects, target: Target, found: Policy) -> str:
    """Why a proxy that a policy governs has no cluster for the subset of a target; empty where it has one."""
    if not found.subset.given:
        if not found.rule:
            where = f"no DestinationRule for {target.host} is in reach" if cluster.complete else ""
        else:
            where = f"{found.rule} does not define it"
        return f"subset {target.subset!r} is unknown: {where}" if where else ""
    entry = service_entry(cluster, target.host)
    if not entry or entry.spec["resolution"].text() not in _BY_DNS or entry.spec["workloadSelector"].given:
        return ""
    wanted = labels(found.subset["labels"])
    endpoints = [labels(node["labels"]) for node in entry.spec["endpoints"].elements()]
    none = wanted and not any(selects(wanted, each) for each in endpoints)
    return f"no endpoint of {entry} has the labels of subset {target.subset!r} in {found.rule}" if none else ""


def _filter_target(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    if mirror.target is None:
        yield Unjudged(
            subject=mirror.source,
            field=mirror.node.path,
            message="is aimed in a way that only the proxy understands, so that its target is held against no list",
            remedy="Name the cluster, or set its header to %CEL(<condition> ? '<cluster>' : '')%",
        )
    elif not _may_be_target(case, mirror.target.host):
        yield problem(mirror.source, mirror.node, _not_among(case, mirror.target.host))


def _may_be_target(case: Case, host: str) -> bool:
    return any(covers(pattern, host) for pattern in case.settings.allowed_targets)


def _not_among(case: Case, host: str) -> str:
    return f"{host} is not among {', '.join(case.settings.allowed_targets)}"


def _names_targets(allowed: RuleSettings) -> bool:
    return bool(allowed.allowed_targets)


@mirror_rule(
    rule_id="mirror-target-not-allowed",
    settings=("allowed_targets",),
    title="Mirrors go only to allowed targets",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A mirror carries production data to wherever it goes.",
    source="Set by the organisation; off by default.",
    remedy="Choose an allowed target, or have this one allowed",
    unsent=True,
    by_filter=_filter_target,
    limited=_names_targets,
)
def not_allowed(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report targets that are not allowed."""
    host = mirror_entry.target.host
    if _names_targets(case.settings) and not _may_be_target(case, host):
        yield problem(mirror_entry.source, mirror_entry.destination, _not_among(case, host))


RULES: Final[tuple[Rule, ...]] = (
    short_name,
    no_port,
    undefined,
    port_undefined,
    subset_undefined,
    not_allowed,
)
