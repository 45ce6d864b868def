"""Hosts of routes for the mesh by the ports on which sidecars have them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from ..routing import CLUSTER_DOMAIN
from .clusters import ClusterObjects
from .envoy import SIDECAR
from .hosts import covers, widening
from .matching import asked, meets
from .routes import MESH, Route
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
    visible = [name for name in known if visible_subject(cluster, name, namespace)]
    own = [name for name in visible if not any(_closer(cluster, name, host, namespace))]
    found = [(name, port) for name in own for port in called_ports(cluster, name, namespace)]
    if found or not host.endswith(CLUSTER_DOMAIN):
        return found
    if not takes_services(cluster, host, namespace) and any(
        PLAIN_PORT in cluster.ports_of(name)
        and not any(_made(cluster, _closer(cluster, name, host, namespace), namespace))
        for name in known
    ):
        return []
    return None if may_be_elsewhere(cluster, host) else [(host, 0)]


def _closer(cluster: ClusterObjects, name: str, pattern: str, namespace: str) -> Iterator[Route]:
    """Entries that sidecars see of routes for a host itself, or for a narrower pattern than ``pattern``.

    A Service that sidecars see belongs to the closest of these routes, whether it makes them a virtual host or not.
    """
    for closer in takewhile(lambda each: each != pattern, widening(name)):
        for route in cluster.route_index.exactly(closer):
            seen = MESH in route.bound and sees_route(namespace, route, cluster.scopes)
            if seen and not cluster.refusals(route.owner):
                yield route


def _made(cluster: ClusterObjects, routes: Iterable[Route], namespace: str) -> Iterator[Route]:
    """Those of some entries that make sidecars a virtual host for what no Service that they see defines.

    A route of the Gateway API makes none, nor does one whose every match is for others.
    """
    for route in routes:
        conditions = [] if route.native or isinstance(found := asked(route), str) else found
        if any(
            meets(cluster, route, each, context=SIDECAR, namespace=namespace, gateway=MESH, port=PLAIN_PORT)
            for each in conditions
        ):
            yield route


def takes_services(cluster: ClusterObjects, host: str, namespace: str) -> bool:
    """Whether a host is for some at :data:`PLAIN_PORT` that sidecars know, and so makes no virtual host there."""
    return any(
        PLAIN_PORT in cluster.ports_of(name) and visible_subject(cluster, name, namespace, PLAIN_PORT)
        for name in _covered(cluster, host)
    )


def _covered(cluster: ClusterObjects, host: str) -> list[str]:
    """A host itself, or the known ones of a pattern."""
    return [each for each in cluster.registered_hosts if covers(host, each)] if host.startswith("*") else [host]
