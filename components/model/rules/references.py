"""References of routes: Services that are not there, and targets in namespaces that grant nothing.

Written after buildDestination of Istio's pilot, and held against istiod itself.
"""

from contextlib import suppress

from .clusters import ClusterObjects
from .envoy import GATEWAY
from .grants import is_granted
from .mirror_entries import MirrorEntry
from .nodes import NotJudgedError
from .objects import service_name
from .outlets import Outlet
from .reach import service_entry
from .routes import Route
from .sidecar_ports import may_be_elsewhere


def unknown_service(cluster: ClusterObjects, host: str) -> bool:
    """Whether a host is a Service's that should be at hand and is not."""
    if host.startswith("*") or not service_name(host) or not cluster.complete or cluster.service(host):
        return False
    return not service_entry(cluster, host) and not may_be_elsewhere(cluster, host)


def written_at(cluster: ClusterObjects, mirror_entry: MirrorEntry, outlet: Outlet) -> bool:
    """Whether Istio writes a mirror at an outlet at all; where it cannot be told it counts as written.

    Of the Gateway API's routes it leaves those out whose target is not there, or is granted to no gateway.
    """
    if mirror_entry.route.native:
        with suppress(NotJudgedError):
            if unknown_service(cluster, mirror_entry.target.host):
                return False
            return not (outlet.context == GATEWAY and ungranted(cluster, mirror_entry))
    return True


def left_out(cluster: ClusterObjects, route: Route, *, at_gateway: bool) -> str:
    """What keeps Istio from taking a GRPCRoute: a mirror to nothing, at whichever of its rules, even one that rests.

    It is not so for an HTTPRoute. Source: convertGRPCRoute and computeRoute of Istio's pilot.
    """
    if route.source.kind != "GRPCRoute":
        return ""
    routing = cluster.routing
    for mirror_entry in (each for rule in routing.of_owner(route.owner) for each in routing.of_route(rule)):
        refused = at_gateway and ungranted(cluster, mirror_entry)
        if refused or unknown_service(cluster, mirror_entry.target.host):
            return f"the mirror of {mirror_entry.route.entry.path} to {mirror_entry.target.host}"
    return ""


def ungranted(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Why a gateway leaves a mirror out that nothing grants its target in another namespace; empty where it does not.

    Raises:
        NotJudgedError: None of the grants at hand does, and one's namespace is not known yet.
    """
    service, own = service_name(mirror_entry.target.host), mirror_entry.source
    if not (mirror_entry.route.native and mirror_entry.at_gateway and cluster.complete and service):
        return ""
    name, namespace = service
    kind = mirror_entry.destination["kind"].text("Service")
    if is_granted(cluster, own, kind, name, namespace):
        return ""
    return f"no ReferenceGrant in {namespace} lets {own.kind}s of {own.namespace} refer to {kind} {name}"
