"""Every place where something is mirrored, read from Istio's and from the Gateway API's routes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from ..annotations import MIRROR, WAIVER
from ..routing import cluster_name, service_host
from ..values import PERCENT_RESOLUTION, SHADOW_SUFFIX, AuthorityMode
from .gateways import Listener
from .hosts import covers
from .nodes import UNKNOWN, Node, NotJudgedError
from .objects import LISTENER_SETS, KubeObject, full_name, listening_gateway, service_name

MESH: Final = "mesh"
"""Istio's reserved gateway name for every sidecar."""

ROUTE: Final = "ROUTE"
REDIRECT: Final = "REDIRECT"
DIRECT_RESPONSE: Final = "DIRECT_RESPONSE"

"""Prefix of the annotations that the rendering writes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """One entry of a route object, with what its object says for all entries.

    Attributes:
        source: The object that holds the entry; of a delegate, the delegate.
        entry: The entry, ``spec.http[i]`` or ``spec.rules[i]``.
        hosts: Authorities that it takes, ports off; ``*`` for any.
        admitted_hosts: Those of them that its gateways let in: a listener for one host narrows ``*`` to it.
        gateways: Gateways that it is bound to as ``namespace/name``, and :data:`MESH`.
        native: Whether it is the Gateway API's.
        owner: The object that owns the hosts: the source, or the one that delegates to it.
        bound: Every gateway of the owner.
        outer: Of a delegated entry the entry that delegates to it, whose conditions hold as well.
    """

    source: KubeObject
    entry: Node = field(repr=False)
    hosts: tuple[str, ...]
    admitted_hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    native: bool
    owner: KubeObject = field(repr=False)
    bound: tuple[str, ...]
    outer: Node = field(default=Node(None), repr=False)

    @cached_property
    def name(self) -> str:
        """Name of Envoy's route; empty where nobody gave one."""
        names = (self.outer["name"].text(), self.entry["name"].text())
        return "" if self.native else "-".join(name for name in names if name)

    @property
    def native_name(self) -> str:
        """Name of Envoy's route of a rule of the Gateway API: the rule's own, else one of its object and place."""
        return self.entry["name"].text() or f"{self.source.namespace}.{self.source.name}.{self.entry.key}"

    @property
    def envoy_names(self) -> set[str]:
        """Names of Envoy's routes: a match with a name of its own makes one of both names, and leaves none of ours."""
        if self.native:
            return {self.native_name}
        matches = [*self.entry["match"].elements(), *self.outer["match"].elements()]
        own = {match["name"].text() for match in matches}
        found = {f"{self.name}.{each}" for each in own | {f"{one}-{other}" for one in own for other in own} if each}
        return found if own and "" not in own else {self.name, *found}

    def setting(self, *keys: str) -> Node:
        """A setting by the spellings of its name; a delegated entry has those of its outer one that it does not give.

        Source: mergeHTTPRoute of Istio's pilot.
        """
        own = self.entry.either(*keys)
        if not self.outer.given:
            return own
        outer = self.outer.either(*keys)
        return outer if outer.given and not own.given else own

    @cached_property
    def action(self) -> str:
        """What Envoy does with its requests: :data:`ROUTE`, :data:`REDIRECT` or :data:`DIRECT_RESPONSE`."""
        if self.native:
            kinds = {node["type"].text() for node in self.entry["filters"].elements()}
            if "RequestRedirect" in kinds:
                return REDIRECT
            backends = self.entry["backendRefs"].elements()
            return ROUTE if any(node["weight"].value != 0 for node in backends) else DIRECT_RESPONSE
        if self.setting("redirect").given and self.entry["redirect"].given:
            return REDIRECT
        return DIRECT_RESPONSE if self.setting("directResponse").given else ROUTE

    @cached_property
    def authority_rewrite(self) -> str:
        """The authority that primary and mirrors carry instead of the client's; empty when it is kept."""
        if not self.native:
            rewritten = self.setting("rewrite")["authority"].text()
            return rewritten or next((found for node in self._headers if (found := _authority(node))), "")
        for filter_ in self.entry["filters"].elements():
            hostname = filter_["urlRewrite"]["hostname"].text()
            if hostname:
                return hostname
        return ""

    @cached_property
    def authorities(self) -> tuple[str, ...]:
        """What mirrors carry as authority before any suffix, ports off."""
        rewrite = self.authority_rewrite
        return (rewrite,) if rewrite else self.admitted_hosts

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """What mirrors may carry as authority, with and without the suffix."""
        return tuple(
            dict.fromkeys(authority_form(authority, mode) for authority in self.authorities for mode in AuthorityMode)
        )

    @cached_property
    def primaries(self) -> "list[Target]":
        """Who answers; of several those that have some weight, which is 0 in Istio where it is left out."""
        nodes = self.entry["backendRefs" if self.native else "route"].elements()
        if len(nodes) > 1:
            nodes = [node for node in nodes if self._weighs(node["weight"])] or nodes
        return [Target.of(self, node if self.native else node["destination"]) for node in nodes]

    def _weighs(self, weight: Node) -> bool:
        return weight.value is UNKNOWN or (weight.number() != 0 if weight.given else self.native)

    @property
    def removed_headers(self) -> set[str]:
        """Request headers that the route takes off primary and mirrors alike."""
        return {name.lower() for node in self._headers for name in node["remove"].texts()}

    @property
    def set_headers(self) -> set[str]:
        """Request headers that the route sets or adds."""
        nodes = [node[verb] for node in self._headers for verb in _VERBS]
        if self.native:
            return {entry["name"].text().lower() for node in nodes for entry in node.elements()}
        return {name.lower() for node in nodes for name, _ in node.entries()}

    @cached_property
    def _headers(self) -> list[Node]:
        """Changes to the headers of every request: those of the entry, then those of its only destination."""
        key = "backendRefs" if self.native else "route"
        holders = [self.entry, *(only if len(only := self.entry[key].elements()) == 1 else ())]
        if self.native:
            return [node["requestHeaderModifier"] for holder in holders for node in holder["filters"].elements()]
        return [self.setting("headers")["request"], *(node["headers"]["request"] for node in holders[1:])]


_VERBS: Final = ("set", "add")


def _authority(headers: Node) -> str:
    """What header changes of Istio make of the authority; empty where they leave it alone."""
    changes = [change for verb in _VERBS for change in headers[verb].entries()]
    return next((value.text() for name, value in changes if name.lower() in (":authority", "host")), "")


Find = Callable[[str, str, str], KubeObject | None]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests are sent.

    Attributes:
        host: Full name.
        written: The name as it is written.
        port: Port number; None when it is left out.
        subset: Subset; empty for none.
        node: Where it is written.
    """

    host: str
    written: str
    port: int | None
    subset: str
    node: Node = field(repr=False, compare=False)

    @classmethod
    def of(cls, route: Route, node: Node, source: KubeObject | None = None) -> "Target":
        """Read Istio's Destination or the Gateway API's backend reference, of ``source`` where not of the route's."""
        if not route.native:
            written = node["host"].text()
            host = full_name(written, (source or route.source).namespace)
            subset = node["subset"].text()
            return cls(host=host, written=written, port=node["port"]["number"].integer(), subset=subset, node=node)
        name = node["name"].text()
        host = name
        # As long as istiod has no hosts of several clusters, it takes a ServiceImport for the Service of its name.
        if node["kind"].text("Service") in ("Service", "ServiceImport") and name:
            namespace = node["namespace"].text(route.source.namespace)
            host = service_host(name, namespace)
        return cls(host=host, written=name, port=node["port"].integer(), subset="", node=node)

    @cached_property
    def cluster_name(self) -> str:
        """Name of the cluster that Istio makes for it."""
        return cluster_name(self.host, self.port, self.subset)


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
    hosts = tuple(full_name(host, source.namespace) for host in source.spec["hosts"].texts())
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


def gateway_name(written: str, namespace: str) -> str:
    """A gateway as ``namespace/name``, or :data:`MESH`, as an object of ``namespace`` names it.

    Beside both forms Istio takes ``./name`` and, of old, ``name.namespace.svc.cluster.local``. Source:
    resolveGatewayName of its pilot.
    """
    if written == MESH:
        return MESH
    place, separator, name = written.rpartition("/")
    if separator:
        return f"{namespace if place == '.' else place}/{name}"
    name, _, domain = written.partition(".")
    return f"{domain.partition('.')[0] or namespace}/{name}"


def _narrowed(source: KubeObject, entry: Node, gateways: tuple[str, ...]) -> tuple[str, ...]:
    """Gateways of one entry: its matches may name fewer than the object does."""
    matches = entry["match"].elements()
    if not matches or not all(match["gateways"].given for match in matches):
        return gateways
    named = [gateway for match in matches for gateway in _gateways(source, match["gateways"])]
    return tuple(dict.fromkeys(gateway for gateway in named if gateway in gateways))


def _native(source: KubeObject, find: Find) -> Iterator[Route]:
    hosts: list[str] = source.spec["hostnames"].texts()
    gateways: list[str] = []
    for parent in source.spec["parentRefs"].elements():
        kind, name = parent["kind"].text("Gateway"), parent["name"].text()
        namespace = parent["namespace"].text(source.namespace)
        found = find(kind, namespace, name) if kind in (*LISTENER_SETS, "ServiceEntry") else None
        if kind == "Gateway":
            gateways.append(f"{namespace}/{name}")
        elif kind in LISTENER_SETS:
            gateways.append(listening_gateway(found) if found else f"{namespace}/{name}")
        elif kind in ("Service", "ServiceEntry"):
            gateways.append(MESH)
            hosts += found.spec["hosts"].texts() if found else [service_host(name, namespace)]
    for entry in source.spec["rules"].elements():
        yield Route(
            source=source,
            entry=entry,
            hosts=tuple(hosts) or ("*",),
            admitted_hosts=tuple(hosts) or ("*",),
            gateways=tuple(dict.fromkeys(gateways)),
            native=True,
            owner=source,
            bound=tuple(dict.fromkeys(gateways)),
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


def authority_form(authority: str, mode: AuthorityMode) -> str:
    """What an authority (or a pattern of authorities) becomes on a mirror."""
    return authority if mode is AuthorityMode.PRESERVED or authority == "*" else authority + SHADOW_SUFFIX
