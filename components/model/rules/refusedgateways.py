"""What of gateways and of what narrows sidecars is refused, and why."""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Final

from .nodes import Node
from .objects import KubeObject
from .refusedroutes import Refusals

_PLAIN: Final = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB"})
_SECURED: Final = frozenset({"HTTPS", "TLS"})
_OTHER: Final = frozenset({"MONGO", "REDIS", "MYSQL", "TCP"})
_PORTS: Final = range(1, 65_536)
_HOLDING: Final = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
"""Modes of TLS for which a server of Istio's Gateway needs a certificate."""


def refused_gateway(subject: KubeObject) -> Refusals:
    """What is refused of a Gateway of Istio's."""
    servers = subject.spec["servers"].elements()
    if not servers:
        yield subject.spec["servers"], "a gateway needs a server"
    for server in servers:
        yield from _server(server)
    if _twice([server["port"]["name"].text() for server in servers]):
        yield subject.spec["servers"], "the name of a port is given twice"


def _server(server: Node) -> Refusals:
    port, tls = server["port"], server["tls"]
    protocol = port["protocol"].text().upper()
    for key in ("name", "protocol"):
        if not port[key].given:
            yield port, f"{key} is missing"
    if port["number"].integer() not in _PORTS and not server["bind"].text().startswith("unix://"):
        yield port["number"], "a port must be from 1 to 65535"
    hosts = server["hosts"].texts()
    if not hosts:
        yield server["hosts"], "a server needs a host"
    if any(map(_is_short, hosts)):
        yield server["hosts"], "a host must be a full name"
    if protocol and protocol not in _PLAIN | _SECURED | _OTHER:
        yield port["protocol"], "the protocol is unknown"
    elif protocol in _SECURED and not tls.given:
        yield server, f"a server for {protocol} needs tls"
    elif protocol and protocol not in _SECURED and tls.given and _beyond_redirect(protocol, tls):
        yield tls, f"a server for {protocol} has no tls"
    elif protocol in _SECURED and tls["mode"].text() in _HOLDING and not _holds_certificate(tls):
        yield tls, f"tls of mode {tls['mode'].text()} needs a certificate"


def _beyond_redirect(protocol: str, tls: Node) -> bool:
    """Whether TLS in plain text says more than that everything is redirected."""
    return protocol not in _PLAIN or any(key != "httpsRedirect" for key in tls.names())


def _holds_certificate(tls: Node) -> bool:
    own = tls["serverCertificate"].given and tls["privateKey"].given
    return own or any(tls[key].given for key in ("credentialName", "credentialNames", "tlsCertificates"))


def refused_kubernetes_gateway(subject: KubeObject) -> Refusals:
    """What is refused of a Gateway of the Gateway API."""
    written = subject.spec["listeners"]
    listeners = written.elements()
    if _twice([each["name"].text() for each in listeners]):
        yield written, "the name of a listener is given twice"
    parts = [(each["port"].integer(), each["protocol"].text(), each["hostname"].text()) for each in listeners]
    if _twice(parts):
        yield written, "port, protocol and hostname of two listeners are the same"
    for each in listeners:
        yield from _listener(each)


def _listener(listener: Node) -> Refusals:
    protocol, tls = listener["protocol"].text(), listener["tls"]
    mode = tls["mode"].text()
    if protocol in ("HTTP", "TCP", "UDP") and tls.given:
        yield tls, f"a listener for {protocol} has no tls"
    elif protocol == "HTTPS" and mode not in ("", "Terminate"):
        yield tls["mode"], "a listener for HTTPS ends TLS itself"
    elif protocol == "TLS" and not mode:
        yield tls, "a listener for TLS needs a mode"
    elif tls.given and mode in ("", "Terminate") and not (tls["certificateRefs"].given or tls["options"].given):
        yield tls, "a listener that ends TLS needs certificateRefs"
    if protocol in ("TCP", "UDP") and listener["hostname"].given:
        yield listener["hostname"], f"a listener for {protocol} has no hostname"


def refused_sidecar(subject: KubeObject) -> Refusals:
    """What is refused of a Sidecar."""
    spec = subject.spec
    listeners = spec["egress"].elements()
    beside = any(spec[key].given for key in ("outboundTrafficPolicy", "inboundConnectionPool"))
    if not (listeners or spec["ingress"].elements() or beside):
        yield spec, "it says nothing"
    for listener in listeners:
        hosts = listener["hosts"].texts()
        if not hosts:
            yield listener["hosts"], "a listener needs a host"
        if any(host.count("/") != 1 for host in hosts):
            yield listener["hosts"], "a host must be written as namespace/name"
        elif any(map(_is_short, hosts)):
            yield listener["hosts"], "a host must be a full name"
    for listener, _ in pairwise(listeners):
        if not listener["port"].given:
            yield listener, "only the last listener goes without a port"
    places = [(each["port"]["number"].integer(), each["bind"].text()) for each in listeners if each["port"].given]
    if _twice(places):
        yield spec["egress"], "a port is given twice"


def _is_short(written: str) -> bool:
    """Whether a host, perhaps with a namespace before it, has one label alone."""
    name = written.rpartition("/")[2]
    return name != "*" and "." not in name


def _twice(values: Sequence[Hashable]) -> bool:
    return len(set(values)) < len(values)
