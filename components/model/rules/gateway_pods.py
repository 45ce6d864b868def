"""The gateways of a cluster with the pods and Services that they consist of."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from ..routing import service_host
from .envoy import GATEWAY
from .gateways import (
    GATEWAY_NAME,
    ISTIO_CLASSES,
    ISTIO_CONTROLLERS,
    gateway_services,
    labels,
    native_addresses,
    selects,
    service_addresses,
    translates,
)
from .nodes import NotJudgedError
from .objects import KubeObject
from .routes import Route


@dataclass(frozen=True, kw_only=True, eq=False)
class GatewayPods:
    """A cluster's gateways, and what they run as.

    Attributes:
        istio: Its Gateways of Istio's but for those that are refused.
        native: Its Gateways of the Gateway API but for those.
        services: Its Services.
        workloads: Its workloads with the labels of their pods.
        complete: Whether these are all that it has.
        known: Its objects by kind, namespace and name.
        find: The same look-up for one that must be known: it raises ``NotJudgedError`` where there is none, but some
            object of the kind has a name that is not known yet.
    """

    istio: Sequence[KubeObject]
    native: Sequence[KubeObject]
    services: Sequence[KubeObject]
    workloads: Sequence[tuple[KubeObject, dict[str, str]]]
    complete: bool
    known: Mapping[tuple[str, str, str], KubeObject]
    find: Callable[[str, str, str], KubeObject | None]
    _namespaces: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], init=False, repr=False)
    _chosen: dict[tuple[tuple[tuple[str, str], ...], str], bool | None] = field(
        default_factory=dict[tuple[tuple[tuple[str, str], ...], str], bool | None], init=False, repr=False
    )

    def named(self, name: str) -> KubeObject | None:
        """A gateway by ``namespace/name``; None for one that is refused as well.

        Raises:
            NotJudgedError: There is none, but some gateway has a name that is not known yet.
        """
        namespace, _, own = name.partition("/")
        istio = self.known.get(("Gateway", namespace, own))
        native = istio or self.find("KubernetesGateway", namespace, own)
        found = native or self.find("Gateway", namespace, own)
        return found if found in self._taken else None

    def refused(self, name: str) -> bool:
        """Whether a gateway is at hand and refused."""
        namespace, _, own = name.partition("/")
        there = (self.known.get((kind, namespace, own)) for kind in ("Gateway", "KubernetesGateway"))
        return any(there) and self.named(name) is None

    @cached_property
    def _taken(self) -> frozenset[KubeObject]:
        return frozenset((*self.istio, *self.native))

    def is_native(self, gateway: str) -> bool:
        """Whether a gateway is the Gateway API's; true of one that is not at hand."""
        found = self.named(gateway)
        return not found or found.kind != "Gateway"

    def controller_of(self, gateway: str) -> str:
        """Words for who serves a gateway where that is another than Istio; empty where it is Istio or not at hand."""
        namespace, _, own = gateway.partition("/")
        found = self.known.get(("KubernetesGateway", namespace, own))
        name = found.spec["gatewayClassName"].text() if found else ""
        if not name or name in ISTIO_CLASSES:
            return ""
        chosen = self.known.get(("GatewayClass", "default", name))
        controller = chosen.spec["controllerName"].text() if chosen else ""
        return "" if controller.startswith(ISTIO_CONTROLLERS) else f"{controller or 'another controller'}, class {name}"

    def services_of(self, gateway: KubeObject) -> list[KubeObject]:
        """Services by which the pods of an Istio Gateway are reached; none for the Gateway API's."""
        return self._services_by_gateway.get((gateway.namespace, gateway.name), []) if gateway.kind == "Gateway" else []

    def target_ports(self, gateway: KubeObject, port: int | None) -> list[int]:
        """Ports that a gateway's pods listen on for a port of its listeners: that of the Service's target.

        Source: resolvePorts of Istio's pilot.
        """
        services = self.services_of(gateway) if port else []
        found: dict[int, None] = {}
        for service in services:
            if not translates(service):
                continue
            for node in service.spec["ports"].elements():
                target = node["targetPort"].integer() if node["targetPort"].given else node["port"].integer()
                if node["port"].integer() == port and target:
                    found[target] = None
        return list(found) or ([port] if port else [])

    def namespaces_of(self, name: str) -> tuple[str, ...]:
        """Namespaces of a gateway's pods, where they or a Service in front of them are at hand; else the gateway's own.

        An Istio Gateway selects pods of any namespace, and often lies beside the routes while its pods do not.
        """
        return self._places_of(name) or (name.partition("/")[0],)

    def has_pods_of(self, name: str) -> bool:
        """Whether it is known where a gateway's pods are: Istio makes those of the Gateway API's beside it."""
        found = self.named(name)
        return found is not None and (found.kind != "Gateway" or bool(self._places_of(name)))

    def _places_of(self, name: str) -> tuple[str, ...]:
        """Namespaces in which pods of an Istio Gateway are at hand, or else a Service in front of them."""
        if name not in self._namespaces:
            self._namespaces[name] = tuple(sorted(self._find_places(name)))
        return self._namespaces[name]

    def _find_places(self, name: str) -> set[str]:
        gateway = self.named(name)
        found: set[str] = set()
        if gateway and gateway.kind == "Gateway":
            with suppress(NotJudgedError):
                selector = labels(gateway.spec["selector"])
                found = {workload.namespace for workload, pods in self.workloads if selects(selector, pods)}
                found = found or {service.namespace for service in self.services_of(gateway)}
        return found

    def chooses(self, wanted: dict[str, str], context: str, namespace: str, route: Route) -> bool | None:
        """Whether labels choose the gateways or sidecars (``context``) of a namespace that send a route's mirrors.

        None where it cannot be told, as with sidecars of a namespace in which some workloads have them.
        """
        if not wanted:
            return True
        if context != GATEWAY:
            return self.chooses_sidecars(wanted, namespace)
        here = {self.chooses_gateway(wanted, each) for each in route.gateways if namespace in self.namespaces_of(each)}
        if len(here) > 1:
            return None
        return here.pop() if here else False

    def chooses_sidecars(self, wanted: dict[str, str], namespace: str) -> bool | None:
        """Whether labels choose sidecars of a namespace; None for some of them, or for nobody knows which."""
        if not wanted:
            return True
        near = [pods for workload, pods in self.workloads if workload.namespace == namespace]
        return False if near and self.complete and not any(selects(wanted, pods) for pods in near) else None

    def chooses_gateway(self, chosen: dict[str, str], gateway: str) -> bool | None:
        """Whether labels choose a gateway's pods: by the pods at hand, else as far as its selector tells."""
        if not chosen:
            return True
        key = (tuple(sorted(chosen.items())), gateway)
        if key not in self._chosen:
            self._chosen[key] = self._chooses(chosen, gateway)
        return self._chosen[key]

    def _chooses(self, chosen: dict[str, str], gateway: str) -> bool | None:
        found = self.named(gateway)
        if found and found.kind == "KubernetesGateway" and not found.spec["addresses"].given:
            return _selects_made(chosen, found)
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

    @cached_property
    def _services_by_gateway(self) -> dict[tuple[str, str], list[KubeObject]]:
        pods = [found for _, found in self.workloads]
        by_selector: dict[str, list[KubeObject]] = {}
        found: dict[tuple[str, str], list[KubeObject]] = {}
        for gateway in self.istio:
            with suppress(NotJudgedError):
                key = repr(sorted(labels(gateway.spec["selector"]).items()))
                if key not in by_selector:
                    by_selector[key] = gateway_services(gateway, self.services, pods)
                found[gateway.namespace, gateway.name] = by_selector[key]
        return found

    @cached_property
    def hosts(self) -> set[str]:
        """Full names of the Services that its gateways' pods are reached by."""
        return {
            service_host(service.name, service.namespace)
            for services in self._services_by_gateway.values()
            for service in services
        }

    @cached_property
    def addresses(self) -> set[str]:
        """Addresses and names by which its gateways are reached from outside, where they are known."""
        found: set[str] = set()
        for service in (service for services in self._services_by_gateway.values() for service in services):
            with suppress(NotJudgedError):
                found |= service_addresses(service)
        for gateway in self.native:
            with suppress(NotJudgedError):
                found |= native_addresses(gateway)
        return found


def _selects_made(chosen: dict[str, str], gateway: KubeObject) -> bool | None:
    """Whether labels choose the pods that Istio makes for a gateway; None for labels that it gives them itself.

    Source: https://istio.io/latest/docs/tasks/traffic-management/ingress/gateway-api/#automated-deployment
    """
    written = gateway.spec["infrastructure"]["labels"]
    own = labels(written if written.given else gateway.root["metadata"]["labels"]) | {GATEWAY_NAME: gateway.name}
    if any(own.get(key) != value for key, value in chosen.items() if key in own or "istio.io/" not in key):
        return False
    return chosen.items() <= own.items() or None
