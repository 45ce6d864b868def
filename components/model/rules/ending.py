"""Rules on brakes that are there and hold less than they seem to."""

from collections.abc import Iterator
from typing import Final

from .braking import route_timeout
from .clusters import ClusterObjects
from .effects import named
from .gateways import labels, selects
from .lookups import Lookup
from .mends import remove, write
from .mirror_entries import MirrorEntry
from .nodes import UNKNOWN
from .objects import KubeObject
from .patching import out_of_reach, patched_cluster, policies_for
from .policies import Policy, faulty
from .reach import service_entry
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .routes import Target

OUTLIERS: Final = "outlierDetection"
DEFAULT_EJECTED: Final = 10
"""Per cent of endpoints that Envoy takes out at most where nobody says more."""

_WHOLE: Final = 100
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TRACES: Final = frozenset({"traceparent", "x-b3-traceid", "b3"})


@mirror_rule(
    rule_id="mirror-ejects-nobody",
    finds_by=(Lookup.PODS,),
    title="Outlier detection takes a mirror that fails out",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Envoy takes out no more than a tenth of the endpoints unless told otherwise, of fewer than ten none; with"
    " minHealthPercent those that are out still get everything while too few are well.",
    source="Measured on Envoy 1.39.3; https://istio.io/latest/docs/reference/config/networking/destination-rule/"
    "#OutlierDetection",
    remedy="Set maxEjectionPercent to 100 and leave minHealthPercent out",
)
def ejects_nobody(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report outlier detection that has no effect on a mirror whose endpoints all fail."""
    count = _endpoints(case.cluster, mirror_entry.target)

    def idle(found: Policy) -> str:
        outliers = found.setting(OUTLIERS)
        if not outliers.given:
            return ""
        least = outliers["minHealthPercent"].number()
        if least:
            return f"with minHealthPercent {least:g} endpoints that are taken out still get everything when all fail"
        given = outliers["maxEjectionPercent"].number()
        most = DEFAULT_EJECTED if given is None else given
        if count and count * most < _WHOLE:
            return f"of {count} endpoint{'s' if count > 1 else ''} none is taken out at {most:g} % at most"
        return ""

    for _, found, reason in faulty(case.cluster, mirror_entry.route, mirror_entry.target, idle):
        outliers, subject = found.setting(OUTLIERS), found.source(OUTLIERS)
        if subject is None:
            yield problem(mirror_entry.source, mirror_entry.node, f"of the mesh's default policy: {reason}")
            return
        least = outliers["minHealthPercent"]
        mend = (write(outliers, "maxEjectionPercent", value=100), *((remove(least),) if least.given else ()))
        yield problem(subject, outliers, reason, mend=mend)
        return


def _endpoints(cluster: ClusterObjects, target: Target) -> int | None:
    """How many endpoints a target has at least; None where that is not at hand."""
    service = cluster.service(target.host)
    if service:
        wanted = labels(service.spec["selector"])
        if not wanted or service.spec["clusterIP"].text() == "None":
            return None
        taken = [
            each for each, pods in cluster.workloads if each.namespace == service.namespace and selects(wanted, pods)
        ]
        counts = [each.spec["replicas"].integer() if each.spec["replicas"].given else 1 for each in taken]
        scaled = all(each.kind in ("Deployment", "StatefulSet") for each in taken)
        return sum(count or 0 for count in counts) if counts and scaled else None
    entry = service_entry(cluster, target.host)
    endpoints = entry.spec["endpoints"] if entry else None
    if endpoints is None or endpoints.value is UNKNOWN or not endpoints.elements():
        return None
    return len(endpoints.elements())


@mirror_rule(
    rule_id="mirror-uploads-unbounded",
    title="What is still being sent to a mirror ends, too",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="A route's timeout starts when the request has been received whole: a mirror that stopped reading still held an"
    " upload after 12 s under a timeout of 2 s; max_stream_duration of 2 s ended it after 2.1 s.",
    source="Measured on Envoy 1.39.3; https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts",
    remedy="Set max_stream_duration on the mirror's cluster by an EnvoyFilter",
)
def uploads_unbounded(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors that nothing but the route's timeout bounds, where requests with a body may be copied."""
    timeout = route_timeout(mirror_entry)
    if not timeout:
        return
    methods = [frozenset(found.http_methods) for found in named(mirror_entry)]
    if all(each and each <= _WITHOUT_BODY for each in methods):
        return
    for each, policy in policies_for(case.cluster, mirror_entry):
        outlet = each.placement.outlet
        if not patched_cluster(case.cluster, mirror_entry.route, outlet, policy.cluster).bound:
            message = f"the timeout of {timeout:g} s does not end copies of uploads and streams"
            yield problem(
                mirror_entry.source,
                mirror_entry.node,
                message,
                waived=mirror_entry.waiver("brakes") or mirror_entry.waiver("life"),
                likely=not out_of_reach(case.cluster, outlet, policy.cluster),
            )
            return


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-trace-context",
    title="Nobody counts on a copy without trace context",
    severity=Severity.NOTICE,
    scope=Scope.ROUTE,
    why="While tracing is on, the proxy writes the trace context of a copy after the mutations of its mirror policy.",
    source="Measured on Envoy 1.39.3; https://istio.io/latest/docs/tasks/observability/distributed-tracing/",
    remedy="Remove it at the receiver's route, or turn tracing off at the proxies that mirror",
)
def trace_context(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report mirror policies that take trace context off."""
    for patch in case.cluster.patches.of_source(subject):
        for found in patch.policies:
            for name in sorted(found.removed & _TRACES):
                yield problem(subject, found.node, f"{name} is taken off, and tracing puts it back")


RULES: Final[tuple[Rule, ...]] = (ejects_nobody, uploads_unbounded, trace_context)
