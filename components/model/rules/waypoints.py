"""Which waypoint stands before a Service: the one that its labels name, or else those of its Namespace.

Source: fetchWaypointForService of Istio's pilot; held against istiod itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ..routing import service_host
from .attaching import admits
from .clusters import ClusterObjects
from .envoy import targets_of
from .gateways import WAYPOINT_CLASS, labels
from .hosts import covers
from .nodes import Node, NotJudgedError
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
        waypoint: The waypoint as ``namespace/name``.
        sure: Whether the waypoint surely takes it: not where labels that are not at hand decide it.
    """

    service: KubeObject
    host: str
    waypoint: str
    sure: bool


def waypoint_of(cluster: ClusterObjects, namespace: str, service: KubeObject | None = None) -> str:
    """The waypoint of a Service, or of one that says nothing itself, as ``namespace/name``; empty for none.

    One whose Gateway is not at hand counts as there: files often lack what Istio's command makes.
    """
    found = _named(cluster, namespace, service)
    return found if found and _takes(cluster, found, namespace) is not False else ""


def services_behind(cluster: ClusterObjects, waypoint: str) -> Sequence[Behind]:
    """The Services at hand that a waypoint stands before; those without an address none ever does."""
    return cluster.once("by waypoint", lambda: _by_waypoint(cluster)).get(waypoint, ())


def behind_any(cluster: ClusterObjects, host: str) -> Sequence[Behind]:
    """The Services at hand of a host, or of all that a pattern covers, that some waypoint stands before.

    Raises:
        NotJudgedError: The labels of the Service of the host are not known yet.
    """
    if host.startswith("*"):
        return [each for each in _all(cluster) if covers(host, each.host)]
    found = _of_host(cluster, host)
    return [found] if found else []


def stands_before(cluster: ClusterObjects, waypoint: str, host: str) -> bool:
    """Whether a waypoint stands before the Service of a full name."""
    found = _of_host(cluster, host)
    return found is not None and found.waypoint == waypoint


def is_for(cluster: ClusterObjects, source: KubeObject, waypoint: str) -> bool:
    """Whether an EnvoyFilter is for a waypoint: by its name, or for all by their class."""
    of_class = ("GatewayClass", f"{cluster.root_namespace}/{WAYPOINT_CLASS}")
    return any(each in (of_class, ("Gateway", waypoint)) for each in targets_of(source))


def _named(cluster: ClusterObjects, namespace: str, service: KubeObject | None) -> str:
    nothing = Node(None)
    own = service.root["metadata"]["labels"] if service else nothing
    if own[_MANAGED].text() in _WAYPOINTS_OWN:
        return ""  # it leads to a waypoint itself
    around = None if own[USE_WAYPOINT].given else cluster.find("Namespace", "default", namespace)
    said = around.root["metadata"]["labels"] if around else own
    name = said[USE_WAYPOINT].text(_NONE)
    return "" if name in ("", _NONE) else f"{said[_USE_NAMESPACE].text(namespace)}/{name}"


def _takes(cluster: ClusterObjects, waypoint: str, namespace: str) -> bool | None:
    """Whether a waypoint takes Services of a namespace; None where it cannot be told. Source: makeAllowedRoutes."""
    place, _, name = waypoint.partition("/")
    gateway = cluster.find("KubernetesGateway", place, name)
    if gateway is None:
        return True
    if cluster.is_refused(gateway):
        return False
    if labels(gateway.root["metadata"]["labels"]).get(_FOR, _OF_SERVICES[0]) not in _OF_SERVICES:
        return False
    listeners = cluster.listeners.by_gateway.get(waypoint, ())
    tunnel = next((each for each in listeners if (each.protocol, each.port) == ("HBONE", _TUNNEL)), None)
    return admits(cluster, tunnel, namespace, ()) if tunnel else place == namespace


def _of_host(cluster: ClusterObjects, host: str) -> Behind | None:
    service = cluster.service(host)
    return cluster.once(("behind waypoint", host), lambda: _behind(cluster, service)) if service else None


def _all(cluster: ClusterObjects) -> Sequence[Behind]:
    """All Services behind waypoints but for those of which it is not known yet."""
    return cluster.once("behind waypoints", lambda: list(_known(cluster)))


def _known(cluster: ClusterObjects) -> Iterator[Behind]:
    for service in cluster.of("Service"):
        with suppress(NotJudgedError):
            if found := _of_host(cluster, service_host(service.name, service.namespace)):
                yield found


def _by_waypoint(cluster: ClusterObjects) -> Mapping[str, Sequence[Behind]]:
    found: dict[str, list[Behind]] = {}
    for each in _all(cluster):
        found.setdefault(each.waypoint, []).append(each)
    return found


def _behind(cluster: ClusterObjects, service: KubeObject) -> Behind | None:
    waypoint = waypoint_of(cluster, service.namespace, service)
    if not waypoint or service.spec["type"].text() == "ExternalName":
        return None
    sure = _takes(cluster, waypoint, service.namespace) is True
    host = service_host(service.name, service.namespace)
    return Behind(service=service, host=host, waypoint=waypoint, sure=sure)
