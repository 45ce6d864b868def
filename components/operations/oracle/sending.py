"""Which of a mirror's renderings say something of it: those that somebody calls, at proxies that the route is for."""

from typing import Final

from ...model.routing import CLUSTER_DOMAIN
from ...model.rules import ClusterObjects, MirrorEntry
from ...model.rules.envoy import GATEWAY, SIDECAR, WAYPOINT
from ...model.rules.hosts import covers
from ...model.rules.outlets import callers, own_hosts
from ...model.rules.policies import proxies
from .answers import MirrorFact
from .question import Proxy, ProxyKind
from .rendered import Rendering, copies, leads_to

CONTEXTS: Final = {ProxyKind.GATEWAY: GATEWAY, ProxyKind.SIDECAR: SIDECAR, ProxyKind.WAYPOINT: WAYPOINT}
"""What rules call each kind of proxy."""

WAYPOINT_PARTS: Final = 4
"""Parts of the name of a waypoint's configuration for a Service, of which port and host are the second and last."""


def is_called(cluster: ClusterObjects, mirror_entry: MirrorEntry, found: Rendering) -> bool:
    """Whether requests may come to a rendering of a mirror's entry.

    Sidecars have virtual hosts for every VirtualService on ports where any Service is, and so on ports that the
    host's own Service lacks. Nobody calls those, nor the Services that Istio makes for gateways, nor by matches that
    no request meets; and nobody is known in namespaces without any workload or Service that the route does not name.
    """
    match = found.route["match"].replace(" ", "")
    if '"invertMatch":true' in match and '"regex":".*"' in match:
        return False  # every request has the header that it must not have
    if found.proxy.kind is ProxyKind.GATEWAY:
        return True
    own = callers(cluster.routing.of_owner(mirror_entry.route.owner))
    if found.proxy.kind is ProxyKind.SIDECAR and found.proxy.namespace not in {*cluster.namespaces, *own}:
        return False
    host, port = _called(found)
    inside = host.startswith("*") and host.endswith(CLUSTER_DOMAIN)
    made = host.endswith(CLUSTER_DOMAIN) and host not in (*cluster.registered_hosts, *own_hosts(mirror_entry.route))
    if made and not inside:
        return False
    beside = {each["name"] for each in found.config["hosts"] or []}
    taken = (each for each in cluster.registered_hosts if covers(host, each) and f"{each}:{port}" not in beside)
    known = list(taken) if inside else [host]
    numbers = [number for each in known for number in cluster.ports_of(each)] if port.isdigit() else []
    if not numbers and any(map(cluster.service, known)):
        return False  # of a Service without any port that carries requests
    return int(port) in numbers if numbers else not inside


def _called(found: Rendering) -> tuple[str, str]:
    """Host and port that a rendering is for."""
    parts = found.config["name"].split("|")
    if found.proxy.kind is ProxyKind.WAYPOINT and len(parts) == WAYPOINT_PARTS:
        return parts[3], parts[1]
    host, _, port = found.host["name"].rpartition(":")
    return host, port


def is_counted(cluster: ClusterObjects, mirror_entry: MirrorEntry, proxy: Proxy) -> bool:
    """Whether a proxy is one that a mirror's route is for: its gateways, and sidecars of namespaces that it names.

    Sidecars of other namespaces may have it as well, and whether anybody calls from there is not known.
    """
    if proxy.kind is ProxyKind.GATEWAY and proxy.gateway not in mirror_entry.route.gateways:
        return False
    return (CONTEXTS[proxy.kind], proxy.namespace) in proxies(cluster, mirror_entry.route)


def own_copies(cluster: ClusterObjects, mirror_entry: MirrorEntry, found: Rendering) -> list[MirrorFact]:
    """A mirror's policies in a rendering; of one without a port not those that another one with a port has."""
    if found.route["action"] != "route":
        return []  # a virtual host's mirrors are there for others
    own = [each for each in copies(found, mirror_entry) if each["share"] > 0]
    if mirror_entry.target.port is not None:
        return own
    together = cluster.routing.of_route(mirror_entry.route)
    others = [each.target for each in together if each.target.port is not None]
    alone = [each for each in own if not any(leads_to(each["cluster"], other) for other in others)]
    if found.proxy.kind is not ProxyKind.SIDECAR:
        return alone or own
    port = found.host["name"].rpartition(":")[2]
    return [each for each in alone or own if each["cluster"].split("|")[1] == port]
