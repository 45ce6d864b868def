"""Gateways as rules see them: what they listen for, which pods they are, and where they are reached."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from ..render.gateway_api import TERMINATE_MODE
from .hosts import widening
from .nodes import Node, NotJudgedError
from .objects import KubeObject, listening_gateway

GATEWAY_NAME: Final = "gateway.networking.k8s.io/gateway-name"
"""Label of the pods that Istio makes for a gateway of the Gateway API."""

WAYPOINT_CLASS: Final = "istio-waypoint"
"""Class of the gateways that stand in for sidecars in ambient mode."""

ISTIO_CLASSES: Final = frozenset({"istio", "istio-east-west", "istio-remote", WAYPOINT_CLASS})
"""Classes of gateways that istiod makes by itself. Source: classInfos of its pilot."""

ISTIO_CONTROLLERS: Final = "istio.io/"
"""Begins the name of the controller in a class of Istio's."""

UNTRANSLATED: Final = "experimental.istio.io/disable-gateway-port-translation"
"""Label of a gateway's Service whose target ports Istio does not listen on for the Service's own."""

HTTP_PROTOCOLS: Final = frozenset({"HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB"})
"""Protocols of listeners that routes of requests are bound to; TLS is one when it ends at the gateway."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Listener:
    """One listener of a gateway.

    Attributes:
        gateway: Its gateway as ``namespace/name``.
        source: The gateway's object.
        node: Where the listener is written.
        port: Port that it listens on; None when it is malformed.
        protocol: Its protocol in upper case.
        tls_mode: ``SIMPLE`` or ``MUTUAL`` and the like where TLS ends here; empty for none.
        hosts: Host patterns that it takes.
    """

    gateway: str
    source: KubeObject
    node: Node = field(repr=False)
    port: int | None
    protocol: str
    tls_mode: str
    hosts: tuple[str, ...]

    def takes(self, host: str) -> bool:
        """Whether it takes every host that ``host`` stands for."""
        return any(pattern in self._patterns for pattern in widening(host))

    @cached_property
    def _patterns(self) -> frozenset[str]:
        return frozenset(self.hosts)


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Every listener of a cluster.

    Attributes:
        known: Those that can be read.
        unknown: Gateways whose listeners depend on a value that is not known yet.
    """

    known: tuple[Listener, ...]
    unknown: frozenset[str]

    @cached_property
    def by_gateway(self) -> dict[str, list[Listener]]:
        """The known listeners by gateway."""
        found: dict[str, list[Listener]] = {}
        for listener in self.known:
            found.setdefault(listener.gateway, []).append(listener)
        return found


def read_listeners(gateways: list[KubeObject]) -> Listeners:
    """Read the listeners of Istio's and of the Gateway API's gateways."""
    known: list[Listener] = []
    unknown: set[str] = set()
    for gateway in gateways:
        try:
            known += list(_istio(gateway) if gateway.kind == "Gateway" else _native(gateway))
        except NotJudgedError:
            with suppress(NotJudgedError):
                unknown.add(listening_gateway(gateway))
    return Listeners(known=tuple(known), unknown=frozenset(unknown))


def _istio(gateway: KubeObject) -> Iterator[Listener]:
    for server in gateway.spec["servers"].elements():
        protocol = server["port"]["protocol"].text().upper()
        mode = server["tls"]["mode"].text("PASSTHROUGH").upper() if server["tls"].given else ""
        hosts = tuple(host.rpartition("/")[2] for host in server["hosts"].texts())
        yield Listener(
            gateway=f"{gateway.namespace}/{gateway.name}",
            source=gateway,
            node=server,
            port=server["port"]["number"].integer(),
            protocol=protocol,
            tls_mode=mode if protocol in ("HTTPS", "TLS") else "",
            hosts=hosts,
        )


def _native(gateway: KubeObject) -> Iterator[Listener]:
    name = listening_gateway(gateway)
    for listener in gateway.spec["listeners"].elements():
        protocol = listener["protocol"].text().upper()
        tls = "SIMPLE" if protocol in ("HTTPS", "TLS") else ""
        asks = listener["tls"]["options"][TERMINATE_MODE].text() == "MUTUAL"
        if tls and (asks or listener["tls"]["frontendValidation"].given):
            tls = "MUTUAL"
        yield Listener(
            gateway=name,
            source=gateway,
            node=listener,
            port=listener["port"].integer(),
            protocol=protocol,
            tls_mode=tls,
            hosts=(listener["hostname"].text("*"),),
        )


def labels(node: Node) -> dict[str, str]:
    """The labels in an object, those that are text."""
    return {key: value.text() for key, value in node.entries() if value.text()}


def namespace_labels(name: str, own: Node) -> dict[str, str]:
    """Labels of a namespace by its object's, with the one that the API server gives it."""
    return {**labels(own), "kubernetes.io/metadata.name": name}


def selects(selector: dict[str, str], pods: dict[str, str]) -> bool:
    """Whether a selector takes pods with these labels; an empty one takes none."""
    return bool(selector) and selector.items() <= pods.items()


def pod_labels(workload: KubeObject) -> dict[str, str]:
    """Labels of the pods that a Deployment, StatefulSet, DaemonSet or Pod has."""
    root = workload.root if workload.kind == "Pod" else workload.spec["template"]
    return labels(root["metadata"]["labels"])


def gateway_services(
    gateway: KubeObject, services: Sequence[KubeObject], pods: list[dict[str, str]]
) -> list[KubeObject]:
    """Services by which the pods of an Istio Gateway are reached.

    Either the Service's selector contains the Gateway's, or some pods are taken by both.
    """
    selector = labels(gateway.spec["selector"])
    if not selector:
        return []
    own = [found for found in pods if selects(selector, found)]
    return [
        service
        for service in services
        if (taken := labels(service.spec["selector"]))
        and (selects(selector, taken) or any(selects(taken, found) for found in own))
    ]


def translates(service: KubeObject) -> bool:
    """Whether Istio listens on the target port for a port of a gateway's Service. Source: resolvePorts of its pilot."""
    return service.root["metadata"]["labels"][UNTRANSLATED].text() != "true"


def service_addresses(service: KubeObject) -> set[str]:
    """Addresses and names by which a Service is reached from outside."""
    spec = service.spec
    found = {*spec["externalIPs"].texts(), spec["loadBalancerIP"].text()}
    for ingress in service.root["status"]["loadBalancer"]["ingress"].elements():
        found |= {ingress["ip"].text(), ingress["hostname"].text()}
    return found - {""}


def native_addresses(gateway: KubeObject) -> set[str]:
    """Addresses and names of a Gateway API gateway."""
    nodes = [*gateway.spec["addresses"].elements(), *gateway.root["status"]["addresses"].elements()]
    return {text for node in nodes if (text := node["value"].text())}
