"""What of a target's objects is refused, and why: DestinationRules and ServiceEntries."""

from collections.abc import Sequence
from typing import Final

from .nodes import UNKNOWN, Node, NotJudgedError
from .objects import KubeObject
from .refusednames import (
    HTTP,
    PORTS,
    PROTOCOLS,
    SECURED,
    UNIX,
    Refusals,
    address,
    faulty,
    filled,
    is_domain,
    is_host,
    is_label,
    is_subnet,
    protocol_of,
    refused_exports,
    refused_labels,
    refused_selection,
    twice,
    unix_fault,
)
from .refusedpolicies import refused_policy

_DNS: Final = ("DNS", "DNS_ROUND_ROBIN")
_DYNAMIC: Final = frozenset({"http", "http2", "grpc", "tls"})
_LONGEST_ENDPOINT_PORT: Final = 62
_WAYPOINT: Final = "istio.io/use-waypoint"


def refused_destination_rule(subject: KubeObject) -> Refusals:
    """What is refused of a DestinationRule."""
    spec = subject.spec
    yield from faulty(spec["host"], is_host, "host")
    exports = spec["exportTo"].texts()
    if spec["workloadSelector"].given and exports:
        if subject.unknown_namespace and {*exports} != {"."}:
            raise NotJudgedError(subject.unknown_namespace)
        if not {*exports} <= {".", subject.namespace}:
            yield spec["exportTo"], "one for chosen workloads is for its own namespace only"
    yield from refused_exports(subject)
    yield from refused_selection(spec["workloadSelector"]["matchLabels"])
    yield from refused_policy(subject, spec["trafficPolicy"])
    subsets = spec["subsets"].elements()
    if twice([each["name"].text() for each in subsets]):
        yield spec["subsets"], "a subset is named twice"
    for each in subsets:
        yield from faulty(each["name"], is_label, "name of a subset")
        yield from refused_labels(each["labels"])
        yield from refused_policy(subject, each["trafficPolicy"])


def refused_service_entry(subject: KubeObject) -> Refusals:
    """What is refused of a ServiceEntry."""
    spec = subject.spec
    hosts = spec["hosts"].elements()
    for host in hosts:
        if host.text() == "*":
            yield host, "the host * is too wide"
        else:
            yield from faulty(host, is_host, "host")
    ports = spec["ports"].elements()
    yield from _ports(spec["ports"], ports)
    resolution = spec["resolution"].text("NONE")
    if resolution != "NONE" and len(hosts) > 1 and not all(protocol_of(each) in HTTP | SECURED for each in ports):
        yield spec["hosts"], "several hosts are told apart by HTTP or TLS only"
    for each in spec["addresses"].elements():
        yield from faulty(each, is_subnet, "IP address")
        if resolution not in ("NONE", "STATIC") and "/" in each.text():
            yield each, f"resolution {resolution} has no ranges of addresses"
    yield from _resolved(subject, resolution, [each.text() for each in hosts])
    yield from _endpoints(spec, resolution, [each["name"].text() for each in ports])
    yield from refused_selection(spec["workloadSelector"]["labels"])
    yield from refused_exports(subject, nobody=True)


def _ports(written: Node, ports: Sequence[Node]) -> Refusals:
    if twice([each["number"].integer() for each in ports]):
        yield written, "a port is given twice"
    for each in ports:
        yield from faulty(each["name"], is_label, "name of a port")
        for node in (each["number"], each["targetPort"]):
            if node.given and node.integer() not in PORTS:
                yield node, "a port must be from 1 to 65535"
        if protocol_of(each) not in PROTOCOLS | {""}:
            yield each["protocol"], "the protocol is unknown"


def _resolved(subject: KubeObject, resolution: str, hosts: Sequence[str]) -> Refusals:
    """What is refused for the way in which hosts are resolved."""
    spec = subject.spec
    endpoints = spec["endpoints"]
    if resolution == "DYNAMIC_DNS":
        yield from _resolved_late(subject, hosts)
    elif endpoints.value is UNKNOWN:
        return
    elif resolution == "NONE" and endpoints.given:
        yield endpoints, "resolution NONE has no endpoints"
    elif resolution in _DNS and not endpoints.elements() and not all(map(is_domain, hosts)):
        yield spec["hosts"], f"resolution {resolution} without endpoints needs full names"
    elif resolution == "DNS_ROUND_ROBIN" and len(endpoints.elements()) > 1:
        yield endpoints, "resolution DNS_ROUND_ROBIN has one endpoint at most"


def _resolved_late(subject: KubeObject, hosts: Sequence[str]) -> Refusals:
    """What is refused where each request's own host is resolved."""
    spec = subject.spec
    if not all(host.startswith("*") for host in hosts):
        yield spec["hosts"], "resolution DYNAMIC_DNS is for hosts with a wildcard only"
    for key in ("addresses", "endpoints"):
        if filled(spec[key]):
            yield spec[key], f"resolution DYNAMIC_DNS has no {key}"
    if not all(protocol_of(each) in _DYNAMIC for each in spec["ports"].elements()):
        yield spec["ports"], "resolution DYNAMIC_DNS is for HTTP, HTTP2, GRPC and TLS only"
    waypoint = subject.root["metadata"]["labels"][_WAYPOINT]
    if spec["location"].text() == "MESH_INTERNAL" and waypoint.text().lower() not in ("", "none"):
        yield spec["location"], "resolution DYNAMIC_DNS is not for hosts of the mesh behind a waypoint"


def _endpoints(spec: Node, resolution: str, ports: Sequence[str]) -> Refusals:
    endpoints = spec["endpoints"]
    if endpoints.given and endpoints.value is not UNKNOWN and spec["workloadSelector"].given:
        yield endpoints, "endpoints and workloadSelector exclude each other"
    for each in endpoints.elements():
        where = each["address"]
        # A deployment often decides the address: the rest is judged without it.
        if where.value is not UNKNOWN:
            yield from _place(each, resolution, ports)
        yield from refused_labels(each["labels"])
        for name, number in each["ports"].entries():
            if name not in ports:
                yield each["ports"], f"the ServiceEntry has no port {name}"
            if len(name) > _LONGEST_ENDPOINT_PORT or not is_label(name):
                yield each["ports"], f"{name or 'nothing'} is no name of a port"
            if number.integer() not in PORTS:
                yield number, "a port must be from 1 to 65535"


def _place(endpoint: Node, resolution: str, ports: Sequence[str]) -> Refusals:
    """What is refused of where an endpoint is."""
    node = endpoint["address"]
    where = node.text()
    if not where and (resolution != "STATIC" or not endpoint["network"].text()):
        yield endpoint, "an endpoint needs an address"
    elif where.startswith(UNIX):
        if (fault := unix_fault(where)) or where.endswith("/"):
            yield node, fault or "a Unix socket is a file"
        if resolution != "STATIC":
            yield node, "a Unix socket is for resolution STATIC only"
        elif endpoint["ports"].given or len(ports) != 1:
            yield endpoint, "a Unix socket has no ports, and its ServiceEntry has one"
    elif where and not address(where) and (resolution == "STATIC" or not is_domain(where)):
        yield node, f"{where} is no {'IP address' if resolution == 'STATIC' else 'host'}"
