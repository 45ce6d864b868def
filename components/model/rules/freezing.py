"""The rule on EnvoyFilters whose routes Envoy refuses, so that everybody's stay as they are."""

from collections.abc import Iterator

from .clusters import ClusterObjects
from .envoy import ADDING, GATEWAY, SIDECAR, Patch
from .nodes import Node
from .objects import KubeObject
from .outlets import Outlet, listening, own_outlets
from .patching import fits, fits_host, fits_outlet, reaches, release, routes_for
from .placements import Placement, refusable
from .reaching import asks_for_default, gateways_reached, meets_inbound, proxies_at_hand, sidecars_reached
from .registry import Case, Report, Scope, Severity, object_rule, problem
from .routes import ROUTE, Route
from .targets import left_out


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-refused-routes",
    title="Envoy takes the routes that a patch makes",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Envoy refuses a route without a match or without a destination, and with it the whole route configuration: the"
    " routes of everybody stay as they are, in silence. Of what proxies take in it refuses the whole listener.",
    source="Measured; https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Use MERGE_AND_REPLACE_LIST on an entry that sends its requests on, or give a new route match and cluster",
)
def refused_routes(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report new routes that are incomplete, and mirrors for entries that redirect or answer themselves."""
    found = [each for each in case.cluster.patches.of_source(subject) if each.kind == "HTTP_ROUTE"]
    for patch in found:
        if not patch.fits_release(release(case.cluster)):
            continue
        if patch.operation in ADDING:
            lacking = _lacking(patch)
            if lacking and (_adds_inbound(case.cluster, patch) or _adds(case, patch)):
                message = f"{patch.operation} makes a route without {lacking}"
                yield problem(subject, patch.node["patch"], message, likely=not proxies_at_hand(case.cluster, patch))
        elif patch.merges:
            for route in routes_for(case.cluster, patch):
                met = route.action != ROUTE and patch.value["route"].given and _met(case, patch, route)
                if met:
                    message = f"{route.entry.path} of {route.source} sends nothing on, and Envoy cannot mirror it"
                    yield problem(subject, patch.node["patch"], message, likely=not any(each.sure for each in met))
                    break


def _met(case: Case, patch: Patch, route: Route) -> list[Placement]:
    """Where a patch is for an entry at some proxy that has it."""
    return [each for each in _places(case, patch, route) if fits(patch, each)]


def _places(case: Case, patch: Patch, route: Route) -> Iterator[Placement]:
    """Where proxies that a patch reaches have an entry; one that is left out or refused they have nowhere."""
    cluster = case.cluster
    if left_out(case, route) or cluster.refusals(route.owner):
        return
    for each in refusable(cluster, route):
        gone = cluster.complete and each.outlet.gateway and not cluster.gateways.named(each.outlet.gateway)
        if not gone and reaches(cluster, patch, route, each.outlet):
            yield each


def _lacking(patch: Patch) -> str:
    """What a new route lacks for Envoy to take it; empty for nothing."""
    match, value = patch.value["match"], patch.value
    paths = ("prefix", "path", "safe_regex", "safeRegex", "path_separated_prefix", "pathSeparatedPrefix")
    if not any(match[key].given for key in (*paths, "connect_matcher", "path_match_policy")):
        return "a match of its path"
    route = value["route"]
    ways = ("cluster", "weighted_clusters", "weightedClusters", "cluster_header", "clusterHeader")
    if route.given and not any(route[key].given for key in ways):
        return "a cluster"
    acts = ("route", "redirect", "direct_response", "directResponse", "non_forwarding_action", "filter_action")
    return "" if any(value[key].given for key in acts) else "an action"


def _adds(case: Case, patch: Patch) -> bool:
    """Whether a patch that makes a route finds a place for it among the routes by which requests are sent on."""
    match = patch.match["routeConfiguration"]
    beside_none = _stands_beside_none(patch)
    if SIDECAR in patch.contexts and _adds_to_sidecars(case.cluster, patch, beside_none=beside_none):
        return True
    if GATEWAY in patch.contexts and beside_none and not _names_a_host(match):
        found = any(fits_outlet(match, each) for each in _listening(case.cluster, patch))
        if found or not case.cluster.complete:
            return True
    for route in case.cluster.routing.routes if beside_none else routes_for(case.cluster, patch):
        for each in _places(case, patch, route):
            if fits_host(patch, each.outlet) if beside_none else fits(patch, each):
                return True
    return False


def _stands_beside_none(patch: Patch) -> bool:
    """Whether the new route needs no other one that its match is for."""
    return patch.operation == "ADD" or not patch.match["routeConfiguration"]["vhost"]["route"].given


def _names_a_host(match: Node) -> bool:
    return match["vhost"]["name"].given or match["vhost"]["domainName"].given


def _adds_to_sidecars(cluster: ClusterObjects, patch: Patch, *, beside_none: bool) -> bool:
    """Whether it finds one among what sidecars have of Services by themselves, or for all that they do not know."""
    match = patch.match["routeConfiguration"]
    if not (beside_none or asks_for_default(patch)):
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


def _adds_inbound(cluster: ClusterObjects, patch: Patch) -> bool:
    """Whether a patch that makes a route finds a place for it where proxies take requests in."""
    return (_stands_beside_none(patch) or asks_for_default(patch)) and meets_inbound(cluster, patch)
