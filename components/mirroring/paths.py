"""Where the mirrors of one program lead: loops among them are refused, and so are two owners of one host.

A program knows its own clusters, and of other stacks what their offers tell. What neither shows, a third stack's
mirrors for example, is found by ``traffic-mirror check`` over all clusters, and ends at run time after one hop.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final, Self, TypeAlias, cast
from weakref import WeakKeyDictionary

import pulumi

from ..clusters import ClusterHandle
from ..model import (
    AuthorityMode,
    CrossClusterMirror,
    GatewayHosts,
    JsonValue,
    MirrorContract,
    MirroredRoute,
    OverlayRoute,
    ValidationError,
)
from ..model.overlay import mirrors_at, places
from ..model.rules import Hop, Place, find_loops, loop_error
from ..model.rules.routes import MESH, authority_form

DOWNSTREAM: Final = "onward"
"""Key of an offer under which a receiver tells where the hosts of its gateway are mirrored to in turn."""

_EDGE_KEYS: Final = ("gateway", "host", "contract", "receiver")


GATEWAYS: Final = "gateways"
"""Where clients call a host, whichever gateway it is; so it is called in the path of a circle as well."""

_Served: TypeAlias = tuple[int, str, str]
"""Provider, gateways or mesh, and host."""


@dataclass(frozen=True, kw_only=True)
class _MirrorEdge:
    """One mirror of one host.

    Attributes:
        start: Where it leaves; the cluster is an entrance's label.
        digest: Digest of its contract.
        receiver: Name of the cluster that the contract gives.
    """

    start: Place
    digest: str
    receiver: str

    @classmethod
    def of(cls, mirror: CrossClusterMirror, start: Place) -> Self:
        """What ``mirror`` takes from a place."""
        return cls(start=start, digest=mirror.contract.digest, receiver=str(mirror.contract.receiver))

    def to_json(self) -> JsonValue:
        """For an offer."""
        return dict(zip(_EDGE_KEYS, (self.start.gateway, self.start.host, self.digest, self.receiver), strict=True))

    @classmethod
    def read(cls, told: object, label: str) -> "Iterator[_MirrorEdge]":
        """Read what :meth:`to_json` wrote; nothing where it is something else."""
        if isinstance(told, Mapping):
            edge = cast("Mapping[str, object]", told)
            gateway, host, digest, receiver = (str(edge.get(key, "")) for key in _EDGE_KEYS)
            if gateway and host:
                yield cls(start=Place(cluster=label, gateway=gateway, host=host), digest=digest, receiver=receiver)


@dataclass(kw_only=True)
class MirrorPaths:
    """What one program mirrors, from where to where.

    Mirrors arrive at gateways, so each gateway of a cluster is an entrance with a label of its own.
    """

    _labels: dict[tuple[int, str], str] = field(default_factory=dict[tuple[int, str], str])
    """By provider and gateway."""
    _clusters: dict[str, str] = field(default_factory=dict[str, str])
    """Names of clusters by label."""
    _receivers: dict[str, str] = field(default_factory=dict[str, str])
    """Labels by digest of the contract that is received there."""
    _owners: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """Who routes a host, by label and host."""
    _edges: list[_MirrorEdge] = field(default_factory=list[_MirrorEdge])
    _overlay_edges: list[tuple[int, _MirrorEdge]] = field(default_factory=list[tuple[int, _MirrorEdge]])
    """By provider the mirrors that leave by every gateway of the cluster that their start names."""
    _routed: dict[_Served, str] = field(default_factory=dict[_Served, str])
    """Which component routes what, at any gateway or inside the mesh."""
    _overlaid: dict[_Served, str] = field(default_factory=dict[_Served, str])
    """Which overlay hangs on what."""
    _arriving: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Where mirrors go, and the authorities that they carry there."""

    def add_receiver(self, owner: str, contract: MirrorContract, cluster: ClusterHandle, gateway: str) -> None:
        """Note where the mirrors of a contract arrive.

        Args:
            owner: Name of the component, for messages.
            contract: What it accepts.
            cluster: Its cluster.
            gateway: Its gateway as ``namespace/name``.

        Raises:
            ValidationError: Another component routes one of the hosts at that gateway.
        """
        label = self._label(cluster, gateway)
        self._own(owner, cluster, gateway, contract.accepted_hosts, "contract.hosts")
        self._receivers[contract.digest] = label

    def add_route(self, owner: str, route: MirroredRoute, cluster: ClusterHandle) -> None:
        """Note where a route's mirrors lead.

        Args:
            owner: Name of the component, for messages.
            route: The route.
            cluster: Its cluster.

        Raises:
            ValidationError: Together with what the program has so far the mirrors lead in a circle, or another
                component routes one of the hosts at that gateway, or the primary's name inside the mesh.
        """
        if route.gateway is not None:
            self._add_legs(owner, route, cluster, str(route.gateway))
        if route.mesh:
            self._own_in_mesh(owner, cluster, str(route.primary.host))

    def _add_legs(self, owner: str, route: MirroredRoute, cluster: ClusterHandle, gateway: str) -> None:
        label = self._label(cluster, gateway)
        edges = [
            _MirrorEdge.of(mirror, Place(cluster=label, gateway=gateway, host=str(host)))
            for mirror in route.mirrors
            if isinstance(mirror, CrossClusterMirror)
            for host in route.hosts
        ]
        hosts = [str(host) for host in route.hosts]
        self._edges += edges
        self._refuse_new_loops(edges, (label, cluster.name), hosts)
        self._own(owner, cluster, gateway, hosts, "hosts")

    def _refuse_new_loops(self, edges: Iterable[_MirrorEdge], starts: Iterable[str], hosts: Iterable[str]) -> None:
        """Refuse circles through mirrors that were added just now.

        Args:
            edges: They.
            starts: Labels and name of their cluster.
            hosts: Hosts that are mirrored there.
        """
        self._arriving |= {
            (self._receivers.get(edge.digest, edge.receiver), authority_form(edge.start.host, mode))
            for edge in edges
            for mode in AuthorityMode
        }
        # A route at which nothing arrives is on no circle, and most are such.
        if not self._arriving.isdisjoint(product(starts, hosts)):
            self._refuse_loops(self._all_edges)

    @property
    def _all_edges(self) -> list[_MirrorEdge]:
        return [*self._edges, *(edge for _, edge in self._overlay_edges)]

    def add_overlay(self, owner: str, route: OverlayRoute, cluster: ClusterHandle) -> None:
        """Note what an overlay hangs on, and where its mirrors lead; several overlays may hang on one host.

        Args:
            owner: Name of the component, for messages.
            route: The overlay.
            cluster: Its cluster.

        Raises:
            ValidationError: A component of this program routes one of the places: two sets of mirrors would be on it.
                Or together with what the program has so far the mirrors lead in a circle.
        """
        edges: list[_MirrorEdge] = []
        for _, place, host in places(route):
            key = (id(cluster.provider), GATEWAYS if isinstance(place, GatewayHosts) else MESH, host)
            self._overlaid.setdefault(key, owner)
            self._refuse_both(key, f"on[{route.on.index(place)}]")
            start = Place(cluster=cluster.name, gateway=GATEWAYS, host=host)
            across = (each for each in mirrors_at(route, place) if isinstance(each, CrossClusterMirror))
            edges += [_MirrorEdge.of(mirror, start) for mirror in across]
        self._overlay_edges += [(id(cluster.provider), edge) for edge in edges]
        self._refuse_new_loops(edges, (cluster.name,), {edge.start.host for edge in edges})

    def _refuse_both(self, key: _Served, field: str) -> None:
        """Refuse an overlay on what a component of this program routes itself, whichever came first."""
        if key in self._overlaid and key in self._routed:
            raise ValidationError(
                field=field,
                value=key[2],
                rule=f"must be routed by somebody else where an overlay ({self._overlaid[key]!r}) hangs on it, and"
                f" {self._routed[key]!r} of this program routes it",
                remedy=f"Give {self._routed[key]!r} all mirrors, and drop the overlay",
            )

    def follow(self, contract: MirrorContract, offer: object) -> None:
        """Follow what an offer tells of the other side's own mirrors.

        Args:
            contract: What the offer is for.
            offer: The stack output.

        Raises:
            ValidationError: They lead back into the mirrors of this program.
        """
        told = cast("Mapping[str, object]", offer).get(DOWNSTREAM) if isinstance(offer, Mapping) else None
        items = cast("list[object]", told) if isinstance(told, list) else []
        there = self._receivers.get(contract.digest, str(contract.receiver))
        edges = [edge for item in items for edge in _MirrorEdge.read(item, there)]
        if edges:
            self._refuse_loops([*self._all_edges, *edges])

    def downstream(self, cluster: ClusterHandle, gateway: str) -> list[JsonValue]:
        """What the program mirrors from a gateway, for the offers of its receivers.

        Args:
            cluster: The gateway's cluster.
            gateway: The gateway as ``namespace/name``.
        """
        label = self._label(cluster, gateway)
        hung = [edge for provider, edge in self._overlay_edges if provider == id(cluster.provider)]
        here = [replace(edge, start=replace(edge.start, cluster=label, gateway=gateway)) for edge in hung]
        return [edge.to_json() for edge in (*self._edges, *here) if edge.start.cluster == label]

    def _label(self, cluster: ClusterHandle, gateway: str) -> str:
        key = (id(cluster.provider), gateway)
        if key not in self._labels:
            label = f"{cluster.name} {gateway}"
            while label in self._clusters:
                label = f"other {label}"
            self._labels[key] = label
            self._clusters[label] = cluster.name
        return self._labels[key]

    def _own(self, owner: str, cluster: ClusterHandle, gateway: str, hosts: Iterable[str], field: str) -> None:
        label = self._label(cluster, gateway)
        wanted = [(label, host) for host in hosts]
        for key in sorted(wanted):
            if key in self._owners:
                raise ValidationError(
                    field=field,
                    value=key[1],
                    rule=f"must be routed by one component at one gateway, and {self._owners[key]!r} routes it already",
                    remedy="Give one component all mirrors of the host",
                )
        self._owners.update(dict.fromkeys(wanted, owner))
        for _, host in wanted:
            self._routed[id(cluster.provider), GATEWAYS, host] = owner
            self._refuse_both((id(cluster.provider), GATEWAYS, host), field)

    def _own_in_mesh(self, owner: str, cluster: ClusterHandle, host: str) -> None:
        """A sidecar takes one of two VirtualServices for a name, wherever they are."""
        first = self._owners.setdefault((f"mesh of {id(cluster.provider)}", host), owner)
        if first != owner:
            raise ValidationError(
                field="primary.host",
                value=host,
                rule=f"must be routed inside the mesh by one component, and {first!r} routes it already",
                remedy="Give one component all mirrors of the service, or set govern_mesh=False for one of the two",
            )
        self._routed[id(cluster.provider), MESH, host] = owner
        self._refuse_both((id(cluster.provider), MESH, host), "primary.host")

    def _refuse_loops(self, edges: Iterable[_MirrorEdge]) -> None:
        hops = [hop for edge in edges for hop in self._hops(edge)]
        for loop in find_loops(hops):
            named = [
                replace(hop, start=replace(hop.start, cluster=self._clusters.get(hop.start.cluster, hop.start.cluster)))
                for hop in loop
            ]
            raise loop_error(named)

    def _hops(self, edge: _MirrorEdge) -> Iterator[Hop]:
        """Under both authority modes, to the entrance that is known, or to any of the cluster with that name."""
        known = self._receivers.get(edge.digest)
        named = [label for label, name in self._clusters.items() if name == edge.receiver]
        for end in [known] if known else [edge.receiver, *named]:
            for mode in AuthorityMode:
                authority = authority_form(edge.start.host, mode)
                yield Hop(start=edge.start, cluster=end, authority=authority, mode=mode)


_PROGRAMS: Final[WeakKeyDictionary[pulumi.Resource, MirrorPaths]] = WeakKeyDictionary()
"""By the stack's own resource: a process may run one program after the other, and each has its own."""


def mirror_paths() -> MirrorPaths:
    """The mirrors of the program that runs; nothing yet where it runs without a stack, as some unit tests do."""
    stack = pulumi.runtime.get_root_resource()
    return MirrorPaths() if stack is None else _PROGRAMS.setdefault(stack, MirrorPaths())
