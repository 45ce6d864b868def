"""Rules on mirrors that only a pipeline needs: what is about to end, and what gets mirrors only."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from pulumi_traffic_mirror.model import Brakes, Expiry, ValidationError
from pulumi_traffic_mirror.model.render.destinations import traffic_policy
from pulumi_traffic_mirror.model.rules import MirrorEntry, Node, Rule, Scope, Severity
from pulumi_traffic_mirror.model.rules.filter_mirrors import FilterMirror
from pulumi_traffic_mirror.model.rules.mends import write
from pulumi_traffic_mirror.model.rules.objects import ROUTES, KubeObject
from pulumi_traffic_mirror.model.rules.registry import FILTER, Case, Problem, mirror_rule, problem
from pulumi_traffic_mirror.model.rules.writing import end_of

from ..resources import Resource
from .registry import Judgement, OrganisationLimits, ResourceRule, fault, guarded

NOTICE_DAYS: Final = 7
"""Days before its end from which a mirror is reported: one working week to renew or remove it."""

LIMITS: Final = (
    ("tcp", "maxConnections"),
    ("tcp", "connectTimeout"),
    ("http", "http1MaxPendingRequests"),
    ("http", "http2MaxRequests"),
)
"""Fields of a connectionPool that bound what a mirror holds; Istio leaves all of them open."""


def _filter_end_soon(case: Case, mirror: FilterMirror) -> Iterator[Problem]:
    yield from _soon(case, mirror.source, mirror.node, mirror.end)


def _soon(case: Case, source: KubeObject, node: Node, text: str) -> Iterator[Problem]:
    now = case.mesh.now
    if not now or not text:
        return
    try:
        end = Expiry.parse(text)
    except ValidationError:
        return
    if not end.has_passed(now) and end.has_passed(now + timedelta(days=NOTICE_DAYS)):
        yield problem(source, node, f"its end, {end}, is less than {NOTICE_DAYS} days away")


@mirror_rule(
    rule_id="mirror-expires-soon",
    decided_by=(*ROUTES, FILTER),
    title="A mirror that ends within a week is renewed or removed in time",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="After its end every deployment of the stack is refused.",
    source="The annotation that MirroredService and MirrorOverlay write for expires.",
    remedy="Remove the mirror, or give it a later end",
    by_filter=_filter_end_soon,
)
def _expires_soon(case: Case, mirror_entry: MirrorEntry) -> Iterator[Problem]:
    yield from _soon(case, mirror_entry.source, mirror_entry.node, end_of(mirror_entry))


expires_soon: Final[Rule] = _expires_soon


def is_destination_rule(resource: Resource) -> bool:
    """Whether it is Istio's DestinationRule."""
    return resource.kind == "DestinationRule" and resource.group == "networking.istio.io"


def pools_of(spec: Node) -> list[Node]:
    """Every connectionPool of a DestinationRule: a subset without one of its own has the host's."""
    subsets = [subset["trafficPolicy"]["connectionPool"] for subset in spec["subsets"].elements()]
    own = [pool for pool in subsets if pool.given]
    return own if subsets and own == subsets else [spec["trafficPolicy"]["connectionPool"], *own]


def _host_limits(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    spec = resource.props["spec"]
    if spec["host"].text() not in limits.mirror_hosts:
        return
    for pool in pools_of(spec):
        yield from guarded(resource, _limits(resource, pool))


def _limits(resource: Resource, pool: Node) -> Iterator[Judgement]:
    wanted = Node(traffic_policy(Brakes()))["connectionPool"]
    for group, key in LIMITS:
        if not pool[group][key].given:
            mend = write(pool[group], key, value=wanted[group][key].json())
            yield fault(resource, pool[group][key], "a mirror that hangs is held without a bound", mend=(mend,))


HOST_LIMITS: Final = ResourceRule(
    id="mirror-host-limits",
    settings=("mirror_hosts",),
    repair="Adds the limits that are missing, with the defaults of Brakes; given ones are kept",
    title="Hosts that get mirrors only have limits on connections",
    severity=Severity.WARNING,
    why="Istio sets none, so a mirror that hangs fills the proxy that answers real requests.",
    source="Measured: 14.8 KiB per hung request, without end.",
    remedy="Set trafficPolicy.connectionPool, or let the level remediate do it",
    applies=is_destination_rule,
    check=_host_limits,
)
