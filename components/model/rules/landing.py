"""Whether patches that make routes, or change virtual hosts, find a place at some proxy.

Written after rc_patch.go of Istio's pilot, and held against istiod itself.
"""

from collections.abc import Iterator

from .clusters import ClusterObjects
from .envoy import GATEWAY, SIDECAR, VIRTUAL_HOST, Patch
from .nodes import Node
from .outlets import Outlet, listening, own_outlets
from .patching import fits, fits_host, fits_outlet, reaches, routes_for
from .placements import Placement, refusable
from .reaching import asks_for_default, gateways_reached, meets_inbound, sidecars_reached
from .registry import Case
from .routes import Route


def lands(case: Case, patch: Patch) -> bool | None:
    """Whether a patch that makes a route, or changes virtual hosts, finds a place for it; None where it only may."""
    inbound = (_stands_beside_none(patch) or asks_for_default(patch.match)) and meets_inbound(case.cluster, patch)
    found = inbound or _lands_outbound(case, patch)
    return None if found and case.cluster.patches.removes_places else found  # one of these may be its place


def places(case: Case, patch: Patch, route: Route) -> Iterator[Placement]:
    """Where proxies that a patch reaches have an entry; one that is refused they have nowhere."""
    cluster = case.cluster
    if cluster.refuses(route):
        return
    for each in refusable(cluster, route):
        gone = cluster.complete and each.outlet.gateway and not cluster.gateways.named(each.outlet.gateway)
        if not gone and reaches(cluster, patch, route, each.outlet):
            yield each


def _lands_outbound(case: Case, patch: Patch) -> bool | None:
    """Whether it does where proxies send requests on; None where it only may."""
    match = patch.match["routeConfiguration"]
    beside_none = _stands_beside_none(patch)
    if SIDECAR in patch.contexts and _lands_at_sidecars(case.cluster, patch, beside_none=beside_none):
        return True
    if GATEWAY in patch.contexts and beside_none and not _names_a_host(match):
        found = any(fits_outlet(match, each) for each in _listening(case.cluster, patch))
        if found or not case.cluster.complete:
            return True
    found: bool | None = False
    for route in case.cluster.routing.routes if beside_none else routes_for(case.cluster, patch):
        for each in places(case, patch, route):
            if fits_host(patch, each.outlet) if beside_none else fits(patch, each):
                if each.sure:
                    return True
                found = None
    return found


def _stands_beside_none(patch: Patch) -> bool:
    """Whether it needs no route that its match is for: of virtual hosts, or of a new route at an end of one."""
    of_hosts = patch.kind == VIRTUAL_HOST
    return of_hosts or patch.operation == "ADD" or not patch.match["routeConfiguration"]["vhost"]["route"].given


def _names_a_host(match: Node) -> bool:
    return match["vhost"]["name"].given or match["vhost"]["domainName"].given


def _lands_at_sidecars(cluster: ClusterObjects, patch: Patch, *, beside_none: bool) -> bool:
    """Whether it finds one among what sidecars have of Services by themselves, or for all that they do not know."""
    match = patch.match["routeConfiguration"]
    if not (beside_none or asks_for_default(patch.match)):
        return False
    for namespace in sidecars_reached(cluster, patch):
        if not cluster.complete and not _names_a_host(match):
            return True
        for outlet in own_outlets(cluster, namespace):
            if fits_host(patch, outlet) if _names_a_host(match) else fits_outlet(match, outlet):
                return True
    return False


def _listening(cluster: ClusterObjects, patch: Patch) -> Iterator[Outlet]:
    """What gateways that a patch reaches have for each of their listeners."""
    for gateway in gateways_reached(cluster, patch):
        yield from listening(cluster, gateway)
