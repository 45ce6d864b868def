"""What of gateways is refused, and why."""

from typing import Final

from .nodes import Node
from .objects import NAMELESS, KubeObject
from .refusednames import (
    HTTP,
    PORTS,
    PROTOCOLS,
    SECURED,
    UNIX,
    Refusals,
    address,
    bind_fault,
    filled,
    is_label,
    is_whole_host,
    protocol_of,
    twice,
    unix_fault,
)
from .refusedtls import refused_server_tls

_PASSING: Final = ("", "PASSTHROUGH", "AUTO_PASSTHROUGH")
"""Modes of TLS with which a listener ends none."""


def refused_gateway(subject: KubeObject) -> Refusals:
    """What is refused of a Gateway of Istio's."""
    servers = subject.spec["servers"].elements()
    if subject.name != NAMELESS and not is_label(subject.name):
        yield subject.root["metadata"]["name"], "the name of a Gateway has no dots"
    if not servers:
        yield subject.spec["servers"], "a gateway needs a server"
    for server in servers:
        yield from _place(server)
        yield from _hosts(server["hosts"])
        yield from _secured(server)
    if twice([server["port"]["name"].text() for server in servers]):
        yield subject.spec["servers"], "the name of a port is given twice"


def _place(server: Node) -> Refusals:
    """What is refused of where a server listens."""
    port, bind = server["port"], server["bind"]
    number = port["number"].integer() or 0
    if not port["name"].text():
        yield port, "name is missing"
    if (port["targetPort"].integer() or 0) > 0:
        yield port["targetPort"], "a server has no targetPort"
    if not bind.text().startswith(UNIX):
        if number not in PORTS:
            yield port["number"], "a port must be from 1 to 65535"
        if fault := bind_fault(bind.text()):
            yield bind, fault
        return
    if number:
        yield port["number"], "a Unix socket has port 0"
    if fault := unix_fault(bind.text()):
        yield bind, fault


def _hosts(written: Node) -> Refusals:
    hosts = written.elements()
    if not hosts:
        yield written, "a server needs a host"
    for host in hosts:
        if fault := _host_fault(host.text()):
            yield host, fault


def _host_fault(written: str) -> str:
    namespace, slash, name = written.partition("/")
    if not slash:
        namespace, name = "*", written
    if namespace not in ("*", ".") and not is_label(namespace):
        return f"{namespace or 'nothing'} is no namespace"
    if name == "*":
        return ""
    if "." not in name:
        return "a host must be a full name"
    return "" if is_whole_host(name) or address(name) else f"{name} is no host"


def _secured(server: Node) -> Refusals:
    """What is refused of a server's protocol and TLS."""
    tls, protocol = server["tls"], protocol_of(server["port"])
    name = protocol.upper()
    if tls.given:
        yield from refused_server_tls(tls)
    if protocol not in PROTOCOLS:
        yield server["port"]["protocol"], "the protocol is unknown"
    elif protocol in SECURED and not tls.given:
        yield server, f"a server for {name} needs tls"
    elif protocol not in SECURED and tls.given and (protocol not in HTTP or _beyond_redirect(tls)):
        yield tls, f"a server for {name} has no tls"


def _beyond_redirect(tls: Node) -> bool:
    """Whether TLS in plain text says more than that everything is redirected."""
    own = ("caCertificates", "privateKey", "serverCertificate")
    return tls["mode"].text() not in _PASSING or any(filled(tls[key]) for key in own)
