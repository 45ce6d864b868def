"""What sidecars and waypoints know of targets because routes lead there, and where they do not.

Written after collectImportedServices and filterWaypointOutboundServices of Istio's pilot, and held against istiod
itself.
"""

from collections.abc import Collection
from typing import Final

from .clusters import ClusterObjects
from .envoy import GATEWAY, SIDECAR
from .matching import asked
from .objects import KubeObject, exported, is_ambient
from .outlets import Outlet, own_hosts
from .placements import standing
from .policies import home
from .ports import port_nodes
from .reach import pattern_entry, service_entry
from .reaching import told_to_waypoint
from .references import left_out
from .routes import MESH, Route, Target
from .sharing import destinations
from .sidecar_ports import http_ports
from .visibility import EXPORT, sees_service
from .waypoints import stands_before

UNKNOWING: Final = "their Sidecar leaves it out, and no entry makes it known to them"
"""Why the sidecars that :func:`unknowing_sidecars` finds know no such host."""


def unknowing_waypoint(cluster: ClusterObjects, route: Route, host: str) -> str:
    """A waypoint that has an entry and no cluster for a host that it leads to; empty for none."""
    if not _is_defined(cluster, host) or cluster.refuses(route):
        return ""  # nobody has it
    waypoints = {each.outlet.waypoint for each in standing(cluster, route).placements} - {""}
    return next((each for each in sorted(waypoints) if not _waypoint_knows(cluster, each, host)), "")


def _waypoint_knows(cluster: ClusterObjects, waypoint: str, host: str) -> bool:
    """Whether a waypoint has a cluster for a host.

    Hosts of ServiceEntries it has for what routes say alone, those of its own namespace as well.
    """
    named = (
        _leads_to(cluster, route, host) and any(stands_before(cluster, waypoint, own) for own in own_hosts(route))
        for route in cluster.routing.routes
        if MESH in route.bound and _is_there(cluster, route)
    )
    return stands_before(cluster, waypoint, host) or any(named) or told_to_waypoint(cluster, waypoint, host)


def unknowing_sidecars(cluster: ClusterObjects, route: Route, target: Target) -> str:
    """Namespace whose sidecars have an entry and no cluster for a host that it leads to; empty for none."""
    host = target.host
    if not cluster.scopes.narrow or not _is_defined(cluster, host):
        return ""
    placed = [each.outlet for each in standing(cluster, route).placements]
    places = sorted({each.namespace for each in placed if each.context == SIDECAR})
    return next((each for each in places if not _sidecars_know(cluster, route, each, target)), "")


def _sidecars_know(cluster: ClusterObjects, route: Route, namespace: str, target: Target) -> bool:
    """Whether the sidecars of a namespace, which have an entry, have a cluster for a host that it leads to.

    Where their Sidecar leaves it out, they have none for an entry that names other namespaces in its matches and not
    theirs: istiod asks it not where it leads, even where another match of it lets them through. A listener for one port
    makes that port known alone.
    """
    host, scopes = target.host, cluster.scopes
    ports = cluster.ports_of(host) if target.port is None else (target.port,)
    if scopes.takes_in(namespace, host, home(cluster, host, namespace), ports=ports):
        return True
    # An entry that leads to an alias makes the alias known, and not what it stands for.
    told = _leads_to(cluster, route, host) and _tells(route, namespace)
    return (told and scopes.takes_route(namespace, route, ports=ports)) or led_to(cluster, namespace, host, ports)


def _is_defined(cluster: ClusterObjects, host: str) -> bool:
    return bool(port_nodes(cluster, host)) and not pattern_entry(cluster, host)


def unknown_at(cluster: ClusterObjects, route: Route, outlet: Outlet, target: Target) -> str:
    """Why proxies that have an entry have no cluster for a host that is defined; empty where they have one."""
    host = target.host
    if outlet.waypoint:
        if not _waypoint_knows(cluster, outlet.waypoint, host):
            return f"the waypoint {outlet.waypoint} knows no {host}"
        if _mistakes(cluster, outlet, target):
            return f"the waypoint {outlet.waypoint} does not see {host}, and takes its port {target.port} for HTTP"
        return ""
    if hidden_by_exports(cluster, host, (outlet.context, outlet.namespace)):
        return f"proxies in {outlet.namespace} do not see {host}"
    narrow = outlet.context == SIDECAR and cluster.scopes.narrow
    if narrow and not _sidecars_know(cluster, route, outlet.namespace, target):
        return f"sidecars in {outlet.namespace} know no {host}: {UNKNOWING}"
    return ""


def _mistakes(cluster: ClusterObjects, outlet: Outlet, target: Target) -> bool:
    """Whether a waypoint has another cluster for a port of its own Service than its routes name.

    It calls each port after what it carries; of a Service that is not exported to it, its routes call all HTTP.
    """
    service = cluster.service(target.host)
    if service is None or sees_service(outlet.namespace, service) or not target.port:
        return False
    own = stands_before(cluster, outlet.waypoint, target.host)
    return own and target.port not in http_ports(cluster, target.host, outlet.namespace)


def hidden_by_exports(cluster: ClusterObjects, host: str, sender: tuple[str, str]) -> KubeObject | None:
    """The Service or ServiceEntry of a host whose exports hide it from a sender; None where they do not.

    What is in their own namespace sidecars have where a VirtualService of theirs leads there, whoever sees it; what is
    exported to nobody has no endpoints there. Gateways share what istiod made for the sidecars of their namespace,
    where no Sidecar is for those. Source: collectImportedServices and doGetSidecarScope of Istio's pilot.
    """
    context, namespace = sender
    service = cluster.service(host)
    subject = service or service_entry(cluster, host, namespace)
    if subject is None or (sees_service(namespace, subject) if service else exported(subject, namespace)):
        return None
    exports = subject.annotation(EXPORT) if service else subject.exported_to
    shares = context == SIDECAR or (context == GATEWAY and _shares_with_sidecars(cluster, namespace))
    own = shares and subject.namespace == namespace and "~" not in exports
    return None if own and led_to(cluster, namespace, host, context=context) else subject


def _shares_with_sidecars(cluster: ClusterObjects, namespace: str) -> bool:
    ambient = is_ambient(cluster.find("Namespace", "default", namespace))
    return cluster.scopes.of(namespace) is None and not ambient and namespace != cluster.root_namespace


def led_to(
    cluster: ClusterObjects,
    namespace: str,
    host: str,
    ports: Collection[int] | None = None,
    *,
    context: str = SIDECAR,
) -> bool:
    """Whether some entry for the mesh makes a target known to the proxies of a namespace.

    Args:
        cluster: Their cluster.
        namespace: The namespace.
        host: The target's host.
        ports: Ports of it one of which must be known; None for any.
        context: Kind of proxy: what a Sidecar hides it hides from sidecars alone.
    """
    return any(
        MESH in route.bound
        and _leads_to(cluster, route, host)
        and exported(route.owner, namespace)
        and (context != SIDECAR or cluster.scopes.takes_route(namespace, route, ports=ports))
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
