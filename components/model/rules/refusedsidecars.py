"""What of Sidecars is refused, and why."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .nodes import Node
from .objects import KubeObject
from .refusednames import (
    PORTS,
    PROTOCOLS,
    SECURED,
    UNIX,
    Refusals,
    bind_fault,
    filled,
    is_domain,
    is_label,
    is_whole_host,
    protocol_of,
    refused_selection,
    twice,
    unix_fault,
)
from .refusedpolicies import refused_pool
from .refusedtls import refused_server_tls

_INBOUND: Final = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0|\[(?:127\.0\.0\.1|0\.0\.0\.0|::1|::)?\])?:\+?(\d+)", re.ASCII)
"""Where a sidecar may send what came in."""

_UNSUPPORTED: Final = ("subjectAltNames", "credentialName", "credentialNames", "tlsCertificates")


def refused_sidecar(subject: KubeObject) -> Refusals:
    """What is refused of a Sidecar."""
    spec = subject.spec
    inward, outward = spec["ingress"].elements(), spec["egress"].elements()
    beside = any(spec[key].given for key in ("outboundTrafficPolicy", "inboundConnectionPool"))
    if not (inward or outward or beside):
        yield spec, "it says nothing"
    yield from refused_selection(spec["workloadSelector"]["labels"])
    yield from refused_pool(spec["inboundConnectionPool"])
    yield from _proxied(spec["outboundTrafficPolicy"])
    for listener in inward:
        yield from _inward(listener)
    yield from _outward(outward)
    for written, listeners in ((spec["ingress"], inward), (spec["egress"], outward)):
        places = [(each["port"]["number"].integer() or 0, each) for each in listeners if each["port"].given]
        if twice([number or each["bind"].text() for number, each in places]):
            yield written, "a port is given twice"


def _proxied(policy: Node) -> Refusals:
    proxy = policy["egressProxy"]
    if not proxy.given:
        return
    host, port = proxy["host"].text(), proxy["port"]
    if policy["mode"].text() != "ALLOW_ANY":
        yield proxy, "egressProxy is for mode ALLOW_ANY only"
    if not is_domain(host):
        yield proxy["host"], f"{host or 'nothing'} is no host"
    if port["number"].integer() not in PORTS:
        yield proxy, "egressProxy needs a port from 1 to 65535"
    subset = proxy["subset"].text()
    if subset and not is_label(subset):
        yield proxy["subset"], f"{subset} is no name of a subset"


def _port(listener: Node) -> Refusals:
    """What is refused of a listener's port, whichever way it is for."""
    port = listener["port"]
    name = port["name"].text()
    if name and not is_label(name):
        yield port["name"], f"{name} is no name of a port"
    if protocol_of(port) not in PROTOCOLS | {""}:
        yield port["protocol"], "the protocol is unknown"
    if (port["targetPort"].integer() or 0) > 0:
        yield port["targetPort"], "a listener has no targetPort"


def _inward(listener: Node) -> Refusals:
    port, tls, endpoint = listener["port"], listener["tls"], listener["defaultEndpoint"].text()
    yield from _port(listener)
    if port["number"].integer() not in PORTS:
        yield port, "a port must be from 1 to 65535"
    if fault := bind_fault(listener["bind"].text()):
        yield listener["bind"], fault
    if endpoint and (fault := _endpoint_fault(endpoint)):
        yield listener["defaultEndpoint"], fault
    yield from refused_pool(listener["connectionPool"])
    if tls.given:
        yield from _secured(tls, protocol_of(port))


def _endpoint_fault(endpoint: str) -> str:
    if endpoint.startswith(UNIX):
        return unix_fault(endpoint)
    found = _INBOUND.fullmatch(endpoint)
    return "" if found and int(found[1]) in PORTS else f"{endpoint} is no address of the pod's own with a port"


def _secured(tls: Node, protocol: str) -> Refusals:
    if protocol not in SECURED:
        yield tls, "a listener without HTTPS or TLS has no tls"
    for key in _UNSUPPORTED:
        if filled(tls[key]):
            yield tls[key], f"tls of a Sidecar has no {key}"
    if tls["httpsRedirect"].known is True:
        yield tls["httpsRedirect"], "tls of a Sidecar has no httpsRedirect"
    if tls["mode"].text() in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"):
        yield tls["mode"], f"tls of a Sidecar is not of mode {tls['mode'].text()}"
    yield from refused_server_tls(tls)


def _outward(listeners: Sequence[Node]) -> Refusals:
    for listener in listeners:
        hosts = listener["hosts"].elements()
        if not hosts:
            yield listener["hosts"], "a listener needs a host"
        for host in hosts:
            if fault := _host_fault(host.text()):
                yield host, fault
        if listener["port"].given:
            yield from _port(listener)
            yield from _bound(listener)
    for listener, _ in pairwise(listeners):
        if not listener["port"].given:
            yield listener, "only the last listener goes without a port"


def _bound(listener: Node) -> Refusals:
    """What is refused of where a listener for outward requests is."""
    number, bind = listener["port"]["number"].integer() or 0, listener["bind"]
    if number:
        if number not in PORTS:
            yield listener["port"], "a port must be from 1 to 65535"
        if fault := bind_fault(bind.text()):
            yield bind, fault
        return
    if not bind.text().startswith(UNIX):
        yield listener["port"], "a listener without a number of a port is bound to a Unix socket"
    elif fault := unix_fault(bind.text()):
        yield bind, fault
    if listener["captureMode"].text() == "IPTABLES":
        yield listener["captureMode"], "a Unix socket is not for captureMode IPTABLES"


def _host_fault(written: str) -> str:
    namespace, slash, name = written.partition("/")
    place = namespace.removeprefix("~")
    if not slash or not namespace or not name:
        return "a host must be written as namespace/name"
    if place not in ("", "*", ".") and not is_label(place):
        return f"{namespace} is no namespace"
    if name != "*" and "." not in name:
        return "a host must be a full name"
    if not is_whole_host(name):
        return f"{name} is no host"
    return ""
