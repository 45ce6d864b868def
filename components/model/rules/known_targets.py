"""What sidecars and waypoints know of targets because routes lead there, and where they do not.

Written after collectImportedServices and filterWaypointOutboundServices of Istio's pilot, and held against istiod
itself.
"""

from typing import Final

from .clusters import ClusterObjects
from .envoy import SIDECAR
from .mirror_entries import MirrorEntry
from .outlets import own_hosts
from .placements import asked, standing
from .policies import home
from .ports import port_nodes
from .reach import pattern_entry
from .reaching import told_to_waypoint
from .references import left_out
from .routes import MESH, Route
from .sharing import destinations
from .visibility import sees_route
from .waypoints import stands_before

UNKNOWING: Final = "their Sidecar leaves it out, and the entry's matches name others"
"""Why the sidecars that :func:`unknowing_sidecars` finds know no such host."""


def unknowing_waypoint(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """A waypoint that sends a mirror and has no cluster for its target; empty for none.

    Hosts of ServiceEntries it has for what routes say alone, those of its own namespace as well.
    """
    host = mirror_entry.target.host
    if not port_nodes(cluster, host) or pattern_entry(cluster, host) or cluster.refuses(mirror_entry.route):
        return ""  # nobody has it
    placed = standing(cluster, mirror_entry.route).placements
    for waypoint in sorted({each.outlet.waypoint for each in placed} - {""}):
        named = any(
            _leads_to(cluster, route, host) and any(stands_before(cluster, waypoint, own) for own in own_hosts(route))
            for route in cluster.routing.routes
            if MESH in route.bound and _is_there(cluster, route)
        )
        own = stands_before(cluster, waypoint, host)
        if not own and not named and not told_to_waypoint(cluster, waypoint, host):
            return waypoint
    return ""


def unknowing_sidecars(cluster: ClusterObjects, route: Route, host: str) -> str:
    """Namespace whose sidecars have an entry and no cluster for a host that it leads to; empty for none.

    Their Sidecar leaves it out, and istiod asks no entry where that leads which names other namespaces in its matches
    and not theirs, even where another match of it lets them through.
    """
    if not cluster.scopes.narrow or not port_nodes(cluster, host) or pattern_entry(cluster, host):
        return ""
    placed = [each.outlet for each in standing(cluster, route).placements]
    for place in sorted({each.namespace for each in placed if each.context == SIDECAR}):
        hidden = not cluster.scopes.takes_in(place, host, home(cluster, host, place))
        if hidden and not _tells(route, place) and not led_to(cluster, place, host):
            return place
    return ""


def led_to(cluster: ClusterObjects, namespace: str, host: str) -> bool:
    """Whether some entry makes a target known to the sidecars of a namespace."""
    return any(
        MESH in route.bound
        and _leads_to(cluster, route, host)
        and sees_route(namespace, route, cluster.scopes)
        and _is_there(cluster, route)
        and _tells(route, namespace)
        for route in cluster.routing.routes
    )


def _is_there(cluster: ClusterObjects, route: Route) -> bool:
    """Whether Istio has an entry: neither refused nor left out, with all of its route or by the one that delegates."""
    if cluster.refuses(route):
        return False
    return not left_out(cluster, route, at_gateway=False) if route.native else not isinstance(asked(route), str)


def _leads_to(cluster: ClusterObjects, route: Route, host: str) -> bool:
    mirrored = (each.target for each in cluster.routing.of_route(route))
    return any(each.host == host for each in (*mirrored, *destinations(route)))


def _tells(route: Route, namespace: str) -> bool:
    """Whether sidecars of a namespace know where an entry leads: those that its matches name, or all without names.

    Source: virtualServiceDestinationsFilteredBySourceNamespace.
    """
    found = "" if route.native else asked(route)
    matches = () if isinstance(found, str) else found
    named = {each["sourceNamespace"].text() for each in matches} - {""}
    return not named or namespace in named
