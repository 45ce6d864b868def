"""Rules on what overlays mirror to, beside what routes do with the same target."""

from collections.abc import Iterator
from typing import Final

from .additions import Addition, mirrors_of
from .clusters import ClusterObjects
from .envoy import GATEWAY
from .hosts import covers
from .mirror_entries import MirrorEntry
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem
from .routes import MESH, Route
from .sharing import APART, destinations

MEASURED: Final = "Measured with istiod 1.31 and Envoy 1.39"
KINDS: Final = ("EnvoyFilter",)


@object_rule(
    kinds=KINDS,
    rule_id="overlay-counted-twice",
    title="A route does not mirror to what an overlay on it mirrors to",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Each sends copies of its own: of 1,000 requests an overlay at 25 % sent 259 and the route at 10 % another 103."
    " Shares, limits and comparisons are then about two kinds of copies, one of them perhaps unscrubbed.",
    source=MEASURED,
    remedy="Leave one of them out, or mirror to a second Service on the same pods",
)
def counted_twice(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report mirrors of overlays whose target a route of the same host mirrors to itself."""
    found = case.cluster.once("mirror-entries-by-target", lambda: _by_target(case.cluster))
    for mirror in mirrors_of(case.cluster, source):
        for mirror_entry in found.get(mirror.cluster, ()) if mirror.cluster else ():
            if _hangs_on(mirror.addition, mirror_entry.route):
                yield problem(source, mirror.node, f"{mirror_entry.source} mirrors to {mirror.host} itself")
                break


def _by_target(cluster: ClusterObjects) -> dict[str, list[MirrorEntry]]:
    found: dict[str, list[MirrorEntry]] = {}
    for mirror_entry in cluster.routing.sent:
        found.setdefault(mirror_entry.target.cluster_name, []).append(mirror_entry)
    return found


@object_rule(
    kinds=KINDS,
    rule_id="overlay-to-destination",
    title="An overlay does not mirror to a destination of the routes it hangs on",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Proxies bound and limit requests of a cluster alike, copies or not: with the first weight on that destination,"
    " whatever its weight is now, requests that clients wait for are cut off with the copies.",
    source=MEASURED,
    remedy=APART,
)
def to_destination(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report mirrors to what a route of the same host sends requests to."""
    found = case.cluster.once("routes-by-destination", lambda: _by_destination(case.cluster))
    for mirror in mirrors_of(case.cluster, source):
        for route in found.get(mirror.cluster, ()) if mirror.cluster else ():
            if _hangs_on(mirror.addition, route):
                yield problem(source, mirror.node, f"{route.source} sends requests to {mirror.host} as well")
                break


def _by_destination(cluster: ClusterObjects) -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for route in cluster.routing.routes:
        for target in destinations(route):
            found.setdefault(target.cluster_name, []).append(route)
    return found


def _hangs_on(addition: Addition, route: Route) -> bool:
    """Whether a patch reaches a route, as far as hosts and kinds of proxies tell."""
    if addition.context == GATEWAY and not set(route.gateways) - {MESH}:
        return False
    name = addition.chain[0] if addition.chain else addition.domain
    return not name or any(covers(host, name) or covers(name, host) for host in route.hosts)


RULES: Final[tuple[Rule, ...]] = (counted_twice, to_destination)
