"""What of a target's objects is refused, and why: DestinationRules and ServiceEntries."""

from collections.abc import Iterator
from typing import Final

from .nodes import UNKNOWN, Node
from .objects import KubeObject
from .refusedroutes import Refusals, duration

_POLICY: Final = (
    *("connectionPool", "loadBalancer", "outlierDetection", "portLevelSettings", "proxyProtocol", "retryBudget"),
    *("tls", "tunnel"),
)
_WHOLE: Final = 100


def refused_destination_rule(subject: KubeObject) -> Refusals:
    """What is refused of a DestinationRule."""
    spec = subject.spec
    if not spec["host"].given:
        yield spec["host"], "host is missing"
    exports = spec["exportTo"].texts()
    if spec["workloadSelector"].given and not {*exports} <= {".", subject.namespace}:
        yield spec["exportTo"], "one for chosen workloads is for its own namespace only"
    elif len(exports) > 1 and "*" in exports:
        yield spec["exportTo"], "* must stand alone"
    for holder in (spec, *spec["subsets"].elements()):
        policy = holder["trafficPolicy"]
        yield from _policy(policy)
        for port in policy["portLevelSettings"].elements():
            yield from _policy(port, of_port=True)


def _policy(policy: Node, *, of_port: bool = False) -> Refusals:
    if not policy.given:
        return
    if not of_port and not any(policy[key].given for key in _POLICY):
        yield policy, "a traffic policy needs some field"
    pool, outliers = policy["connectionPool"], policy["outlierDetection"]
    if pool.given and not (pool["tcp"].given or pool["http"].given):
        yield pool, "a connection pool needs tcp or http"
    for node in (pool["tcp"]["connectTimeout"], pool["http"]["idleTimeout"], outliers["interval"]):
        yield from duration(node)
    yield from duration(outliers["baseEjectionTime"])
    for node in (outliers["maxEjectionPercent"], outliers["minHealthPercent"]):
        number = node.number() if node.given else 0
        if number is None or not 0 <= number <= _WHOLE:
            yield node, "a share must be from 0 to 100"
    keep_alive = pool["http"]["http2KeepAlive"]
    for key in ("interval", "timeout") if keep_alive.given else ():
        if not keep_alive[key].given:
            yield keep_alive, f"{key} is missing"


def refused_service_entry(subject: KubeObject) -> Refusals:
    """What is refused of a ServiceEntry."""
    spec = subject.spec
    hosts, endpoints = spec["hosts"].texts(), spec["endpoints"]
    resolution = spec["resolution"].text("NONE")
    if not hosts:
        yield spec["hosts"], "it needs a host"
    if "*" in hosts:
        yield spec["hosts"], "the host * is too wide"
    given = endpoints.value is UNKNOWN or bool(endpoints.elements())
    if endpoints.given and spec["workloadSelector"].given:
        yield endpoints, "endpoints and workloadSelector exclude each other"
    if resolution == "NONE" and given:
        yield endpoints, "resolution NONE has no endpoints"
    yield from _names(spec, hosts, resolution, given=given)


def _names(spec: Node, hosts: list[str], resolution: str, *, given: bool) -> Iterator[tuple[Node, str]]:
    if resolution in ("DNS", "DNS_ROUND_ROBIN") and not given and any(host.startswith("*") for host in hosts):
        yield spec["hosts"], f"resolution {resolution} without endpoints needs full names"
    if resolution == "DYNAMIC_DNS":
        if not all(host.startswith("*") for host in hosts):
            yield spec["hosts"], "resolution DYNAMIC_DNS is for hosts with a wildcard only"
        for key in ("addresses", "endpoints"):
            if spec[key].given:
                yield spec[key], f"resolution DYNAMIC_DNS has no {key}"
    numbers = [node["number"].integer() for node in spec["ports"].elements()]
    if len(set(numbers)) < len(numbers):
        yield spec["ports"], "a port is given twice"
