"""One object of a cluster, and the names that objects call each other by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, cast

from ..annotations import CONTRACT
from ..routing import CLUSTER_DOMAIN, service_host
from .jsonvalues import as_json
from .nodes import UNKNOWN, Node, NotJudgedError

ISTIO_GROUP: Final = "networking.istio.io"
GATEWAY_GROUP: Final = "gateway.networking.k8s.io"

GROUPS: Final = {
    "VirtualService": ISTIO_GROUP,
    "DestinationRule": ISTIO_GROUP,
    "ServiceEntry": ISTIO_GROUP,
    "EnvoyFilter": ISTIO_GROUP,
    "Sidecar": ISTIO_GROUP,
    "HTTPRoute": GATEWAY_GROUP,
    "GRPCRoute": GATEWAY_GROUP,
    "ListenerSet": GATEWAY_GROUP,
    "XListenerSet": "gateway.networking.x-k8s.io",
    "ReferenceGrant": GATEWAY_GROUP,
    "GatewayClass": GATEWAY_GROUP,
    "Service": "",
    "Namespace": "",
    "Pod": "",
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "Canary": "flagger.app",
    "Rollout": "argoproj.io",
}
"""API group of every kind that rules read, but for Gateway, which two groups have."""


ROUTES: Final = ("VirtualService", "HTTPRoute", "GRPCRoute")
"""Kinds that mirror."""

NAMELESS: Final = "?"
"""Stands for a name that nobody knows."""

_NAMES: Final = ("name", "namespace")

LISTENER_SETS: Final = ("ListenerSet", "XListenerSet")
"""Kinds that add listeners to a gateway of the Gateway API; the second is the experimental one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class KubeObject:
    """One object of a cluster, as somebody wrote it.

    Attributes:
        cluster: Name of its cluster.
        kind: Its kind; Istio's Gateway is ``Gateway``, the Gateway API's ``KubernetesGateway``.
        namespace: Its namespace; ``default`` where none is written, :data:`NAMELESS` where it is not known yet.
        name: Its name; :data:`NAMELESS` where there is none, or none known yet.
        root: The whole object.
    """

    cluster: str
    kind: str
    namespace: str
    name: str
    root: Node = field(repr=False)

    @property
    def unknown_name(self) -> str:
        """Path of its name or namespace where that is not known yet; empty when both are."""
        if NAMELESS not in (self.name, self.namespace):
            return ""
        return next((path for key in _NAMES if (path := self._unknown(key))), "")

    @property
    def unknown_namespace(self) -> str:
        """Path of its namespace where that is not known yet; empty when it is."""
        return self._unknown("namespace") if self.namespace == NAMELESS else ""

    def _unknown(self, key: str) -> str:
        metadata = self._metadata
        node = metadata if metadata.value is UNKNOWN else metadata[key]
        return node.path if node.value is UNKNOWN else ""

    @cached_property
    def spec(self) -> Node:
        """Its ``spec``."""
        return self.root["spec"]

    @cached_property
    def _metadata(self) -> Node:
        return self.root["metadata"]

    @cached_property
    def annotations(self) -> Node:
        """Its annotations."""
        return self._metadata["annotations"]

    def annotation(self, key: str) -> str:
        """The text of an annotation; empty when there is none."""
        return self.annotations[key].text()

    @cached_property
    def created(self) -> str:
        """When it was made, as a cluster writes it, so that texts order as times do; empty where nobody says."""
        found = self._metadata["creationTimestamp"].known
        return found if isinstance(found, str) else ""

    @property
    def contract_digests(self) -> set[str]:
        """Digests of the contracts that a route object was rendered from."""
        try:
            return {note.text() for key, note in self.annotations.entries() if key.startswith(CONTRACT)}
        except NotJudgedError:
            return set()

    @cached_property
    def exports(self) -> frozenset[str]:
        """Namespaces whose proxies see it; ``*`` for all."""
        return frozenset(self.namespace if name == "." else name for name in self.exported_to or ("*",))

    @cached_property
    def exported_to(self) -> tuple[str, ...]:
        """What is written of :attr:`exports`, in order."""
        return tuple(sorted(self.spec["exportTo"].texts()))

    @property
    def written_kind(self) -> str:
        """Its kind as it is written: Istio and the Gateway API both have a Gateway."""
        return self.kind.removeprefix("Kubernetes")

    def __str__(self) -> str:
        return f"{self.written_kind} {self.namespace}/{self.name}"


def read_object(cluster: str, node: Node) -> KubeObject | None:
    """Read one object; None when no rule reads its kind."""
    kind, version = node["kind"].text(), node["apiVersion"].text()
    group = version.rpartition("/")[0]
    if kind == "Gateway" and group == GATEWAY_GROUP:
        kind = "KubernetesGateway"
    elif kind == "Gateway":
        if group != ISTIO_GROUP:
            return None
    elif GROUPS.get(kind) != group:
        return None
    metadata = node["metadata"].value
    if isinstance(metadata, Mapping):
        given = cast("Mapping[str, object]", metadata)
        name, namespace = given.get("name"), given.get("namespace")
    else:
        name = namespace = metadata  # both unknown, or no text
    if not isinstance(namespace, str):
        namespace = NAMELESS if namespace is UNKNOWN else ""
    return KubeObject(
        cluster=cluster,
        kind=kind,
        namespace=namespace or "default",
        name=name if isinstance(name, str) and name else NAMELESS,
        root=Node(as_json(node.value)),
    )


def listening_gateway(source: KubeObject) -> str:
    """The gateway that an object's listeners belong to, as ``namespace/name``: itself, or the parent of a set."""
    if source.kind not in LISTENER_SETS:
        return f"{source.namespace}/{source.name}"
    parent = source.spec["parentRef"]
    return f"{parent['namespace'].text(source.namespace)}/{parent['name'].text()}"


def exported(subject: KubeObject, namespace: str) -> bool:
    """Whether an object is visible to proxies in ``namespace``."""
    return not subject.exports.isdisjoint(("*", namespace))


def is_ambient(namespace: KubeObject | None) -> bool:
    """Whether a Namespace is in ambient mode, where waypoints stand in for sidecars."""
    mode = namespace.root["metadata"]["labels"]["istio.io/dataplane-mode"] if namespace else Node(None)
    return mode.text() == "ambient"


def full_name(host: str, namespace: str) -> str:
    """The full name that Istio reads a host as: a name without dots is a Service in the reader's namespace."""
    if not host or "." in host or host == "*":
        return host
    return service_host(host, namespace)


def service_name(host: str) -> tuple[str, str] | None:
    """Name and namespace of the Service with the full name ``host``; None when it is no Service's name."""
    stem = host.removesuffix(f".svc.{CLUSTER_DOMAIN}")
    if stem == host or stem.count(".") != 1:
        return None
    name, namespace = stem.split(".")
    return name, namespace


def known_ports(subject: KubeObject) -> list[Node]:
    """The ports of a Service or ServiceEntry that proxies have clusters for: none for UDP."""
    return [node for node in subject.spec["ports"].elements() if node["protocol"].text() != "UDP"]
