"""The objects of one or several clusters, indexed the way rules look them up."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar, cast

from ..errors import ValidationError
from ..routing import service_host
from ..values import AuthorityMode, IstioBehaviour
from .envoy import GATEWAY, Patch, Patches, read_patches
from .gateways import (
    Listener,
    Listeners,
    gateway_services,
    labels,
    native_addresses,
    pod_labels,
    read_listeners,
    selects,
    service_addresses,
)
from .hosts import HostIndex, widening
from .nodes import Node, NotJudgedError
from .objects import LISTENER_SETS, KubeObject, full_name, read_object, service_name
from .sites import ANNOTATION, Route, Routing, read_routing

ROOT_NAMESPACE: Final = "istio-system"
"""Istio's default root namespace."""

GATEWAY_NAME: Final = "gateway.networking.k8s.io/gateway-name"
"""Label of the pods that Istio makes for a gateway of the Gateway API."""

WAYPOINT: Final = "istio-waypoint"
"""Class of the gateways that stand in for sidecars in ambient mode."""

Made = TypeVar("Made")


def _once(kept: dict[Hashable, object], key: Hashable, make: Callable[[], Made]) -> Made:
    if key not in kept:
        kept[key] = make()
    return cast("Made", kept[key])


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterObjects:
    """What is known of one cluster.

    Attributes:
        name: How findings call the cluster.
        objects: Its objects as plain JSON; kinds that no rule reads are ignored.
        istio: Behaviour of its control plane; None when it is not known, and then every version must be served.
        complete: Whether these are all of its objects. False keeps rules from judging that one is missing.
        root_namespace: Istio's root namespace, whose DestinationRules and EnvoyFilters reach every proxy.
    """

    name: str
    objects: Sequence[Mapping[str, object]] = ()
    istio: IstioBehaviour | None = None
    complete: bool = True
    root_namespace: str = ROOT_NAMESPACE
    _kept: dict[Hashable, object] = field(default_factory=dict[Hashable, object], init=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` returns, made at the first call for ``key``."""
        return _once(self._kept, key, make)

    @cached_property
    def _by_kind(self) -> dict[str, list[KubeObject]]:
        found: dict[str, list[KubeObject]] = defaultdict(list)
        for value in self.objects:
            try:
                read = read_object(self.name, Node(value))
            except NotJudgedError:
                continue
            if read:
                found[read.kind].append(read)
        return found

    def of(self, *kinds: str) -> list[KubeObject]:
        """Its objects of these kinds."""
        return [found for kind in kinds for found in self._by_kind.get(kind, ())]

    @property
    def authority_modes(self) -> tuple[AuthorityMode, ...]:
        """What its proxies may do to a mirror's authority: one way, or both when the control plane is not known."""
        return (self.istio.authority_mode,) if self.istio else (AuthorityMode.PRESERVED, AuthorityMode.SUFFIXED)

    def find(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        """One object by name."""
        return self._by_name.get((kind, namespace, name))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], KubeObject]:
        return {(found.kind, found.namespace, found.name): found for kind in self._by_kind for found in self.of(kind)}

    @cached_property
    def destination_rules(self) -> HostIndex[KubeObject]:
        """Its DestinationRules by full host name."""
        found: list[tuple[str, KubeObject]] = []
        for rule in self.of("DestinationRule"):
            with suppress(NotJudgedError):
                found.append((full_name(rule.spec["host"].text(), rule.namespace), rule))
        return HostIndex(found)

    @cached_property
    def patches(self) -> Patches:
        """What its EnvoyFilters do to clusters and routes."""
        return read_patches(self.of("EnvoyFilter"))

    @cached_property
    def service_entries(self) -> HostIndex[KubeObject]:
        """Its ServiceEntries by host."""
        found: list[tuple[str, KubeObject]] = []
        for entry in self.of("ServiceEntry"):
            with suppress(NotJudgedError):
                found += [(host, entry) for host in entry.spec["hosts"].texts()]
        return HostIndex(found)

    @cached_property
    def listeners(self) -> Listeners:
        """What its gateways listen for."""
        return read_listeners(self.of("Gateway", "KubernetesGateway", *LISTENER_SETS))

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
        return name in self._route_names or name in self._match_names

    @cached_property
    def _route_names(self) -> set[str]:
        return {route.name for route in self.routing.routes}

    @cached_property
    def _match_names(self) -> set[str]:
        """Names by matches: one with a name of its own makes a route of both names."""
        return {
            f"{route.name}.{match['name'].text()}"
            for route in self.routing.routes
            for match in route.entry["match"].elements()
            if route.name
        }

    @cached_property
    def sent_forms(self) -> set[str]:
        """Authorities that its mirrors may carry, in both forms."""
        found: set[str] = set()
        for site in self.routing.sites:
            with suppress(NotJudgedError):
                found.update(site.route.carried)
        return found

    def gateway(self, name: str) -> KubeObject | None:
        """A gateway by ``namespace/name``."""
        namespace, _, own = name.partition("/")
        return self.find("Gateway", namespace, own) or self.find("KubernetesGateway", namespace, own)

    def arrivals(self, authority: str) -> list[tuple[Listener, Route]]:
        """Route entries that take an authority (or each of a pattern), with the listener that lets it in.

        On each gateway only those of the narrowest host, because a proxy looks at no others.
        """
        return self.once(("arrivals", authority), lambda: list(self._arrivals(authority)))

    def _arrivals(self, authority: str) -> Iterator[tuple[Listener, Route]]:
        inlets: dict[str, list[Listener]] = defaultdict(list)
        for listener in self.listener_index.covering(authority):
            inlets[listener.gateway].append(listener)
        for pattern in widening(authority) if inlets else ():
            routes = self.route_index.exactly(pattern)
            for route in routes:
                for gateway in route.gateways:
                    for listener in inlets.get(gateway, ()):
                        yield listener, route
            for gateway in {name for route in routes for name in route.gateways}:
                inlets.pop(gateway, None)

    @cached_property
    def workloads(self) -> list[tuple[KubeObject, dict[str, str]]]:
        """Its workloads with the labels of their pods."""
        found: list[tuple[KubeObject, dict[str, str]]] = []
        for workload in self.of("Deployment", "StatefulSet", "DaemonSet", "Pod"):
            with suppress(NotJudgedError):
                found.append((workload, pod_labels(workload)))
        return found

    def services_of(self, gateway: KubeObject) -> list[KubeObject]:
        """Services by which the pods of an Istio Gateway are reached; none for the Gateway API's."""
        return self._gateway_services.get((gateway.namespace, gateway.name), []) if gateway.kind == "Gateway" else []

    def gateway_namespaces(self, name: str) -> tuple[str, ...]:
        """Namespaces of a gateway's pods, where they or a Service in front of them are at hand; else the gateway's own.

        An Istio Gateway selects pods of any namespace, and often lies beside the routes while its pods do not.
        """
        return self.once(("gateway namespaces", name), lambda: self._gateway_namespaces(name))

    def applies(self, patch: Patch, context: str, namespace: str, route: Route) -> bool:
        """Whether a patch reaches the proxies of a kind in a namespace that send a route's mirrors.

        One for targets by name reaches gateways of the Gateway API and waypoints only. Which callers a selector of
        sidecars takes cannot be told; what it says then counts.
        """
        if not patch.applies(context, namespace, self.root_namespace):
            return False
        if not patch.targets:
            return not patch.selector or self.chooses(patch.selector, context, namespace, route) is not False
        if context == GATEWAY:
            return any(
                kind == "Gateway" and name in route.gateways and self._is_native(name) for kind, name in patch.targets
            )
        return any(kind != "Gateway" or self._may_be_waypoint(name) for kind, name in patch.targets)

    def _is_native(self, gateway: str) -> bool:
        found = self.gateway(gateway)
        return not found or found.kind != "Gateway"

    def _may_be_waypoint(self, gateway: str) -> bool:
        found = self.gateway(gateway)
        return not found or found.spec["gatewayClassName"].text() == WAYPOINT

    def chooses(self, wanted: dict[str, str], context: str, namespace: str, route: Route) -> bool | None:
        """Whether labels choose the proxies of a kind in a namespace that send a route's mirrors.

        None where it cannot be told, as with sidecars, whose callers are not known.
        """
        if not wanted:
            return True
        if context != GATEWAY:
            return None
        here = {self._fits(wanted, each) for each in route.gateways if namespace in self.gateway_namespaces(each)}
        if len(here) > 1:
            return None
        return here.pop() if here else False

    def _fits(self, chosen: dict[str, str], gateway: str) -> bool | None:
        """Whether labels choose a gateway's pods: by the pods at hand, else as far as its selector tells."""
        key = ("fits", tuple(sorted(chosen.items())), gateway)
        return self.once(key, lambda: self._chooses(chosen, gateway))

    def _chooses(self, chosen: dict[str, str], gateway: str) -> bool | None:
        found = self.gateway(gateway)
        pods: list[dict[str, str]] = []
        if found and found.kind == "Gateway":
            selector = labels(found.spec["selector"])
            pods = [each for _, each in self.workloads if selects(selector, each)]
        else:
            selector = {GATEWAY_NAME: gateway.partition("/")[2]}
        if pods:
            fits = {selects(chosen, each) for each in pods}
            return fits.pop() if len(fits) == 1 else None
        if any(selector.get(key, value) != value for key, value in chosen.items()):
            return False
        return chosen.items() <= selector.items() or None

    def _gateway_namespaces(self, name: str) -> tuple[str, ...]:
        gateway = self.gateway(name)
        found: set[str] = set()
        if gateway and gateway.kind == "Gateway":
            with suppress(NotJudgedError):
                selector = labels(gateway.spec["selector"])
                found = {workload.namespace for workload, pods in self.workloads if selects(selector, pods)}
                found = found or {service.namespace for service in self.services_of(gateway)}
        return tuple(sorted(found)) or (name.partition("/")[0],)

    @cached_property
    def _gateway_services(self) -> dict[tuple[str, str], list[KubeObject]]:
        pods = [found for _, found in self.workloads]
        by_selector: dict[str, list[KubeObject]] = {}
        found: dict[tuple[str, str], list[KubeObject]] = {}
        for gateway in self.of("Gateway"):
            with suppress(NotJudgedError):
                key = repr(sorted(labels(gateway.spec["selector"]).items()))
                if key not in by_selector:
                    by_selector[key] = gateway_services(gateway, self.of("Service"), pods)
                found[gateway.namespace, gateway.name] = by_selector[key]
        return found

    @cached_property
    def gateway_hosts(self) -> set[str]:
        """Full names of the Services that its gateways' pods are reached by."""
        return {
            service_host(service.name, service.namespace)
            for services in self._gateway_services.values()
            for service in services
        }

    @cached_property
    def gateway_addresses(self) -> set[str]:
        """Addresses and names by which its gateways are reached from outside, where they are known."""
        found: set[str] = set()
        for service in (service for services in self._gateway_services.values() for service in services):
            with suppress(NotJudgedError):
                found |= service_addresses(service)
        for gateway in self.of("KubernetesGateway"):
            with suppress(NotJudgedError):
                found |= native_addresses(gateway)
        return found

    @cached_property
    def contract_digests(self) -> set[str]:
        """Digests of the contracts that its routes were rendered from."""
        return {digest for route in self.of("VirtualService") for digest in contract_digests(route)}

    @cached_property
    def routing(self) -> Routing:
        """Its routes and mirrors."""
        return read_routing(self.of("VirtualService", "HTTPRoute", "GRPCRoute"), self.find, self.listeners.by_gateway)

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

    Raises:
        ValidationError: Two clusters have one name.
    """

    clusters: Sequence[ClusterObjects]
    now: datetime | None = None
    _kept: dict[Hashable, object] = field(default_factory=dict[Hashable, object], init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` returns, made at the first call for ``key``."""
        return _once(self._kept, key, make)

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


def contract_digests(source: KubeObject) -> set[str]:
    """Digests of the contracts that a route object was rendered from."""
    try:
        notes = source.annotations.entries()
        return {note.text() for key, note in notes if key.startswith(f"{ANNOTATION}/contract.")}
    except NotJudgedError:
        return set()
