"""What istiod must know beside the manifests: what a running cluster would add to them, and who asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from ipaddress import IPv4Address
from typing import Any, Final, cast

from ...model import JsonObject
from ...model.rules.gateways import GATEWAY_NAME, WAYPOINT_CLASS
from ...model.rules.objects import LISTENER_SETS

Object = dict[str, Any]

DATAPLANE: Final = "istio.io/dataplane-mode"
MANAGED: Final = "gateway.istio.io/managed"
WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet")
ROUTER_CLASS: Final = "istio"
CONTROLLERS: Final = {ROUTER_CLASS: "istio.io-gateway-controller", WAYPOINT_CLASS: "istio.io-mesh-controller"}
"""By class of a gateway, what marks the objects that Istio makes for it; a waypoint's own Service has no waypoint."""
CLUSTER_WIDE: Final = ("Namespace", "GatewayClass", "Node")
POD_ADDRESSES: Final = int(IPv4Address("10.0.0.10"))
SERVICE_ADDRESSES: Final = int(IPv4Address("10.128.0.10"))
BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)
AFTER_ALL: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Moments before and after which no cluster makes objects."""


@unique
class ProxyKind(StrEnum):
    """What a proxy is to istiod."""

    SIDECAR = "sidecar"
    GATEWAY = "router"
    WAYPOINT = "waypoint"


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """Who asks.

    Attributes:
        kind: What it is.
        namespace: Namespace of its pod.
        labels: Labels of its pod.
        gateway: The gateway that it is for as ``namespace/name``; empty for a sidecar.
    """

    kind: ProxyKind
    namespace: str
    labels: Mapping[str, str]
    gateway: str = ""

    @property
    def name(self) -> str:
        """How an answer calls it."""
        return "/".join(part for part in (self.kind.value, self.namespace, self.gateway) if part)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A cluster's objects, completed, and the proxies that are asked for.

    Attributes:
        objects: The objects; the given ones come first, in their order.
        proxies: The proxies.
        ambient: Whether istiod runs with ambient mode.
        mesh: What its MeshConfig has beside Istio's defaults.
        domain: Domain of Services.
        statuses: Whether the statuses of the Gateway API are wanted.
        rendered: Names of the proxies of which all that they get is wanted, not the facts alone.
    """

    objects: Sequence[Mapping[str, object]] = field(repr=False)
    proxies: Sequence[Proxy]
    ambient: bool = False
    mesh: Mapping[str, object] = field(default_factory=dict[str, object])
    domain: str = ""
    statuses: bool = False
    rendered: frozenset[str] = frozenset()

    def to_json(self) -> JsonObject:
        """What the oracle reads."""
        addresses = _addresses(POD_ADDRESSES + 2**22)
        asked = [
            {
                "name": each.name,
                "type": each.kind.value,
                "namespace": each.namespace,
                "labels": dict(each.labels),
                "ip": next(addresses),
                "rendered": each.name in self.rendered,
            }
            for each in self.proxies
        ]
        given: dict[str, object] = {
            "objects": list(self.objects),
            "proxies": asked,
            "mesh": dict(self.mesh),
            "domain": self.domain,
            "statuses": self.statuses,
        }
        return cast("JsonObject", given)


def question_of(
    objects: Iterable[Mapping[str, object]],
    *,
    root_namespace: str = "istio-system",
    mesh: Mapping[str, object] | None = None,
) -> Question:
    """Complete objects as a cluster would, and ask for a sidecar of each namespace and for every gateway.

    Namespaces, a ready pod of each workload and of each Service that selects none, EndpointSlices, and what Istio makes
    for gateways of the Gateway API. Secrets are left out; in their place stands a certificate for each listener that
    names one, because istiod opens none without.
    """
    given = [_completed(each) for each in objects]
    cluster = _Cluster(objects=given)
    cluster.add_gateway_services()
    cluster.replace_secrets()
    cluster.add_namespaces({root_namespace, *_named((mesh or {}).get("defaultVirtualServiceExportTo"))})
    proxies = [*cluster.sidecars(root_namespace), *cluster.gateways()]
    cluster.add_pods(proxies)
    cluster.add_slices()
    ambient = any(each.kind is ProxyKind.WAYPOINT for each in proxies) or any(
        _labels(each).get(DATAPLANE) == "ambient" for each in given
    )
    return Question(
        objects=cluster.objects,
        proxies=proxies,
        ambient=ambient,
        mesh={**(mesh or {}), "rootNamespace": root_namespace},
    )


def by_age(question: Question, *, reverse: bool = False) -> Question:
    """A question in which objects that do not say when they were made are younger than all others, in their order.

    With ``reverse`` they are older than all others, the last one most. Files do not tell, and istiod goes by age where
    objects contend.
    """
    first = BEFORE_ALL if reverse else AFTER_ALL
    ordered = question.objects[::-1] if reverse else question.objects
    aged = [_made_at(each, first + timedelta(seconds=index)) for index, each in enumerate(ordered)]
    return replace(question, objects=aged[::-1] if reverse else aged)


def _made_at(subject: Mapping[str, object], moment: datetime) -> Mapping[str, object]:
    metadata = _mapping(subject.get("metadata"))
    if metadata.get("creationTimestamp") or not metadata:
        return subject
    return {**subject, "metadata": {**metadata, "creationTimestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}}


def _completed(given: Mapping[str, object]) -> Object:
    """An object as the API server makes it: without the status given, and with defaults that istiod depends on."""
    made: Object = {key: each for key, each in given.items() if key != "status"}
    if made.get("kind") == "Service" and isinstance(made.get("spec"), Mapping):
        spec: Object = dict(made["spec"])
        if isinstance(spec.get("ports"), list):
            ports = cast("list[Any]", spec["ports"])
            spec["ports"] = [
                {"protocol": "TCP", "targetPort": cast("Object", each).get("port"), **each}
                if isinstance(each, dict)
                else each
                for each in ports
            ]
        made["spec"] = spec
    return made


class _Cluster:
    """Objects that grow by what a cluster would add."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects
        self._pods: list[tuple[str, Mapping[str, str], str, str]] = []

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each.get("kind") in kinds]

    def add_gateway_services(self) -> None:
        """The Service that Istio makes for a gateway, and the address that tells who a waypoint is."""
        named = {(_name(each), _namespace(each)) for each in self.of("Service")}
        for gateway in self.of("Gateway"):
            chosen = _spec(gateway).get("gatewayClassName")
            if not _native(gateway) or chosen not in (ROUTER_CLASS, WAYPOINT_CLASS):
                continue
            name, namespace = _name(gateway), _namespace(gateway)
            own = name if chosen == WAYPOINT_CLASS else f"{name}-{ROUTER_CLASS}"
            if chosen == WAYPOINT_CLASS:
                address = {"type": "Hostname", "value": f"{own}.{namespace}.svc.cluster.local"}
                gateway["status"] = {"addresses": [address]}
            marks = {GATEWAY_NAME: name, MANAGED: CONTROLLERS[chosen]}
            if (own, namespace) in named:
                continue
            ports = [
                {"name": f"port-{index}", "port": each["port"], "targetPort": each["port"], "protocol": "TCP"}
                for index, each in enumerate(_list(_spec(gateway).get("listeners")))
                if isinstance(each.get("port"), int)
            ]
            spec = {"selector": {GATEWAY_NAME: name}, "ports": ports or [{"name": "status", "port": 15021}]}
            self._add("v1", "Service", own, namespace, labels=marks, spec=spec)

    def replace_secrets(self) -> None:
        """A stand-in for each certificate that a listener of the Gateway API names, and none of the Secrets given."""
        named = {
            (str(each.get("name", "")), str(each.get("namespace") or _namespace(gateway)))
            for gateway in self.of("Gateway", *LISTENER_SETS)
            for listener in _list(_spec(gateway).get("listeners"))
            for each in _list(_mapping(listener.get("tls")).get("certificateRefs"))
        }
        self.objects = [each for each in self.objects if each.get("kind") != "Secret"]
        if not named:
            return
        from .certificates import certificate  # noqa: PLC0415 -- its library is optional, and only wanted here

        for name, namespace in sorted(named):
            self._add("v1", "Secret", name, namespace, labels={}, type="kubernetes.io/tls", data=dict(certificate()))

    def add_namespaces(self, named: set[str]) -> None:
        known = {_name(each) for each in self.of("Namespace")}
        used = {_namespace(each) for each in self.objects if each.get("kind") not in CLUSTER_WIDE} | named
        used |= {name for each in self.of("VirtualService") for name in _callers(each)}
        for name in sorted(used - known):
            self._add("v1", "Namespace", name, "", labels={"kubernetes.io/metadata.name": name})

    def sidecars(self, root_namespace: str) -> Iterator[Proxy]:
        meshed = [each for each in self.of("Namespace") if _labels(each).get(DATAPLANE) != "ambient"]
        for name in sorted(_name(each) for each in meshed):
            if name != root_namespace:
                yield Proxy(kind=ProxyKind.SIDECAR, namespace=name, labels={"app": f"client-{name}"})

    def gateways(self) -> Iterator[Proxy]:
        for gateway in self.of("Gateway"):
            full, namespace, spec = f"{_namespace(gateway)}/{_name(gateway)}", _namespace(gateway), _spec(gateway)
            if not _native(gateway):
                selector = _texts(spec.get("selector"))
                for place, own in self._chosen(selector) or [(namespace, selector)]:
                    yield Proxy(kind=ProxyKind.GATEWAY, namespace=place, labels=own, gateway=full)
            elif spec.get("gatewayClassName") == ROUTER_CLASS:
                own = {GATEWAY_NAME: _name(gateway)}
                yield Proxy(kind=ProxyKind.GATEWAY, namespace=namespace, labels=own, gateway=full)
            elif spec.get("gatewayClassName") == WAYPOINT_CLASS:
                own = {GATEWAY_NAME: _name(gateway), MANAGED: CONTROLLERS[WAYPOINT_CLASS]}
                yield Proxy(kind=ProxyKind.WAYPOINT, namespace=namespace, labels=own, gateway=full)

    def _chosen(self, selector: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
        """Namespace and labels of the pods that a Gateway chooses, one for each namespace."""
        found: dict[str, Mapping[str, str]] = {}
        for workload in self.of(*WORKLOADS, "Pod"):
            own = _pod_labels(workload)
            if selector and selector.items() <= own.items():
                found.setdefault(_namespace(workload), own)
        if found:
            return list(found.items())
        fronts = [each for each in self.of("Service") if selector]
        places = {
            _namespace(each) for each in fronts if selector.items() <= _texts(_spec(each).get("selector")).items()
        }
        return [(place, selector) for place in sorted(places)]

    def add_pods(self, proxies: Iterable[Proxy]) -> None:
        """A ready pod for each workload, for each Service of a namespace without any, and for each proxy."""
        running = [each for each in self.of(*WORKLOADS) if _spec(each).get("replicas", 1) != 0]
        wanted: list[tuple[str, Mapping[str, str]]] = [(_namespace(each), _pod_labels(each)) for each in running]
        populated = {_namespace(each) for each in self.of(*WORKLOADS, "Pod")}
        for service in self.of("Service"):
            selector = _texts(_spec(service).get("selector"))
            if selector and _namespace(service) not in populated:
                wanted.append((_namespace(service), selector))
        addresses = _addresses(POD_ADDRESSES)
        for pod in self.of("Pod"):
            address = next(addresses)
            pod["status"] = _ready(address)
            self._pods.append((_namespace(pod), _pod_labels(pod), address, _name(pod)))
        for index, (namespace, own) in enumerate(wanted):
            self._add_pod(f"pod-{index}", namespace, own, next(addresses))
        own_addresses = _addresses(POD_ADDRESSES + 2**22)
        for index, proxy in enumerate(proxies):
            self._add_pod(f"proxy-{index}", proxy.namespace, proxy.labels, next(own_addresses))

    def _add_pod(self, name: str, namespace: str, own: Mapping[str, str], address: str) -> None:
        spec = {"containers": [{"name": "c", "image": "i"}], "serviceAccountName": "default", "nodeName": "node"}
        self._add("v1", "Pod", name, namespace, labels=own, spec=spec, status=_ready(address))
        self._pods.append((namespace, own, address, name))

    def add_slices(self) -> None:
        addresses = _addresses(SERVICE_ADDRESSES)
        for service in self.of("Service"):
            spec, name, namespace = _spec(service), _name(service), _namespace(service)
            selector = _texts(spec.get("selector"))
            if not selector or spec.get("type") == "ExternalName":
                continue
            spec.setdefault("clusterIP", next(addresses))
            endpoints = [
                {
                    "addresses": [address],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace},
                }
                for place, own, address, pod in self._pods
                if place == namespace and selector.items() <= own.items()
            ]
            ports = [
                {
                    "name": each.get("name", ""),
                    "port": each["targetPort"] if isinstance(each.get("targetPort"), int) else each["port"],
                    "protocol": each.get("protocol", "TCP"),
                }
                for each in _list(spec.get("ports"))
                if isinstance(each.get("port"), int)
            ]
            self._add(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                name,
                namespace,
                labels={"kubernetes.io/service-name": name},
                addressType="IPv4",
                endpoints=endpoints,
                ports=ports,
            )

    def _add(  # the parts of an object
        self, version: str, kind: str, name: str, namespace: str, *, labels: Mapping[str, str], **parts: object
    ) -> None:
        metadata: Object = {"name": name, "labels": dict(labels), **({"namespace": namespace} if namespace else {})}
        self.objects.append({"apiVersion": version, "kind": kind, "metadata": metadata, **parts})


def _addresses(first: int) -> Iterator[str]:
    number = first
    while True:
        yield str(IPv4Address(number))
        number += 1


def _ready(address: str) -> Object:
    conditions = [{"type": "Ready", "status": "True"}]
    return {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running", "conditions": conditions}


def _mapping(value: object) -> Object:
    return cast("Object", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Object]:
    return [each for each in cast("list[Any]", value) if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    return {key: each for key, each in _mapping(value).items() if isinstance(each, str)}


def _spec(subject: Object) -> Object:
    return _mapping(subject.get("spec"))


def _name(subject: Object) -> str:
    return str(_mapping(subject.get("metadata")).get("name", ""))


def _namespace(subject: Object) -> str:
    return str(_mapping(subject.get("metadata")).get("namespace") or "default")


def _labels(subject: Object) -> dict[str, str]:
    return _texts(_mapping(subject.get("metadata")).get("labels"))


def _callers(route: Object) -> Iterator[str]:
    """Namespaces whose requests a VirtualService asks for, or that alone see it."""
    yield from _named(_spec(route).get("exportTo"))
    for entry in _list(_spec(route).get("http")):
        for match in _list(entry.get("match")):
            if isinstance(name := match.get("sourceNamespace"), str) and name:
                yield name


def _named(exports: object) -> list[str]:
    """Namespaces that exports name."""
    written = cast("list[object]", exports) if isinstance(exports, list) else []
    return [name for name in written if isinstance(name, str) and name not in ("", "*", ".", "~")]


def _pod_labels(workload: Object) -> dict[str, str]:
    return _labels(workload if workload.get("kind") == "Pod" else _mapping(_spec(workload).get("template")))


def _native(gateway: Object) -> bool:
    return str(gateway.get("apiVersion", "")).startswith("gateway.networking.k8s.io/")
