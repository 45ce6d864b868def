"""Where a mirror leads: to a Service beside it, to its own gateway, or to another cluster's gateway."""

from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique

from ..annotations import CONTRACT, MIRROR
from .clusters import ClusterObjects, Mesh
from .nodes import UNKNOWN, NotJudgedError
from .objects import KubeObject, exported, service_name
from .routes import Route, Target


@unique
class Side(StrEnum):
    """Where a target lies, seen from the cluster that sends."""

    LOCAL = "local"
    """A Service of the same cluster."""
    OWN_GATEWAY = "own gateway"
    """The gateway of the same cluster: the copy enters it again."""
    REMOTE = "remote"
    """Outside the cluster."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where a target leads.

    Attributes:
        side: Seen from the sending cluster.
        entry: The ServiceEntry that makes it known; None for none.
        port: Port at the far end; None when it is left out.
        clusters: For a remote target the clusters that it may lead to: one where there is evidence which.
    """

    side: Side
    entry: KubeObject | None = None
    port: int | None = None
    clusters: tuple[ClusterObjects, ...] = field(default=(), repr=False)


def reach(mesh: Mesh, cluster: ClusterObjects, route: Route, target: Target) -> Reach:
    """Find out where requests of ``route`` to ``target`` lead."""
    return mesh.once(("reach", cluster, route, target.cluster_name), lambda: _reach(mesh, cluster, route, target))


def stays(cluster: ClusterObjects, target: Target) -> bool:
    """Whether a target is a Service of the same cluster, and none of its gateways."""
    return bool(service_name(target.host)) and target.host not in cluster.gateways.hosts


def side_of(cluster: ClusterObjects, target: Target) -> Side:
    """Where a target lies."""
    if service_name(target.host):
        return Side.LOCAL if stays(cluster, target) else Side.OWN_GATEWAY
    entry = service_entry(cluster, target.host)
    if entry and entry.spec["location"].text() == "MESH_INTERNAL":
        return Side.LOCAL
    return Side.OWN_GATEWAY if _addresses(entry, target) & cluster.gateways.addresses else Side.REMOTE


def _addresses(entry: KubeObject | None, target: Target) -> set[str]:
    # An address that is not known yet is no evidence, and nothing else depends on it.
    with suppress(NotJudgedError):
        return entry_addresses(entry, target.host)
    return set()


def _reach(mesh: Mesh, cluster: ClusterObjects, route: Route, target: Target) -> Reach:
    side, named = side_of(cluster, target), service_name(target.host)
    entry = None if named else service_entry(cluster, target.host)
    if side is Side.LOCAL or named:
        return Reach(side=side, entry=entry, port=target.port)
    port = far_port(entry, target.port)
    if side is Side.OWN_GATEWAY:
        return Reach(side=side, entry=entry, port=port)
    clusters = _remote(mesh, cluster, route, target, _addresses(entry, target))
    return Reach(side=side, entry=entry, port=port, clusters=tuple(clusters))


def service_entry(cluster: ClusterObjects, host: str, namespace: str = "") -> KubeObject | None:
    """The ServiceEntry for a host, an exact one before a wildcard; one that ``namespace`` sees before all others."""
    return cluster.once(("service entry", host, namespace), lambda: _service_entry(cluster, host, namespace))


def _service_entry(cluster: ClusterObjects, host: str, namespace: str) -> KubeObject | None:
    found = list(cluster.service_entries.covering(host))
    visible = [entry for entry in found if exported(entry, namespace)] if namespace and len(found) > 1 else []
    return next(iter(visible or found), None)


def pattern_entry(cluster: ClusterObjects, host: str) -> KubeObject | None:
    """The ServiceEntry that takes a host by a pattern alone, which makes a cluster for the pattern and none for it."""
    if not cluster.complete or host.startswith("*") or not cluster.has_pattern_entries:
        return None
    entry = service_entry(cluster, host)
    return entry if entry and not cluster.service(host) and not cluster.service_entries.exactly(host) else None


def entry_addresses(entry: KubeObject | None, host: str) -> set[str]:
    """Addresses and names that a ServiceEntry resolves to; the host itself where it names none."""
    if entry is None:
        return {host}
    nodes = entry.spec["endpoints"].elements()
    return {text for node in nodes if (text := node["address"].text())} or {host}


def far_port(entry: KubeObject | None, port: int | None) -> int | None:
    """The port at the far end of a ServiceEntry's port."""
    if entry is None:
        return port
    for node in entry.spec["ports"].elements():
        if node["number"].integer() == port:
            endpoints = entry.spec["endpoints"]
            for endpoint in endpoints.elements() if endpoints.value is not UNKNOWN else ():
                mapped = endpoint["ports"][node["name"].text()].integer()
                if mapped is not None:
                    return mapped
            target = node["targetPort"].integer()
            return port if target is None else target
    return port


def _remote(
    mesh: Mesh, cluster: ClusterObjects, route: Route, target: Target, addresses: set[str]
) -> list[ClusterObjects]:
    """Clusters that a remote target may lead to: by address, by contract, by name, else whoever takes the authority."""
    others = mesh.others(cluster)
    if len(others) < 2:  # noqa: PLR2004 -- one other cluster needs no evidence
        return others
    known = [other for other in others if addresses & other.gateways.addresses]
    digests = _own_digests(route, target) or route.source.contract_digests
    known = known or [other for other in others if digests & other.contract_digests]
    known = known or [other for other in others if any(other.listener_index.covering(target.host))]
    return known or [other for other in others if any(other.arrivals(form) for form in route.carried)] or others


def _own_digests(route: Route, target: Target) -> set[str]:
    """Digest of the contract of a route's mirror to ``target``, where the rendering noted it."""
    try:
        notes = {key: note.text() for key, note in route.source.annotations.entries()}
    except NotJudgedError:
        return set()
    mirrors = MIRROR
    names = [key.removeprefix(mirrors) for key in notes if key.startswith(mirrors)]
    named = (name for name in names if notes[mirrors + name] == target.cluster_name)
    return {digest for name in named if (digest := notes.get(f"{CONTRACT}{name}"))}
