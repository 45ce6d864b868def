"""Every place where something is mirrored, read from Istio's and from the Gateway API's routes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from ..annotations import MIRROR, WAIVER
from ..routing import service_host
from ..values import PERCENT_RESOLUTION
from .gateways import Listener
from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import GATEWAY_GROUP, LISTENER_SETS, KubeObject, full_name, listening_gateway, service_name
from .routes import MESH, Route, Target, gateway_name

_CALLED: Final = {"Service": "", "ServiceEntry": "networking.istio.io"}
"""Kinds of parents that callers in the mesh know by their hosts, with the group that must be written."""

Find = Callable[[str, str, str], KubeObject | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class MirrorEntry:
    """One mirror on one entry of a route.

    Attributes:
        route: The entry.
        source: The object that holds it.
        node: Where the mirror is written.
        destination: Where its destination is written.
        share: Where its percentage is written; nothing when it is left out.
    """

    route: Route
    source: KubeObject
    node: Node = field(repr=False)
    destination: Node = field(repr=False)
    share: Node = field(repr=False)

    @cached_property
    def target(self) -> Target:
        """Where copies go."""
        return Target.of(self.route, self.destination, self.source)

    @cached_property
    def percent(self) -> float | None:
        """Share in per cent; 100 when it is left out, None when it is no number."""
        if not self.share.given:
            return 100.0
        if self.share.key == "fraction":
            numerator = self.share["numerator"].number()
            denominator = self.share["denominator"].number() if self.share["denominator"].given else 100.0
            return None if numerator is None or not denominator else numerator * 100 / denominator
        return self.share.number()

    @cached_property
    def disabled(self) -> bool:
        """Whether its share is known to be nothing, so that no proxy gets it."""
        with suppress(NotJudgedError):
            return self.percent == 0
        return False

    @property
    def nothing(self) -> bool:
        """Whether its share is nothing, or too little for Envoy, which cuts off what is no millionth."""
        with suppress(NotJudgedError):
            return self.percent is not None and 0 <= self.percent < PERCENT_RESOLUTION
        return False

    @property
    def at_gateway(self) -> bool:
        """Whether some gateway sends it."""
        return any(gateway != MESH for gateway in self.route.gateways)

    @cached_property
    def name(self) -> str:
        """Its name where this library rendered it; empty otherwise."""
        prefix = MIRROR
        for key, note in self.source.annotations.entries():
            if key.startswith(prefix) and note.text() == self.target.cluster_name:
                return key.removeprefix(prefix)
        return ""

    def waiver(self, guard: str) -> str:
        """Reason why ``guard`` is off for it, as the rendering notes it; empty when it is on."""
        return self.source.annotation(f"{WAIVER}{name}.{guard}") if (name := self.name) else ""


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Every route entry of a cluster, and every mirror on them."""

    routes: tuple[Route, ...]
    mirror_entries: tuple[MirrorEntry, ...]
    unknown: tuple[tuple[KubeObject, str], ...]
    """Objects with the path of the unknown value that keeps their mirrors from being listed."""
    beyond: tuple[tuple[KubeObject, str, str], ...] = ()
    """Objects whose mirrors nobody here can judge, with the path that says so and the reason."""

    @cached_property
    def sent(self) -> tuple[MirrorEntry, ...]:
        """The mirrors but those that rest."""
        return tuple(mirror_entry for mirror_entry in self.mirror_entries if not mirror_entry.disabled)

    def of_route(self, route: Route) -> list[MirrorEntry]:
        """The mirrors on one route entry."""
        return self._by_route.get(id(route), [])

    def of_owner(self, owner: KubeObject) -> list[Route]:
        """The entries of one route object in their order, those of its delegates in their place."""
        return self._by_owner.get(owner, [])

    @cached_property
    def _by_owner(self) -> dict[KubeObject, list[Route]]:
        found: dict[KubeObject, list[Route]] = {}
        for route in self.routes:
            found.setdefault(route.owner, []).append(route)
        return found

    @cached_property
    def _by_route(self) -> dict[int, list[MirrorEntry]]:
        found: dict[int, list[MirrorEntry]] = {}
        for mirror_entry in self.mirror_entries:
            found.setdefault(id(mirror_entry.route), []).append(mirror_entry)
        return found


def read_routing(
    sources: Sequence[KubeObject],
    find: Find,
    listeners_of: Mapping[str, Sequence[Listener]],
    homeless: Sequence[NotJudgedError] = (),
    *,
    controller: Callable[[str], str] = lambda _: "",
) -> Routing:
    """Read the routes of a cluster.

    Args:
        sources: Its route objects.
        find: Looks an object up by kind, namespace and name.
        listeners_of: Listeners that are known, by gateway.
        homeless: Why route objects whose namespace is not known yet cannot be read.
        controller: Words for who serves a gateway where that is another than Istio, else nothing.
    """
    routes: list[Route] = []
    mirror_entries: list[MirrorEntry] = []
    unknown = [(error.subject, error.path) for error in homeless if isinstance(error.subject, KubeObject)]
    beyond: list[tuple[KubeObject, str, str]] = []
    for source in sources:
        try:
            read = list(_istio(source, find) if source.kind == "VirtualService" else _native(source, find))
            read = [_let_in(route, listeners_of) for route in read]
            found = [mirror_entry for route in read for mirror_entry in _sites(route)]
            served = _served_by_another(read, controller)
        except NotJudgedError as error:
            unknown.append((source, "spec" if error.subject else error.path))
            continue
        if served:
            beyond += [(source, "spec.parentRefs", served)] if found else ()
            continue
        routes += read
        mirror_entries += found
    beyond += _without_root(sources, {id(route.source) for route in routes})
    return Routing(
        routes=tuple(routes), mirror_entries=tuple(mirror_entries), unknown=tuple(unknown), beyond=tuple(beyond)
    )


def _served_by_another(routes: Sequence[Route], controller: Callable[[str], str]) -> str:
    """Why a route of the Gateway API is none of Istio's: all of its gateways are another controller's."""
    served = {gateway: controller(gateway) for route in routes[:1] if route.native for gateway in route.bound}
    first = next(iter(served.items()), None)
    return f"Gateway {first[0]} is served by {first[1]}" if first and all(served.values()) else ""


def _without_root(sources: Sequence[KubeObject], used: set[int]) -> Iterator[tuple[KubeObject, str, str]]:
    """Delegates that mirror and that no VirtualService at hand delegates to."""
    for source in sources:
        with suppress(NotJudgedError):
            if source.kind == "VirtualService" and id(source) not in used and not source.spec["hosts"].texts():
                entries = source.spec["http"].elements()
                mirroring = next((each for each in entries if each["mirror"].given or each["mirrors"].elements()), None)
                if mirroring:
                    yield source, mirroring.path, "it has no hosts, and no VirtualService at hand delegates to it"


def _istio(source: KubeObject, find: Find) -> Iterator[Route]:
    hosts = tuple(full_name(host.lower(), source.namespace) for host in source.spec["hosts"].texts())
    if not hosts:
        return
    gateways = _gateways(source, source.spec["gateways"])
    for entry in source.spec["http"].elements():
        narrowed = _narrowed(source, entry, gateways)
        called = _called(hosts, narrowed, gateways)
        route = Route(
            source=source,
            entry=entry,
            hosts=called,
            admitted_hosts=called,
            gateways=narrowed,
            native=False,
            owner=source,
            bound=gateways,
        )
        delegate = entry["delegate"]
        if not delegate.given:
            yield route
            continue
        delegated = find("VirtualService", delegate["namespace"].text(source.namespace), delegate["name"].text())
        for inner in delegated.spec["http"].elements() if delegated else ():
            yield replace(route, source=delegated, entry=inner, outer=entry)


def _let_in(route: Route, listeners_of: Mapping[str, Sequence[Listener]]) -> Route:
    """The route with the authorities that its gateways let in; all where that is not known, and for sidecars."""
    if not any(host.startswith("*") for host in route.hosts) or not all(
        name in listeners_of for name in route.gateways
    ):
        return route
    patterns = [host for name in route.gateways for listener in listeners_of[name] for host in listener.hosts]
    found: list[str] = []
    for host in route.hosts:
        narrower = [pattern for pattern in patterns if covers(host, pattern)]
        found += [host] if not narrower or any(covers(pattern, host) for pattern in patterns) else narrower
    return replace(route, admitted_hosts=tuple(dict.fromkeys(found)))


def _called(hosts: tuple[str, ...], gateways: tuple[str, ...], bound: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts that requests to one entry carry: Services' own names are for sidecars where both are bound."""
    if MESH not in bound or MESH in gateways:
        return hosts
    return tuple(host for host in hosts if not service_name(host)) or hosts


def _gateways(source: KubeObject, node: Node) -> tuple[str, ...]:
    return tuple(gateway_name(name, source.namespace) for name in node.texts() or [MESH])


def _narrowed(source: KubeObject, entry: Node, gateways: tuple[str, ...]) -> tuple[str, ...]:
    """Gateways of one entry: its matches may name fewer than the object does."""
    matches = entry["match"].elements()
    if not matches or not all(match["gateways"].given for match in matches):
        return gateways
    named = [gateway for match in matches for gateway in _gateways(source, match["gateways"])]
    return tuple(dict.fromkeys(gateway for gateway in named if gateway in gateways))


def _native(source: KubeObject, find: Find) -> Iterator[Route]:
    services: list[str] = []
    gateways: list[str] = []
    for parent in source.spec["parentRefs"].elements():
        kind, name = parent["kind"].text("Gateway"), parent["name"].text()
        namespace, group = parent["namespace"].text(source.namespace), parent["group"].text(GATEWAY_GROUP)
        found = find(kind, namespace, name) if kind in (*LISTENER_SETS, "ServiceEntry") else None
        if kind == "Gateway":
            gateways.append(f"{namespace}/{name}")
        elif kind in LISTENER_SETS:
            gateways.append(listening_gateway(found) if found else f"{namespace}/{name}")
        elif _CALLED.get(kind) == group:
            gateways.append(MESH)
            services += found.spec["hosts"].texts() if found else [service_host(name, namespace)]
    let_in = source.spec["hostnames"].texts() or ["*"] * (set(gateways) != {MESH})
    called = tuple(dict.fromkeys(services))
    hosts = (*dict.fromkeys(let_in), *called)
    for entry in source.spec["rules"].elements():
        yield Route(
            source=source,
            entry=entry,
            hosts=hosts,
            admitted_hosts=hosts,
            gateways=tuple(dict.fromkeys(gateways)),
            native=True,
            owner=source,
            bound=tuple(dict.fromkeys(gateways)),
            called=called,
        )


def _sites(route: Route) -> Iterable[MirrorEntry]:
    entry = route.entry
    if route.native:
        holders = [entry, *entry["backendRefs"].elements()]
        for filter_ in (node for holder in holders for node in holder["filters"].elements()):
            mirror = filter_["requestMirror"]
            if mirror.given:
                share = mirror["fraction"] if mirror["fraction"].given else mirror["percent"]
                target = mirror["backendRef"]
                yield MirrorEntry(route=route, source=route.source, node=mirror, destination=target, share=share)
        return
    mirror, mirrors = route.setting("mirror"), route.setting("mirrors")
    if mirror.given:
        exact = route.setting("mirrorPercentage")
        share = _share(exact) if exact.given else route.setting("mirrorPercent", "mirror_percent")
        yield MirrorEntry(route=route, source=_holder(route, "mirror"), node=mirror, destination=mirror, share=share)
    for node in mirrors.elements():
        share = _share(node["percentage"])
        source = _holder(route, "mirrors")
        yield MirrorEntry(route=route, source=source, node=node, destination=node["destination"], share=share)


def _holder(route: Route, key: str) -> KubeObject:
    """The object that holds a setting of an entry: of what a delegated entry does not give itself, the owner."""
    return route.owner if route.outer[key].given and not route.entry[key].given else route.source


def _share(percentage: Node) -> Node:
    """The value of a percentage; of an empty one 0, which is what protobuf reads."""
    value = percentage["value"]
    return Node(0.0, "value", percentage) if percentage.given and not value.given else value
