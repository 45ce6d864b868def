"""Rules on brakes: what a mirror that hangs, fails or disappears may hold in the proxy of the primary."""

from collections.abc import Iterator
from typing import Final

from .envoy import http_options, stream_bound
from .nodes import Node
from .objects import KubeObject
from .policies import Policy, faulty, proxies
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, object_rule, problem
from .sites import Site

CONNECTION_POOL: Final = (
    "https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings"
)

IN_FLIGHT: Final = ("connectionPool", "http", "http2MaxRequests")
"""Where a DestinationRule's traffic policy bounds requests in flight."""

UNLIMITED: Final = 2**31
"""From here on a limit is none; Istio itself renders 2**32 - 1 for a limit that is left out."""


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
)
def no_brakes(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors whose target has no or few brakes, for the first sender that lacks some."""
    for _, found, missing in faulty(case.cluster, site.route, site.target, missing_brakes):
        where = (
            f"{found.rule} lacks" if found.rule else f"no DestinationRule for {site.target.host} is in reach: it lacks"
        )
        message = f"{where} {', '.join(missing)}"
        yield problem(site.source, site.node, message, waived=site.waiver("brakes"))
        return


def missing_brakes(found: Policy) -> list[str]:
    """Names of the brakes that a policy leaves out."""
    pool = found.setting("connectionPool")
    tcp, http = pool["tcp"], pool["http"]
    outliers = found.setting("outlierDetection")
    present = {
        "a connection limit": _limits(tcp["maxConnections"]),
        "a limit on pending requests": _limits(http["http1MaxPendingRequests"]),
        "a limit on requests in flight": _limits(http["http2MaxRequests"]),
        "a connect timeout": bool(tcp["connectTimeout"].seconds()),
        "keep-alive": tcp["tcpKeepalive"].given or http["http2KeepAlive"].given,
        "outlier detection": _ejects(outliers),
    }
    return [name for name, there in present.items() if not there]


def _limits(node: Node) -> bool:
    number = node.number()
    return number is not None and 0 < number < UNLIMITED


def _ejects(outliers: Node) -> bool:
    """Whether outlier detection ejects anybody: five 5xx in a row do by default, and a count of 0 switches that off."""
    server_errors, gateway_errors = outliers["consecutive5xxErrors"], outliers["consecutiveGatewayErrors"]
    return outliers.given and (server_errors.number() != 0 or bool(gateway_errors.number()))


@mirror_rule(
    rule_id="mirror-unbounded-life",
    title="A mirrored request ends",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Nothing else ends a copy whose mirror accepts and then hangs; when it stops reading, it holds back the"
    " primary's stream as well.",
    source="Measured; https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/protocol.proto",
    remedy="Set max_stream_duration on the mirror's cluster by an EnvoyFilter, or a timeout on the route",
)
def unbounded_life(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors without a bound on one request's life, or with one above what the house allows."""
    if route_timeout(site):
        return
    limit = case.settings.max_duration_seconds
    for context, namespace in proxies(case.cluster, site.route):
        patches = [
            patch
            for patch in case.cluster.patches.of_cluster(site.target.cluster_name)
            if case.cluster.applies(patch, context, namespace, site.route)
        ]
        bounds = [bound for patch in patches if (bound := stream_bound(patch))]
        if bounds and max(bounds) <= limit:
            continue
        who = "the gateway" if context == "GATEWAY" else "sidecars"
        message = (
            f"{who} may hold it for {max(bounds):g} s; at most {limit:g} s are allowed"
            if bounds
            else (f"nothing ends a copy that hangs at {who}: no EnvoyFilter bounds {site.target.cluster_name}")
        )
        yield problem(site.source, site.node, message, waived=site.waiver("brakes"))
        return


def route_timeout(site: Site) -> float | None:
    """Seconds after which the route ends primary and mirrors alike; None for no bound."""
    if site.route.native:
        return site.route.entry["timeouts"]["request"].seconds()
    return site.route.setting("timeout").seconds()


@mirror_rule(
    rule_id="mirror-requests-limit",
    title="The limit on requests in flight stays within what the house allows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Each hung copy holds about 15 KiB in the proxy of the primary.",
    source="Measured.",
    remedy="Lower http2MaxRequests of the target's DestinationRule",
)
def requests_limit(case: Case, site: Site) -> Iterator[Report]:
    """Report limits above the house's."""
    limit = case.settings.max_requests

    def too_many(found: Policy) -> float | None:
        number = found.setting(*IN_FLIGHT).number()
        return number if number is not None and limit < number < UNLIMITED else None

    for _, found, number in faulty(case.cluster, site.route, site.target, too_many):
        subject = found.source(IN_FLIGHT[0]) or site.source
        message = f"{number:g} requests in flight; at most {limit} are allowed"
        yield problem(subject, found.setting(*IN_FLIGHT), message)
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
