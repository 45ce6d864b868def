"""Rules on brakes: what a mirror that hangs, fails or disappears may hold in the proxy of the primary."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from .envoy import GATEWAY, SIDECAR, WAYPOINT, http_options
from .filter_mirrors import FilterMirror, faulty_for
from .mirror_entries import MirrorEntry
from .nodes import Node
from .objects import KubeObject
from .patching import out_of_reach, patched_cluster, policies_for
from .policies import Policy, faulty
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .routes import Target
from .sharing import remedy_beside

CONNECTION_POOL: Final = (
    "https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings"
)

IN_FLIGHT: Final = ("connectionPool", "http", "http2MaxRequests")
"""Where a DestinationRule's traffic policy bounds requests in flight."""

WHO: Final = {GATEWAY: "the gateway", SIDECAR: "sidecars", WAYPOINT: "the waypoint"}

KEEP_ALIVE: Final = "keep-alive"
OUTLIERS: Final = "outlier detection"

UNLIMITED: Final = 2**31
"""From here on a limit is none; Istio itself renders 2**32 - 1 for a limit that is left out."""


def _filter_brakes(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    if mirror.target:
        message, likely = _lacking(mirror.target, faulty_for(case.cluster, mirror, missing_brakes))
        if message:
            waived = mirror.waiver("brakes")
            yield problem(mirror.source, mirror.node, message, waived=waived, likely=likely)


def _lacking(target: Target, found: Iterable[tuple[str, Policy, Sequence[str]]]) -> tuple[str, bool]:
    """What is missing: first for the sender that lacks most, then what others lack; and whether it may be elsewhere."""
    told: set[str] = set()
    said: list[str] = []
    likely = False
    for _, policy, missing in sorted(found, key=lambda each: -len(each[2])):
        if not told.issuperset(missing):
            rule = policy.rule or f"no DestinationRule for {target.host} is in reach: it"
            said.append(f"{rule} lacks {', '.join(missing)}")
            told.update(missing)
            likely = likely or _may_be_said_elsewhere(policy, missing)
    return "; ".join(said), likely


@mirror_rule(
    rule_id="mirror-no-brakes",
    title="A mirror has brakes",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Istio takes Envoy's default limits away: 18,000 requests to a mirror that hangs stayed in the production proxy"
    " with 259 MiB, for ever.",
    source=f"Measured; {CONNECTION_POOL}",
    remedy="Give the target a DestinationRule with connectionPool limits, connectTimeout, tcpKeepalive and"
    " outlierDetection",
    by_filter=_filter_brakes,
)
def no_brakes(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors whose target has no or few brakes, for the sender that lacks most and for what others lack."""
    target = mirror_entry.target
    message, likely = _lacking(target, faulty(case.cluster, mirror_entry.route, target, missing_brakes))
    if message:
        remedy, waived = remedy_beside(case.cluster, mirror_entry), mirror_entry.waiver("brakes")
        yield problem(mirror_entry.source, mirror_entry.node, message, remedy=remedy, waived=waived, likely=likely)


def _may_be_said_elsewhere(found: Policy, missing: Sequence[str]) -> bool:
    """Whether another DestinationRule than ``found`` tells, or the mesh's configuration, may say some of that."""
    if found.rule is None or found.by_order or found.mesh.given:
        return found.rule is None or found.by_order
    return KEEP_ALIVE in missing or not all(
        found.setting("outlierDetection" if name == OUTLIERS else "connectionPool").given for name in missing
    )


def missing_brakes(found: Policy) -> list[str]:
    """Names of the brakes that a policy leaves out; a connect timeout comes with every mesh: 10 s by default."""
    pool = found.setting("connectionPool")
    tcp, http = pool["tcp"], pool["http"]
    outliers = found.setting("outlierDetection")
    present = {
        "a connection limit": _limits(tcp["maxConnections"]),
        "a limit on pending requests": _limits(http["http1MaxPendingRequests"]),
        "a limit on requests in flight": _limits(http["http2MaxRequests"]),
        KEEP_ALIVE: tcp["tcpKeepalive"].given or http["http2KeepAlive"].given or found.mesh["tcpKeepalive"].given,
        OUTLIERS: _ejects(outliers),
    }
    return [name for name, there in present.items() if not there]


def _limits(node: Node) -> bool:
    number = node.number()
    return number is not None and 0 < number < UNLIMITED


def _ejects(outliers: Node) -> bool:
    """Whether outlier detection ejects anybody: five 5xx in a row do by default, and a count of 0 switches that off."""
    server_errors, gateway_errors = outliers["consecutive5xxErrors"], outliers["consecutiveGatewayErrors"]
    return outliers.given and (server_errors.number() != 0 or bool(gateway_errors.number()))


def _filter_life(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    # That there is none at all is overlay-unbounded's.
    limit, patches = case.settings.max_duration_seconds, case.cluster.patches
    own = {GATEWAY: (GATEWAY,), "ANY": (GATEWAY, SIDECAR)}.get(mirror.context, (SIDECAR,))
    for context in own if mirror.cluster else ():
        found = [each for each in patches.of_cluster(mirror.cluster) if each.merges and context in each.contexts]
        options = [each for each in found if http_options(each).given]
        bound = options[-1].stream_bound if options else None
        if bound and bound > limit:
            yield problem(mirror.source, mirror.node, _too_long(WHO[context], bound, limit))
            return


def _too_long(who: str, bound: float, limit: float) -> str:
    return f"{who} may hold it for {bound:g} s; at most {limit:g} s are allowed"


@mirror_rule(
    rule_id="mirror-unbounded-life",
    settings=("max_duration_seconds",),
    title="A mirrored request ends",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Nothing else ends a copy whose mirror accepts and then hangs; when it stops reading, it holds back the"
    " primary's stream as well.",
    source="Measured; https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/protocol.proto",
    remedy="Set max_stream_duration on the mirror's cluster by an EnvoyFilter, or a timeout on the route",
    by_filter=_filter_life,
)
def unbounded_life(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors without a bound on one request's life, or with one above the allowed maximum."""
    if route_timeout(mirror_entry):
        return
    limit = case.settings.max_duration_seconds
    for each, policy in policies_for(case.cluster, mirror_entry):
        outlet = each.placement.outlet
        bound = patched_cluster(case.cluster, mirror_entry.route, outlet, policy.cluster).bound
        if bound and bound <= limit:
            continue
        who, patched = WHO[outlet.context], not out_of_reach(case.cluster, outlet, policy.cluster)
        lack = f"no EnvoyFilter {'bounds' if patched else 'can bound'} {policy.cluster}"
        message = _too_long(who, bound, limit) if bound else f"nothing ends a copy that hangs at {who}: {lack}"
        remedy, waived = (
            remedy_beside(case.cluster, mirror_entry),
            mirror_entry.waiver("brakes") or mirror_entry.waiver("life"),
        )
        # What no EnvoyFilter can bound, none that is not at hand does.
        likely = not bound and patched
        yield problem(mirror_entry.source, mirror_entry.node, message, remedy=remedy, waived=waived, likely=likely)
        return


def route_timeout(mirror_entry: MirrorEntry) -> float | None:
    """Seconds after which the route ends primary and mirrors alike; None for no bound."""
    if mirror_entry.route.native:
        return mirror_entry.route.entry["timeouts"]["request"].seconds()
    return mirror_entry.route.setting("timeout").seconds()


def _filter_requests(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    limit = case.settings.max_requests
    for _, policy, number in faulty_for(case.cluster, mirror, _above(limit)):
        yield _too_many(policy, mirror.source, number, limit)
        return


def _above(limit: float) -> Callable[[Policy], float | None]:
    """The bound on requests in flight that a policy sets, where it is above a limit."""

    def too_many(found: Policy) -> float | None:
        number = found.setting(*IN_FLIGHT).number()
        return number if number is not None and limit < number < UNLIMITED else None

    return too_many


def _too_many(found: Policy, source: KubeObject, number: float | None, limit: float) -> Report:
    message = f"{number:g} requests in flight; at most {limit} are allowed"
    return problem(found.source(IN_FLIGHT[0]) or source, found.setting(*IN_FLIGHT), message, likely=found.by_order)


@mirror_rule(
    rule_id="mirror-requests-limit",
    settings=("max_requests",),
    title="The limit on requests in flight stays within the allowed maximum",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Each hung copy holds about 15 KiB in the proxy of the primary.",
    source="Measured.",
    remedy="Lower http2MaxRequests of the target's DestinationRule",
    by_filter=_filter_requests,
)
def requests_limit(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report limits above the allowed maximum."""
    limit = case.settings.max_requests
    for _, found, number in faulty(case.cluster, mirror_entry.route, mirror_entry.target, _above(limit)):
        yield _too_many(found, mirror_entry.source, number, limit)
        return


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-drops-protocol",
    title="A patch of a cluster's HTTP options repeats the protocol",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The options are replaced as a whole. Without the protocol the proxy rejects the cluster and keeps the old one"
    " in silence; only istiod's reject metrics show it.",
    source="Measured; https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/upstreams/http/v3/"
    "http_protocol_options.proto",
    remedy="Add explicit_http_config, use_downstream_protocol_config or auto_config",
)
def drops_protocol(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report HTTP options without one of the three ways to choose a protocol."""
    for patch in case.cluster.patches.of_source(subject):
        options = http_options(patch)
        ways = ("explicit_http_config", "use_downstream_protocol_config", "auto_config")
        camel = ("explicitHttpConfig", "useDownstreamProtocolConfig", "autoConfig")
        if options.given and not any(options[way].given for way in (*ways, *camel)):
            yield problem(subject, options, "the HTTP options choose no protocol, so proxies reject the cluster")


RULES: Final[tuple[Rule, ...]] = (no_brakes, unbounded_life, requests_limit, drops_protocol)
