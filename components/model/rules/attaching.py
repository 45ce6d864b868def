"""Whether a gateway's listener takes a route: by its namespace, and by what routes of the Gateway API ask for."""

from collections.abc import Iterable

from .clusters import ClusterObjects
from .gateways import Listener, labels, namespace_labels
from .hosts import covers
from .nodes import Node
from .routes import Route


def admits(cluster: ClusterObjects, listener: Listener, namespace: str, hosts: Iterable[str]) -> bool | None:
    """Whether a listener takes routes of a namespace; None where it cannot be told, e.g. without its labels."""
    home = listener.source.namespace
    if listener.source.kind == "Gateway":
        pairs = cluster.once(("places", listener), lambda: _places(listener))
        if not pairs:
            return True
        near = [place for place, own in pairs if any(covers(own, host) or covers(host, own) for host in hosts)]
        places = {home if place == "." else place for place in near or [place for place, _ in pairs]}
        return not places.isdisjoint({"", "*", namespace})
    allowed = listener.node["allowedRoutes"]["namespaces"]
    chosen, found = allowed["from"].text("Same"), cluster.find("Namespace", "default", namespace)
    if chosen == "Same":
        return namespace == home
    if chosen != "Selector":
        return True
    if not found or allowed["selector"]["matchExpressions"].given:
        return None
    own = namespace_labels(namespace, found.root["metadata"]["labels"])
    return labels(allowed["selector"]["matchLabels"]).items() <= own.items()


def _places(listener: Listener) -> list[tuple[str, str]]:
    """Namespace and host of what a server of Istio's lists; nothing where no host is for one namespace."""
    pairs = [host.rpartition("/") for host in listener.node["hosts"].texts()]
    return [(place, own) for place, _, own in pairs] if any(place for place, _, _ in pairs) else []


def attached(route: Route, gateway: str, listener: Listener) -> bool:
    """Whether a route of the Gateway API asks for a listener that takes routes of its kind; true for any other."""
    if not route.native:
        return True
    kinds = listener.node["allowedRoutes"]["kinds"].elements()
    if kinds and route.source.kind not in {node["kind"].text() for node in kinds}:
        return False
    own = [each for each in route.owner.spec["parentRefs"].elements() if _names(route, each, gateway)]
    return not own or any(
        each["sectionName"].text(name) == name and each["port"].integer() in (None, listener.port)
        for each in own
        for name in [listener.node["name"].text()]
    )


def _names(route: Route, parent: Node, gateway: str) -> bool:
    namespace = parent["namespace"].text(route.owner.namespace)
    return parent["kind"].text("Gateway") == "Gateway" and f"{namespace}/{parent['name'].text()}" == gateway
