"""Hosts of routes for the mesh by the ports on which sidecars have them."""

from collections.abc import Sequence
from itertools import takewhile

from ..routing import CLUSTER_DOMAIN
from .clusters import ClusterObjects
from .hosts import covers, widening
from .routes import MESH
from .sidecar_ports import PLAIN_PORT, called_ports, has_plain_port, may_be_elsewhere, visible_subject
from .visibility import sees_route


def hosts_by_port(
    cluster: ClusterObjects, hosts: Sequence[str], namespace: str, *, native: bool
) -> dict[int | None, tuple[list[str], bool]]:
    """Hosts by the port that sidecars of a namespace have them on, and whether that is sure.

    What nothing defines stands beside the others at their ports, and at :data:`PLAIN_PORT`. Routes of the Gateway API
    make no such hosts.
    """
    found: dict[int | None, tuple[list[str], bool]] = {}
    strangers: list[str] = []
    for host in hosts:
        known = _registered(cluster, host.lower(), namespace)
        if known is None:
            found.setdefault(None, ([], False))[0].append(host)
            continue
        for name, port in known:
            if port:
                found.setdefault(port, ([], True))[0].append(name)
        if not known or _stands_alone(host, known):
            strangers.append(host)
    if native:
        return found
    if strangers and (plain := has_plain_port(cluster, namespace)) is not False:
        found.setdefault(PLAIN_PORT, ([], plain is True))
    for names, _ in found.values():
        names.extend(each for each in strangers if each not in names)
    return found


def _stands_alone(host: str, known: Sequence[tuple[str, int]]) -> bool:
    """Whether a pattern is a host of its own where none of its known hosts is, and somebody may call it by a name."""
    return host.startswith("*") and not host.endswith(CLUSTER_DOMAIN) and all(port != PLAIN_PORT for _, port in known)


def _registered(cluster: ClusterObjects, host: str, namespace: str) -> list[tuple[str, int]] | None:
    """Known hosts of a pattern with their HTTP ports; none for a stranger, None where a Service may not be at hand."""
    if not host.startswith("*"):
        subject = visible_subject(cluster, host, namespace)
        if subject is not None:
            return [(host, port) for port in called_ports(cluster, host, namespace)] or [(host, 0)]
        if may_be_elsewhere(cluster, host):
            return None
        unseen = cluster.ports_of(host)
        return [(host, 0)] if unseen and PLAIN_PORT not in unseen else []
    return _of_pattern(cluster, host, namespace)


def _of_pattern(cluster: ClusterObjects, host: str, namespace: str) -> list[tuple[str, int]] | None:
    """The same for a pattern, at sidecars."""
    known = _covered(cluster, host)
    names = [name for name in known if not _routed_closer(cluster, name, host, namespace)]
    visible = [name for name in names if visible_subject(cluster, name, namespace)]
    found = [(name, port) for name in visible for port in called_ports(cluster, name, namespace)]
    if found or not host.endswith(CLUSTER_DOMAIN):
        return found
    if any(PLAIN_PORT in cluster.ports_of(name) for name in names) and not takes_services(cluster, host, namespace):
        return []
    return None if may_be_elsewhere(cluster, host) else [(host, 0)]


def _routed_closer(cluster: ClusterObjects, name: str, pattern: str, namespace: str) -> bool:
    """Whether a route of the mesh for a host itself, or for a narrower pattern, takes it before that of ``pattern``."""
    for closer in takewhile(lambda each: each != pattern, widening(name)):
        for route in cluster.route_index.exactly(closer):
            seen = MESH in route.bound and sees_route(namespace, route, cluster.scopes)
            if seen and not cluster.refusals(route.owner):
                return True
    return False


def takes_services(cluster: ClusterObjects, host: str, namespace: str) -> bool:
    """Whether a host is for some at :data:`PLAIN_PORT` that sidecars know, and so makes no virtual host there."""
    return any(
        PLAIN_PORT in cluster.ports_of(name) and visible_subject(cluster, name, namespace, PLAIN_PORT)
        for name in _covered(cluster, host)
    )


def _covered(cluster: ClusterObjects, host: str) -> list[str]:
    """A host itself, or the known ones of a pattern."""
    return [each for each in cluster.registered_hosts if covers(host, each)] if host.startswith("*") else [host]
