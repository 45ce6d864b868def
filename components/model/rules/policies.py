"""Which DestinationRule governs a mirror, and what it says."""

from dataclasses import dataclass, field
from typing import Final

from .clusters import ClusterObjects
from .envoy import GATEWAY, SIDECAR
from .nodes import Node
from .objects import KubeObject, exported, service_name
from .reach import service_entry
from .sites import MESH, Route, Target

_NOTHING: Final = Node(None)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What governs requests to a target.

    Attributes:
        rule: The DestinationRule; None when none is in reach.
        subset: Its subset; nothing when the target has none, or the rule lacks it.
        layers: Traffic policies, the most specific first; a later one fills in what an earlier one leaves out.
    """

    rule: KubeObject | None
    subset: Node = field(default=_NOTHING, repr=False)
    layers: tuple[Node, ...] = field(default=(), repr=False)

    def setting(self, *path: str) -> Node:
        """A setting; Istio merges layers by their first key only."""
        for layer in self.layers:
            if layer[path[0]].given:
                return layer.at(*path)
        return _NOTHING

    @property
    def tls_mode(self) -> str:
        """How connections are secured; empty when nothing is said."""
        return self.setting("tls", "mode").text().upper()


def proxies(cluster: ClusterObjects, route: Route) -> list[tuple[str, str]]:
    """Who sends a route's mirrors: kind of proxy and namespace, for each gateway and for sidecars."""
    return cluster.once(("proxies", route), lambda: _proxies(cluster, route))


def _proxies(cluster: ClusterObjects, route: Route) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for gateway in route.gateways:
        if gateway == MESH:
            found[SIDECAR, route.source.namespace] = None
        else:
            found |= {(GATEWAY, namespace): None for namespace in cluster.gateway_namespaces(gateway)}
    return list(found)


def home(cluster: ClusterObjects, host: str, namespace: str = "") -> str:
    """Namespace of the Service, or of the ServiceEntry that ``namespace`` sees, behind a host; empty for none."""
    service = service_name(host)
    if service:
        return service[1]
    entry = service_entry(cluster, host, namespace)
    return entry.namespace if entry else ""


def policy(cluster: ClusterObjects, target: Target, namespace: str) -> Policy:
    """What governs requests to ``target`` from a proxy in ``namespace``.

    Istio looks in the proxy's namespace, then in the Service's, then in the root namespace, and takes the first
    DestinationRule that it finds. Source: PushContext.destinationRule.
    """
    return cluster.once(("policy", target.cluster_name, namespace), lambda: _find(cluster, target, namespace))


def _find(cluster: ClusterObjects, target: Target, namespace: str) -> Policy:
    first = () if namespace == cluster.root_namespace else (namespace,)
    rules = list(cluster.destination_rules.covering(target.host))
    for place in (*first, home(cluster, target.host, namespace), cluster.root_namespace) if rules else ():
        for rule in rules:
            if rule.namespace == place and exported(rule, namespace):
                return _policy(rule, target)
    return Policy(rule=None)


def _policy(rule: KubeObject, target: Target) -> Policy:
    spec = rule.spec
    subset = next((node for node in spec["subsets"].elements() if node["name"].text() == target.subset), _NOTHING)
    layers: list[Node] = []
    for holder in (subset, spec):
        whole = holder["trafficPolicy"]
        port = _of_port(whole, target.port)
        if port:
            # Settings of a port stand alone: nothing is inherited below them.
            layers.append(port)
            break
        layers.append(whole)
    return Policy(rule=rule, subset=subset, layers=tuple(layer for layer in layers if layer.given))


def _of_port(whole: Node, port: int | None) -> Node | None:
    settings = whole["portLevelSettings"].elements()
    return next((node for node in settings if port is not None and node["port"]["number"].integer() == port), None)
