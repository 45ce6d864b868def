"""What of traffic policies is refused, and why; of connection pools, which Sidecars have as well."""

from typing import Final

from .nodes import Node
from .objects import KubeObject
from .refusedbalancing import refused_load_balancer
from .refusednames import PORTS, Refusals, address, duration, is_domain, refused_duration, seconds_of
from .refusedtls import refused_client_tls

_OF_PORTS: Final = ("connectionPool", "loadBalancer", "outlierDetection", "tls")
_OF_ALL: Final = (*_OF_PORTS, "proxyProtocol", "retryBudget", "tunnel")
_COUNTS: Final = (
    *("http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection"),
    *("maxRetries", "maxConcurrentStreams"),
)
_MOST: Final = 2**31 - 1
_MILLISECONDS: Final = 1_000
_SHARES: Final = ("maxEjectionPercent", "minHealthPercent")
_WHOLE: Final = 100


def refused_policy(subject: KubeObject, policy: Node) -> Refusals:
    """What is refused of a traffic policy of a DestinationRule."""
    if not policy.given:
        return
    if not any(policy[key].given for key in _OF_ALL) and not policy["portLevelSettings"].elements():
        yield policy, "a traffic policy needs some field"
    yield from _common(subject, policy)
    for port in policy["portLevelSettings"].elements():
        if not port["port"].given:
            yield port, "port is missing"
        if not any(port[key].given for key in _OF_PORTS):
            yield port, "a traffic policy needs some field"
        yield from _common(subject, port)
    yield from refused_duration(policy["retryBudget"]["budgetInterval"])
    tunnel = policy["tunnel"]
    if tunnel.given:
        yield from _tunnel(tunnel)
        if policy["proxyProtocol"].given:
            yield tunnel, "tunnel and proxyProtocol exclude each other"


def _common(subject: KubeObject, policy: Node) -> Refusals:
    """What is refused of what policies and those of single ports have alike."""
    yield from refused_pool(policy["connectionPool"])
    yield from _outliers(policy["outlierDetection"])
    yield from refused_load_balancer(policy["loadBalancer"])
    if policy["tls"].given:
        yield from refused_client_tls(subject, policy["tls"])


def refused_pool(pool: Node) -> Refusals:
    """What is refused of a connection pool."""
    if not pool.given:
        return
    http, tcp = pool["http"], pool["tcp"]
    if not (tcp.given or http.given):
        yield pool, "a connection pool needs tcp or http"
    for node in (tcp["maxConnections"], *(http[key] for key in _COUNTS)):
        number = node.number() or 0
        if not 0 <= number <= _MOST:
            yield node, f"it must be from 0 to {_MOST}"
    keep_alive = http["http2KeepAlive"]
    for key in ("interval", "timeout") if keep_alive.given else ():
        if not keep_alive[key].given:
            yield keep_alive, f"{key} is missing"
        yield from duration(keep_alive[key])
    if http["h2UpgradePolicy"].text() == "UPGRADE" and http["useClientProtocol"].known is True:
        yield http["useClientProtocol"], "useClientProtocol and h2UpgradePolicy UPGRADE exclude each other"
    tcp_alive = tcp["tcpKeepalive"]
    for node in (tcp["connectTimeout"], tcp["maxConnectionDuration"], tcp_alive["time"], tcp_alive["interval"]):
        yield from duration(node)
    yield from duration(http["idleTimeout"])
    yield from _idle(tcp["idleTimeout"])


def _idle(node: Node) -> Refusals:
    """What is refused of how long a TCP connection may idle: less than a millisecond is no limit."""
    yield from refused_duration(node)
    milliseconds = round((seconds_of(node) or 0) * _MILLISECONDS, 6)
    if milliseconds <= -1:
        yield node, "a duration must be at least 1ms"
    elif milliseconds >= 1 and milliseconds % 1:
        yield node, "a duration must be of whole milliseconds"


def _outliers(outliers: Node) -> Refusals:
    if not outliers.given:
        return
    for key in ("interval", "baseEjectionTime"):
        yield from duration(outliers[key])
    for node in (outliers[key] for key in _SHARES):
        if not 0 <= (node.number() or 0) <= _WHOLE:
            yield node, "a share must be from 0 to 100"
    if not -_MOST - 1 <= (outliers["consecutiveErrors"].number() or 0) <= _MOST:
        yield outliers["consecutiveErrors"], f"it must be at most {_MOST}"
    local = outliers["consecutiveLocalOriginFailures"]
    if (local.number() or 0) > 0 and outliers["splitExternalLocalOriginErrors"].known is not True:
        yield local, "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors"


def _tunnel(tunnel: Node) -> Refusals:
    if tunnel["protocol"].text() not in ("", "CONNECT", "POST"):
        yield tunnel["protocol"], "the protocol of a tunnel is CONNECT or POST"
    host = tunnel["targetHost"].text()
    if not is_domain(host) and not address(host):
        yield tunnel["targetHost"], f"{host or 'nothing'} is no host"
    if tunnel["targetPort"].integer() not in PORTS:
        yield tunnel["targetPort"], "a port must be from 1 to 65535"
