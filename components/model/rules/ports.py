"""Ports of Services and ServiceEntries, and what they say that they speak."""

from typing import Final

from .clusters import ClusterObjects
from .mirror_entries import MirrorEntry
from .nodes import Node
from .objects import KubeObject, known_ports
from .reach import service_entry
from .routes import Target

HTTP2: Final = frozenset({"grpc", "grpc-web", "http2", "h2c", "kubernetes.io/h2c"})
"""Names and application protocols by which Istio takes a port for HTTP/2 in plain text."""

HTTP1: Final = frozenset({"http", "kubernetes.io/ws"})
_ENTRY_HTTP: Final = frozenset({"http", "http2", "grpc", "grpc-web", ""})
OTHER: Final = frozenset({"https", "tls", "tcp", "udp", "mongo", "mysql", "redis", "kubernetes.io/wss"})


def name_fault(subject: KubeObject, port: Node, spoken: str) -> str:
    """What is wrong with a port's name, given what is spoken there; empty when nothing is."""
    name, number = port["name"].text(), port_number(port)
    if subject.kind == "Service" and port["appProtocol"].given:
        return ""
    if not name:
        return f"port {number} has no name, so its protocol is guessed"
    claimed = family(_prefix(name))
    if subject.kind == "Service" and not claimed:
        return f"port {number} is named {name!r}, which says no protocol, so it is guessed"
    claimed = claimed or family(_prefix(name).rstrip("0123456789"))
    if claimed and spoken and claimed != spoken:
        carried = "gRPC" if spoken == "http2" else "HTTP/1.1"
        return f"port {number} is named {name!r} but carries {carried}"
    return ""


def port_nodes(cluster: ClusterObjects, host: str) -> tuple[KubeObject, list[Node]] | None:
    """The object that defines a host's ports, and the ports that Istio knows; None when it is not at hand."""
    return cluster.once(("ports", host), lambda: _port_nodes(cluster, host))


def _port_nodes(cluster: ClusterObjects, host: str) -> tuple[KubeObject, list[Node]] | None:
    subject = cluster.service(host) or service_entry(cluster, host)
    return (subject, known_ports(subject)) if subject else None


def port_number(node: Node) -> int | None:
    """Number of a Service's or ServiceEntry's port."""
    return node["port"].integer() if node["port"].given else node["number"].integer()


def port_protocol(subject: KubeObject, port: Node) -> str:
    """What a port says that it speaks, in lower case; empty when it says nothing."""
    if subject.kind == "ServiceEntry":
        return port["protocol"].text().lower()
    return port["appProtocol"].text().lower() or _prefix(port["name"].text())


def _prefix(name: str) -> str:
    """What stands before the first hyphen: Istio reads a port's name as ``<protocol>[-<suffix>]``."""
    lower = name.lower()
    return "grpc-web" if lower == "grpc-web" or lower.startswith("grpc-web-") else lower.partition("-")[0]


def family(protocol: str) -> str:
    """``http2``, ``http1`` or ``other`` for a protocol as a port says it; empty for an unknown word."""
    if protocol in HTTP2:
        return "http2"
    if protocol in HTTP1:
        return "http1"
    return "other" if protocol in OTHER else ""


def carries_http(subject: KubeObject, port: Node) -> bool:
    """Whether proxies route requests on a port: it says HTTP, or nothing that they know and then look themselves."""
    if subject.kind == "ServiceEntry":
        return port_protocol(subject, port) in _ENTRY_HTTP
    if port["protocol"].text("TCP") != "TCP":
        return False
    return family(port_protocol(subject, port)) != "other"


def spoken_by(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """What the primary of a mirror speaks: ``http2``, ``http1``, or nothing when it cannot be told."""
    if mirror_entry.source.kind == "GRPCRoute":
        return "http2"
    spoken = (spoken_at(cluster, primary) for primary in mirror_entry.route.primaries)
    return next(filter(None, spoken), "")


def spoken_at(cluster: ClusterObjects, target: Target) -> str:
    """What a target speaks: ``http2``, ``http1``, or nothing when it cannot be told."""
    found = port_nodes(cluster, target.host)
    ports = found[1] if found else []
    for port in ports:
        if found and (target.port == port_number(port) or (target.port is None and len(ports) == 1)):
            spoken = family(port_protocol(found[0], port))
            if spoken in ("http1", "http2"):
                return spoken
    return ""
