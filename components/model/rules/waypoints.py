"""Which waypoint stands before a Service: the one that its labels name, or else those of its Namespace.

Source: fetchWaypointForService of Istio's pilot; held against istiod itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..routing import service_host
from .attaching import admits
from .clusters import ClusterObjects
from .envoy import targets_of
from .gateways import WAYPOINT_CLASS, labels
from .objects import KubeObject

USE_WAYPOINT: Final = "istio.io/use-waypoint"
"""Label that names a waypoint."""

_USE_NAMESPACE: Final = f"{USE_WAYPOINT}-namespace"
_FOR: Final = "istio.io/waypoint-for"
_MANAGED: Final = "gateway.istio.io/managed"
_WAYPOINTS_OWN: Final = ("istio.io-mesh-controller", "istio.io-eastwest-controller")
_NONE: Final = "none"
_OF_SERVICES: Final = ("service", "all")
_TUNNEL: Final = 15008


@dataclass(frozen=True, kw_only=True, eq=False)
class Behind:
    """A Service that a waypoint stands before.

    Attributes:
        service: The Service.
        host: Its full name.
        sure: Whether the waypoint surely takes it: not where labels that are not at hand decide it.
    """

    service: KubeObject
    host: str
    sure: bool


def waypoint_of(cluster: ClusterObjects, namespace: str, service: KubeObject | None = None) -> str:
    """The waypoint of a Service, or of one that says nothing itself, as ``namespace/name``; empty for none.

    One whose Gateway is not at hand counts as there.
    """
    found = _named(cluster, namespace, service)
    return found if found and _takes(cluster, found, namespace) is not False else ""


def services_behind(cluster: ClusterObjects) -> Mapping[str, Sequence[Behind]]:
    """By waypoint the Services at hand that it stands before; those without an address it never does."""
    return cluster.once("behind waypoints", lambda: _behind(cluster))


def stands_before(cluster: ClusterObjects, waypoint: str, host: str) -> bool:
    """Whether a waypoint stands before the Service of a full name."""
    return any(each.host == host for each in services_behind(cluster).get(waypoint, ()))


def is_for(cluster: ClusterObjects, source: KubeObject, waypoint: str) -> bool:
    """Whether an EnvoyFilter is for a waypoint: by its name, or for all by their class."""
    of_class = ("GatewayClass", f"{cluster.root_namespace}/{WAYPOINT_CLASS}")
    return any(each in (of_class, ("Gateway", waypoint)) for each in targets_of(source))


def _named(cluster: ClusterObjects, namespace: str, service: KubeObject | None) -> str:
    own = labels(service.root["metadata"]["labels"]) if service else {}
    if own.get(_MANAGED) in _WAYPOINTS_OWN:
        return ""  # it leads to a waypoint itself
    around = cluster.find("Namespace", "default", namespace)
    said = own if USE_WAYPOINT in own or not around else labels(around.root["metadata"]["labels"])
    name = said.get(USE_WAYPOINT, _NONE)
    return "" if name == _NONE else f"{said.get(_USE_NAMESPACE, namespace)}/{name}"


def _takes(cluster: ClusterObjects, waypoint: str, namespace: str) -> bool | None:
    """Whether a waypoint takes Services of a namespace; None where it cannot be told. Source: makeAllowedRoutes."""
    place, _, name = waypoint.partition("/")
    gateway = cluster.find("KubernetesGateway", place, name)
    if gateway is None:
        return True
    if labels(gateway.root["metadata"]["labels"]).get(_FOR, _OF_SERVICES[0]) not in _OF_SERVICES:
        return False
    listeners = cluster.listeners.by_gateway.get(waypoint, ())
    tunnel = next((each for each in listeners if (each.protocol, each.port) == ("HBONE", _TUNNEL)), None)
    return admits(cluster, tunnel, namespace, ()) if tunnel else place == namespace


def _behind(cluster: ClusterObjects) -> dict[str, list[Behind]]:
    found: dict[str, list[Behind]] = {}
    for service in cluster.of("Service"):
        waypoint = waypoint_of(cluster, service.namespace, service)
        if waypoint and service.spec["type"].text() != "ExternalName":
            sure = _takes(cluster, waypoint, service.namespace) is True
            host = service_host(service.name, service.namespace)
            found.setdefault(waypoint, []).append(Behind(service=service, host=host, sure=sure))
    return found
