"""The rule on EnvoyFilters whose routes Envoy refuses, so that everybody's stay as they are."""

from collections.abc import Iterator

from .envoy import ADDING, VIRTUAL_HOST, Patch
from .landing import lands, places
from .objects import KubeObject
from .patching import fits, release, routes_for
from .placements import Placement
from .reaching import proxies_at_hand
from .registry import Case, Report, Scope, Severity, object_rule, problem
from .routes import ROUTE, Route


@object_rule(
    kinds=("EnvoyFilter",),
    rule_id="envoy-filter-refused-routes",
    title="Envoy takes the routes that a patch makes",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Envoy refuses a route without a match or without a destination, and a mirror that is not complete, and with it"
    " the whole route configuration: the routes of everybody stay as they are, in silence. Of what proxies take in it"
    " refuses the whole listener.",
    source="Measured; https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Use MERGE_AND_REPLACE_LIST on an entry that sends its requests on, or give a new route match and cluster",
)
def refused_routes(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report what is incomplete of new routes, hosts and mirrors, and mirrors for entries that send nothing on."""
    found = [each for each in case.cluster.patches.of_source(subject) if each.kind in ("HTTP_ROUTE", VIRTUAL_HOST)]
    for patch in found:
        if not patch.fits_release(release(case.cluster)):
            continue
        made = _made_without(patch) if patch.operation in ADDING else ""
        fault = made or (_unfinished(patch) if patch.operation in ADDING or patch.merges else "")
        landing = lands(case, patch) if fault else False
        if landing is not False:
            likely = landing is None or not proxies_at_hand(case.cluster, patch)
            yield problem(subject, patch.node["patch"], fault, likely=likely)
        elif patch.merges and patch.kind != VIRTUAL_HOST:
            for route in routes_for(case.cluster, patch):
                met = route.action != ROUTE and patch.value["route"].given and _met(case, patch, route)
                if met:
                    message = f"{route.entry.path} of {route.source} sends nothing on, and Envoy cannot mirror it"
                    likely = case.cluster.patches.removes_places or not any(each.sure for each in met)
                    yield problem(subject, patch.node["patch"], message, likely=likely)
                    break


def _met(case: Case, patch: Patch, route: Route) -> list[Placement]:
    """Where a patch is for an entry at some proxy that has it."""
    return [each for each in places(case, patch, route) if fits(patch, each)]


def _unfinished(patch: Patch) -> str:
    """What Envoy does not take of the mirrors that a patch writes; empty for nothing."""
    for policy in patch.policies:
        share = policy.node.either("runtime_fraction", "runtimeFraction")
        if share.given and not share.either("default_value", "defaultValue").given:
            return f"the share of {policy.cluster} has no default_value"
        mutations = policy.node.either("request_headers_mutations", "requestHeadersMutations")
        for mutation in mutations.elements() if not policy.complete else ():
            if not any(mutation[key].given for key in ("remove", "append", "remove_on_match", "removeOnMatch")):
                return f"a change of the headers of copies to {policy.cluster} neither removes nor appends"
    return ""


def _made_without(patch: Patch) -> str:
    """What a patch makes without something that Envoy wants; empty where it lacks nothing."""
    lacking = _lacking(patch)
    made = "a virtual host" if patch.kind == VIRTUAL_HOST else "a route"
    return f"{patch.operation} makes {made} without {lacking}" if lacking else ""


def _lacking(patch: Patch) -> str:
    """What a new route or virtual host lacks for Envoy to take it; empty for nothing."""
    match, value = patch.value["match"], patch.value
    if patch.kind == VIRTUAL_HOST:
        return "a name" if not value["name"].text() else "" if value["domains"].texts() else "domains"
    paths = ("prefix", "path", "safe_regex", "safeRegex", "path_separated_prefix", "pathSeparatedPrefix")
    if not any(match[key].given for key in (*paths, "connect_matcher", "path_match_policy")):
        return "a match of its path"
    route = value["route"]
    ways = ("cluster", "weighted_clusters", "weightedClusters", "cluster_header", "clusterHeader")
    if route.given and not any(route[key].given for key in ways):
        return "a cluster"
    acts = ("route", "redirect", "direct_response", "directResponse", "non_forwarding_action", "filter_action")
    return "" if any(value[key].given for key in acts) else "an action"
