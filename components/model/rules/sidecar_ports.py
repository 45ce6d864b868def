"""Ports at which the proxies of a namespace route requests for hosts, and which hosts they see."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ..routing import service_host
from .clusters import ClusterObjects
from .mesh_config import default_exports
from .nodes import Node, NotJudgedError
from .objects import KubeObject, exported, known_ports, service_name
from .ports import carries_http, family, port_nodes, port_number, port_protocol
from .reach import service_entry
from .visibility import sees_service

PLAIN_PORT: Final = 80
"""Port at which sidecars route hosts that no Service and no ServiceEntry defines.

They do where some Service that they see has that port, as those of gateways do.
"""


def has_plain_port(cluster: ClusterObjects, namespace: str) -> bool | None:
    """Whether sidecars of a namespace have :data:`PLAIN_PORT`: not where nobody shows them a host that has it.

    A Sidecar may hide all of them, and so may the mesh, whose configuration may leave Services to their own namespace.
    None where no host at hand has it, and they may see others.
    """
    shown = default_exports(Node(cluster.mesh_config), "Service") or ["*"]
    if PLAIN_PORT in cluster.once(("listened ports", namespace), lambda: _listened(cluster, namespace)):
        return True
    given, find = _namespaces(cluster), cluster.service
    hidden = "*" not in shown or cluster.scopes.hides_all_but(namespace, given, find, at=PLAIN_PORT)
    whole = cluster.complete and hidden
    return False if whole else None


def may_be_elsewhere(cluster: ClusterObjects, host: str) -> bool:
    """Whether a host is a Service's that is not at hand and may be there: files often leave Services to others.

    With some of its namespace at hand, it should be, too.
    """
    name = service_name(host)
    if not name or cluster.service(host):
        return False
    return not cluster.complete or name[1] not in _namespaces(cluster)


def _namespaces(cluster: ClusterObjects) -> set[str]:
    return cluster.once("namespaces of Services", lambda: {each.namespace for each in cluster.of("Service")})


def visible_subject(cluster: ClusterObjects, host: str, namespace: str, at: int | None = None) -> KubeObject | None:
    """The Service or ServiceEntry behind a host that the sidecars of a namespace see; with ``at`` on that port."""
    service = cluster.service(host)
    if service:
        seen = service if sees_service(namespace, service) else None
    else:
        entry = service_entry(cluster, host, namespace)
        seen = entry if entry and exported(entry, namespace) and host in entry.spec["hosts"].texts() else None
    if seen is None or not cluster.scopes.narrow:
        return seen
    taken = cluster.scopes.takes_in(namespace, host, seen.namespace, ports=cluster.ports_of(host), at=at)
    return seen if taken else None


def is_alias(cluster: ClusterObjects, host: str) -> bool:
    """Whether a host is a Service's of type ExternalName, which has no address of its own."""
    service = cluster.service(host)
    return service is not None and service.spec["type"].text() == "ExternalName"


def meant_host(cluster: ClusterObjects, host: str) -> str:
    """The host that requests for a host go to, by Services of type ExternalName; empty where they lead in a circle."""
    passed: set[str] = set()
    while host not in passed and (service := cluster.service(host)) and is_alias(cluster, host):
        passed.add(host)
        host = service.spec["externalName"].text().lower()
    return "" if host in passed else host


def http_ports(cluster: ClusterObjects, host: str, namespace: str) -> list[int]:
    """Ports of a known host on which proxies of a namespace route requests.

    A Service of type ExternalName makes no listener: it has requests where another one makes it for all addresses.
    """
    found = port_nodes(cluster, host)
    numbers = [port_number(node) for node in found[1] if carries_http(found[0], node)] if found else []
    known = [number for number in numbers if number]
    if not is_alias(cluster, host):
        return known
    listened = cluster.once(("listened ports", namespace), lambda: _listened(cluster, namespace))
    return [number for number in known if number in listened]


def called_ports(cluster: ClusterObjects, host: str, namespace: str) -> list[int]:
    """Those of :func:`http_ports` on which sidecars of a namespace see the host."""
    found = http_ports(cluster, host, namespace)
    return [port for port in found if visible_subject(cluster, host, namespace, port)]


def _listened(cluster: ClusterObjects, namespace: str) -> set[int]:
    """Ports that sidecars of a namespace listen on for all addresses: those that say that they carry HTTP.

    Where their Sidecar has a listener for a port, one for all ports makes them listen on it as well.
    """
    found: set[int] = set()
    for host, subject in _subjects(cluster, namespace):
        for node in known_ports(subject):
            number = port_number(node)
            says_so = subject.kind == "ServiceEntry" or family(port_protocol(subject, node))
            if number and says_so and carries_http(subject, node):
                taken = cluster.scopes.takes_in(namespace, host, subject.namespace, ports=(number,))
                found |= {number} if taken else set()
    return found


def _subjects(cluster: ClusterObjects, namespace: str) -> Iterator[tuple[str, KubeObject]]:
    """What sidecars of a namespace may listen for, by its host: all that they see but aliases."""
    for service in cluster.of("Service"):
        host = service_host(service.name, service.namespace)
        if sees_service(namespace, service) and not is_alias(cluster, host):
            yield host, service
    for entry in cluster.of("ServiceEntry"):
        with suppress(NotJudgedError):
            if exported(entry, namespace):
                yield from [(host, entry) for host in entry.spec["hosts"].texts()]
