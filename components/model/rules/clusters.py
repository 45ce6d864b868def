"""The objects of one or several clusters, indexed the way rules look them up."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar, cast

from ..errors import ValidationError
from ..istio import MANAGED_PATCHES, AuthorityMode, IstioBehaviour
from ..routing import service_host
from .control_plane import is_istiod
from .envoy import GATEWAY, Patch, Patches, read_patches
from .gateway_pods import GatewayPods
from .gateways import Listener, Listeners, namespace_labels, pod_labels, read_listeners
from .hosts import HostIndex, widening
from .losses import PlannedLoss
from .managed import REVISION, managed_sign
from .mesh_config import under_mesh
from .mirror_entries import Routing, read_routing
from .nodes import Node, NotJudgedError
from .objects import LISTENER_SETS, ROUTES, KubeObject, full_name, known_ports, read_object, service_name
from .refused import refusals_of
from .routes import Route
from .shapes import is_plain
from .visibility import Scopes

ROOT_NAMESPACE: Final = "istio-system"
"""Istio's default root namespace."""

WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Pod")
"""Kinds that are pods, or make them."""

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterObjects:
    """What is known of one cluster.

    Attributes:
        name: How findings call the cluster.
        objects: Its objects, as plain JSON or as they were read from it; kinds that no rule reads are ignored.
        istio: Behaviour of its control plane; None when it is not known, and then every version must be served.
        complete: Whether these are all of its objects. False keeps rules from judging that one is missing.
        root_namespace: Istio's root namespace, whose DestinationRules and EnvoyFilters reach every proxy.
        mesh_config: What the mesh's configuration says; empty where it is not at hand.
        managed_sign: An object of a kind that rules do not read by which it is known that Google manages its control
            plane; empty for none.
    """

    name: str
    objects: Sequence[Mapping[str, object] | KubeObject] = ()
    istio: IstioBehaviour | None = None
    complete: bool = True
    root_namespace: str = ROOT_NAMESPACE
    mesh_config: Mapping[str, object] = field(default_factory=dict[str, object])
    managed_sign: str = ""
    _kept: dict[Hashable, object] = field(default_factory=dict[Hashable, object], init=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` returns, made at the first call for ``key``."""
        kept = self._kept
        if key not in kept:  # not by a helper: rules ask for hundreds of thousands of such things
            kept[key] = make()
        return cast("Made", kept[key])

    @cached_property
    def _read(self) -> dict[str, list[KubeObject]]:
        found: dict[str, list[KubeObject]] = defaultdict(list)
        for value in self.objects:
            with suppress(NotJudgedError):  # of a kind that is not known yet
                read = value if isinstance(value, KubeObject) else read_object(self.name, Node(value))
                if read:
                    found[read.kind].append(read)
        return self._under_mesh(found) if self.mesh_config else found

    def _under_mesh(self, found: dict[str, list[KubeObject]]) -> dict[str, list[KubeObject]]:
        own = {each.name: each.root["metadata"]["labels"] for each in found.get("Namespace", ())}

        def labels_of(namespace: str) -> dict[str, str]:
            return namespace_labels(namespace, own.get(namespace, Node(None)))

        def under(read: KubeObject) -> KubeObject:
            try:
                return under_mesh(Node(self.mesh_config), read, labels_of)
            except NotJudgedError:  # whoever reads it meets the same
                return read

        return {kind: [under(read) for read in objects] for kind, objects in found.items()}

    @cached_property
    def _by_kind(self) -> dict[str, list[KubeObject]]:
        return {kind: [read for read in found if not read.unknown_namespace] for kind, found in self._read.items()}

    @cached_property
    def _nameless(self) -> dict[str, NotJudgedError]:
        """By kind, why its first object whose name or namespace is not known yet cannot be looked up."""
        first = {kind: next((read for read in found if read.unknown_name), None) for kind, found in self._read.items()}
        return {kind: NotJudgedError(read.unknown_name, read) for kind, read in first.items() if read}

    def of(self, *kinds: str) -> list[KubeObject]:
        """Its objects of these kinds, but for those whose namespace is not known yet."""
        return [found for kind in kinds for found in self._by_kind.get(kind, ())]

    def homeless(self, *kinds: str) -> list[NotJudgedError]:
        """Why its objects of these kinds whose namespace is not known yet cannot be judged."""
        return [error for kind in kinds for error in self._homeless.get(kind, ())]

    @cached_property
    def _homeless(self) -> dict[str, list[NotJudgedError]]:
        found: dict[str, list[NotJudgedError]] = {}
        for kind, objects in self._read.items():
            for read in objects:
                if path := read.unknown_namespace:
                    found.setdefault(kind, []).append(NotJudgedError(path, read))
        return found

    @property
    def authority_modes(self) -> tuple[AuthorityMode, ...]:
        """What its proxies may do to a mirror's authority: one way, or both when the control plane is not known."""
        return (self.istio.authority_mode,) if self.istio else (AuthorityMode.PRESERVED, AuthorityMode.SUFFIXED)

    def find(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """One object by name.

        Raises:
            NotJudgedError: There is none, but some object of the kind has a name that is not known yet.
        """
        found = self._by_name.get((kind, namespace, name))
        if found is None and kind in self._nameless:
            raise self._nameless[kind]
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], KubeObject]:
        found = (found for kind in self._by_kind for found in self.of(kind))
        return {(each.kind, each.namespace, each.name): each for each in found if not each.unknown_name}

    def refusals(self, subject: KubeObject) -> Sequence[tuple[Node, str]]:
        """Places and reasons for which an object is refused.

        Raises:
            NotJudgedError: A value that decides about it is not known yet.
        """
        return self.once(("refusals", subject), lambda: refusals_of(subject, plain=self.is_plain(subject)))

    def is_plain(self, subject: KubeObject) -> bool:
        """Whether all of an object is surely what its definition says."""
        return self.once(("plain", subject), lambda: is_plain(subject))

    def refuses(self, route: Route) -> bool:
        """Whether an entry's object is refused, or the one that delegates to it, so that nobody has the entry.

        Raises:
            NotJudgedError: A value that decides about it is not known yet.
        """
        return bool(self.refusals(route.owner) or self.refusals(route.source))

    def taken(self, *kinds: str) -> list[KubeObject]:
        """Its objects of these kinds but for those that are refused, which nobody ever sees."""
        return [each for each in self.of(*kinds) if not self.is_refused(each)]

    def is_refused(self, subject: KubeObject) -> bool:
        """Whether an object is known to be refused."""
        with suppress(NotJudgedError):
            return bool(self.refusals(subject))
        return False

    @cached_property
    def destination_rules(self) -> HostIndex[KubeObject]:
        """Its DestinationRules by full host name."""
        return self._by_host("DestinationRule", lambda rule: [full_name(rule.spec["host"].text(), rule.namespace)])

    def _by_host(self, kind: str, hosts: Callable[[KubeObject], Sequence[str]]) -> HostIndex[KubeObject]:
        found: list[tuple[str, KubeObject]] = []
        unknown = self.homeless(kind)
        for each in self.taken(kind):
            try:
                found += [(host, each) for host in hosts(each)]
            except NotJudgedError as error:
                unknown.append(NotJudgedError(error.path, each))
        return HostIndex(found, unknown)

    @cached_property
    def patches(self) -> Patches:
        """What its EnvoyFilters do to clusters and routes."""
        return read_patches(
            self.taken("EnvoyFilter"), self.root_namespace, self.homeless("EnvoyFilter"), self.patches_all
        )

    def patches_all(self, *kinds: str) -> bool:
        """Whether its control plane applies patches of all of these kinds (``applyTo``) of an EnvoyFilter."""
        return self.patched is None or set(kinds) <= set(self.patched)

    @cached_property
    def patched(self) -> Sequence[str] | None:
        """What is applied; None for everything."""
        if self.istio:
            return self.istio.patches
        return MANAGED_PATCHES if self.managed_by else None

    @cached_property
    def managed_by(self) -> str:
        """What tells that Google manages its control plane; empty where nothing does, or another one is at hand.

        A namespace that asks for a managed revision says so whatever else is there.
        """
        if self.istio:
            return ""
        signs = {
            kind: next(filter(None, (managed_sign(each.root) for each in self.of(kind))), "")
            for kind in ("Namespace", "Deployment")
        }
        if signs["Namespace"].startswith(REVISION) or not any(map(is_istiod, self.of("Deployment"))):
            return self.managed_sign or signs["Namespace"] or signs["Deployment"]
        return ""

    @cached_property
    def service_entries(self) -> HostIndex[KubeObject]:
        """Its ServiceEntries by host."""
        return self._by_host("ServiceEntry", lambda entry: entry.spec["hosts"].texts())

    @cached_property
    def has_pattern_entries(self) -> bool:
        """Whether some ServiceEntry is for a pattern of hosts."""
        return any(host.startswith("*") for host in self.service_entries.patterns)

    @cached_property
    def registered_hosts(self) -> list[str]:
        """Hosts that its Services and ServiceEntries define, patterns left out."""
        return [host for host in self.registered if not host.startswith("*")]

    @cached_property
    def registered(self) -> list[str]:
        """Hosts that its Services and ServiceEntries define, patterns among them."""
        found = {service_host(service.name, service.namespace): None for service in self.of("Service")}
        for entry in self.of("ServiceEntry"):
            with suppress(NotJudgedError):
                found.update(dict.fromkeys(entry.spec["hosts"].texts()))
        return list(found)

    def ports_of(self, host: str, *, every: bool = False) -> tuple[int, ...]:
        """Port numbers of a known host, with ``every`` those that proxies have no cluster for as well."""
        subject = self.service(host) or next(iter(self.service_entries.covering(host)), None)
        nodes = (subject.spec["ports"].elements() if every else known_ports(subject)) if subject else []
        numbers = (node["port" if node["port"].given else "number"].integer() for node in nodes)
        return tuple(number for number in numbers if number)

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Namespaces of its workloads and Services."""
        return frozenset(each.namespace for each in self.of(*WORKLOADS, "Service"))

    @cached_property
    def scopes(self) -> Scopes:
        """What its Sidecars let proxies see."""
        return Scopes(self.taken("Sidecar"), self.root_namespace)

    @cached_property
    def listeners(self) -> Listeners:
        """What its gateways listen for."""
        return read_listeners([*self.taken("Gateway", "KubernetesGateway", *LISTENER_SETS)])

    @cached_property
    def listener_index(self) -> HostIndex[Listener]:
        """Its listeners by host pattern."""
        return HostIndex((host, listener) for listener in self.listeners.known for host in listener.hosts)

    @cached_property
    def route_index(self) -> HostIndex[Route]:
        """Its route entries by host pattern."""
        return HostIndex((host, route) for route in self.routing.routes for host in route.hosts)

    def has_route(self, name: str) -> bool:
        """Whether proxies have a route of that name."""
        return name in self._named_routes

    def routes_named(self, name: str) -> list[Route]:
        """Entries that proxies have a route of that name of."""
        return self._named_routes.get(name, [])

    @cached_property
    def _named_routes(self) -> dict[str, list[Route]]:
        found: dict[str, list[Route]] = defaultdict(list)
        for route in self.routing.routes:
            for name in route.envoy_names:
                found[name].append(route)
        return dict(found)

    @cached_property
    def sent_forms(self) -> set[str]:
        """Authorities that its mirrors may carry, in both forms."""
        found: set[str] = set()
        for mirror_entry in self.routing.mirror_entries:
            with suppress(NotJudgedError):
                found.update(mirror_entry.route.carried)
        return found

    def arrivals(self, authority: str) -> list[tuple[Listener, Route]]:
        """Route entries that take an authority (or each of a pattern), with the listener that lets it in.

        On each gateway only those of the narrowest host, because a proxy looks at no others.
        """
        return self.once(("arrivals", authority), lambda: list(self._arrivals(authority)))

    def _arrivals(self, authority: str) -> Iterator[tuple[Listener, Route]]:
        listeners_of: dict[str, list[Listener]] = defaultdict(list)
        for listener in self.listener_index.covering(authority):
            listeners_of[listener.gateway].append(listener)
        for pattern in widening(authority) if listeners_of else ():
            routes = self.route_index.exactly(pattern)
            for route in routes:
                for gateway in route.gateways:
                    for listener in listeners_of.get(gateway, ()):
                        yield listener, route
            for gateway in {name for route in routes for name in route.gateways}:
                listeners_of.pop(gateway, None)

    @cached_property
    def workloads(self) -> list[tuple[KubeObject, dict[str, str]]]:
        """Its workloads with the labels of their pods."""
        found: list[tuple[KubeObject, dict[str, str]]] = []
        for workload in self.of(*WORKLOADS):
            with suppress(NotJudgedError):
                found.append((workload, pod_labels(workload)))
        return found

    @cached_property
    def gateways(self) -> GatewayPods:
        """Its gateways, with the pods and Services that they consist of."""
        return GatewayPods(
            istio=self.taken("Gateway"),
            native=self.taken("KubernetesGateway"),
            services=self.of("Service"),
            workloads=self.workloads,
            complete=self.complete,
            known=self._by_name,
            find=self.find,
        )

    def applies(self, patch: Patch, context: str, namespace: str, route: Route) -> bool:
        """Whether a patch reaches the gateways or sidecars (``context``) of a namespace that send a route's mirrors.

        One for targets by name reaches gateways of the Gateway API only, and waypoints, which have no routes by this
        context. Which callers a selector of sidecars takes cannot be told; what it says then counts.
        """
        if not patch.applies(context, namespace, self.root_namespace):
            return False
        if not patch.targets:
            return self.gateways.chooses(patch.selector, context, namespace, route) is not False
        return context == GATEWAY and any(
            kind == "Gateway" and name in route.gateways and self.gateways.is_native(name)
            for kind, name in patch.targets
        )

    @cached_property
    def contract_digests(self) -> set[str]:
        """Digests of the contracts that its routes were rendered from."""
        return {digest for route in self.of("VirtualService") for digest in route.contract_digests}

    @cached_property
    def routing(self) -> Routing:
        """Its routes and mirrors."""
        return read_routing(
            self.of(*ROUTES),
            self.find,
            self.listeners.by_gateway,
            self.homeless(*ROUTES),
            controller=self.gateways.controller_of,
        )

    def service(self, host: str) -> KubeObject | None:
        """The Service with the full host name ``host``."""
        name = service_name(host)
        return self.find("Service", name[1], name[0]) if name else None


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Clusters that may send mirrors to each other.

    Attributes:
        clusters: The clusters, each under its own name.
        now: Current time with a zone; None when ends are not to be judged.
        losses: What previews of stacks would replace or delete.

    Raises:
        ValidationError: Two clusters have one name.
    """

    clusters: Sequence[ClusterObjects]
    now: datetime | None = None
    losses: Sequence[PlannedLoss] = ()
    _kept: dict[Hashable, object] = field(default_factory=dict[Hashable, object], init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` returns, made at the first call for ``key``."""
        kept = self._kept
        if key not in kept:
            kept[key] = make()
        return cast("Made", kept[key])

    def __post_init__(self) -> None:
        names = [cluster.name for cluster in self.clusters]
        for name in names:
            if names.count(name) > 1:
                raise ValidationError(
                    field="clusters",
                    value=name,
                    rule="must have a name each",
                    remedy="Give every cluster its own name, or merge its folders under one",
                )

    def concerned(self, cluster: ClusterObjects) -> dict[KubeObject, list[Route]]:
        """Route objects of a cluster that mirror, or that take the authority of another cluster's mirrors."""
        return self._concerned[cluster.name]

    @cached_property
    def _concerned(self) -> dict[str, dict[KubeObject, list[Route]]]:
        found: dict[str, dict[KubeObject, list[Route]]] = {}
        for cluster in self.clusters:
            sent = {form for other in self.others(cluster) for form in other.sent_forms}
            sources = found.setdefault(cluster.name, {})
            for route in cluster.routing.routes:
                if cluster.routing.of_route(route) or not sent.isdisjoint(route.hosts):
                    sources.setdefault(route.owner, []).append(route)
        return found

    def others(self, cluster: ClusterObjects) -> list[ClusterObjects]:
        """Every cluster but ``cluster``."""
        return [other for other in self.clusters if other.name != cluster.name]
