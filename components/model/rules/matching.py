"""Which senders the matches of an entry let through.

Written after sourceMatchHTTP of Istio's pilot, and held against istiod itself.
"""

from .clusters import ClusterObjects
from .conditions import Condition, conditions
from .envoy import WAYPOINT
from .objects import exported
from .routes import Route, gateway_name


def asked(route: Route) -> list[Condition] | str:
    """The matches of an Istio entry, or why Istio leaves it out, which then is nowhere and leads nowhere."""
    home = route.owner.namespace
    if route.source is not route.owner and not exported(route.source, home):
        return f"{route.source} does not export itself to {home}, whose {route.owner} delegates to it"
    found = conditions(route)
    return "its match lies outside that of the entry that delegates to it" if found is None else found


def meets(
    cluster: ClusterObjects,
    route: Route,
    condition: Condition,
    *,
    context: str,
    namespace: str,
    gateway: str,
    port: int | None,
) -> bool | None:
    """Whether a match lets through what some proxies send on; None where it cannot be told.

    Args:
        cluster: Their cluster.
        route: The entry.
        condition: The match.
        context: Kind of proxy, as EnvoyFilters name it.
        namespace: Their namespace.
        gateway: The gateway as ``namespace/name``; :data:`~.routes.MESH` for sidecars and waypoints.
        port: Port that is called; None where it is not known.
    """
    if not condition.asks_for_sender:
        return True
    certain = True
    wanted_port = condition["port"].integer()
    if wanted_port:
        if port is None:
            certain = False
        elif port != wanted_port:
            return False
    named = [(node["gateways"].texts(), place) for node, place in condition.parts]
    for names, place in named:
        if names:
            bound = {gateway_name(each, place) for each in names}
            return (True if certain else None) if gateway in bound else False
    wanted = condition["sourceNamespace"].text()
    labels = {
        key: value.text() for node, _ in reversed(condition.parts) for key, value in node["sourceLabels"].entries()
    }
    if (wanted and wanted != namespace) or (labels and context == WAYPOINT):  # waypoints know no labels
        return False
    chosen = cluster.gateways.chooses(labels, context, namespace, route)
    if chosen is False:
        return False
    return True if chosen and certain else None
