"""Rules on a mirror beside its primary: another service, no destination of the same route, and once."""

from collections.abc import Iterator
from typing import Final

from .mirror_entries import MirrorEntry
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .sharing import APART, destination_like, destination_nodes


@mirror_rule(
    rule_id="mirror-is-primary",
    title="A mirror goes elsewhere than its primary",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The service that answers would handle each request twice, with all its side effects.",
    source="Follows from what a mirror is.",
    remedy="Mirror to another Service; to the same pods by a Service of its own",
)
def is_primary(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors to the primary."""
    target = mirror_entry.target
    for primary in mirror_entry.route.primaries:
        same_port = primary.port == target.port or None in (primary.port, target.port)
        same_pods = primary.subset == target.subset or "" in (primary.subset, target.subset)
        if primary.host == target.host and same_port and same_pods:
            what = "takes in the mirror's pods" if primary.subset != target.subset else "is the mirror itself"
            yield problem(mirror_entry.source, mirror_entry.destination, f"the primary {primary.host} {what}")
            return


@mirror_rule(
    rule_id="mirror-is-destination",
    title="A mirror's target is no destination of its route",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Proxies bound, limit and change requests of a cluster alike, copies or not: with the first weight on that"
    " destination, whatever its weight is now, requests that clients wait for are cut off and lose their credentials.",
    source="Measured with Flagger's and Argo Rollouts' routers, whose mirrors are of this form",
    remedy=APART,
)
def is_destination(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors to what an entry of the same object routes to, where that is no primary of theirs."""
    found = destination_like(case.cluster, mirror_entry)
    for node in destination_nodes(mirror_entry.route) if found else ():
        node["weight"].number()  # who is a primary is not known before all weights are
    if found and all(each.host != found.host for each in mirror_entry.route.primaries):
        yield problem(
            mirror_entry.source, mirror_entry.destination, f"{found.host} is also a destination at {found.node.path}"
        )


@mirror_rule(
    rule_id="mirror-duplicate",
    title="A route mirrors to each target once",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Each entry sends its own copy, and the proxy picks the same requests for both.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Keep one entry with the share that is meant",
)
def duplicate(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report a target that an earlier mirror of the same entry has."""
    for other in case.cluster.routing.of_route(mirror_entry.route):
        if other is mirror_entry:
            return
        if other.target == mirror_entry.target and not other.disabled:
            yield problem(
                mirror_entry.source,
                mirror_entry.node,
                f"{mirror_entry.target.host} is already mirrored to at {other.node.path}",
            )
            return


@mirror_rule(
    rule_id="mirror-not-a-split",
    title="Shares of several mirrors are not meant as a split",
    severity=Severity.NOTICE,
    scope=Scope.ROUTE,
    why="The proxy draws once for each request: two mirrors with 50 % get the same half, and the other half gets none.",
    source="Measured; Envoy keys the choice by the request's stream id.",
    remedy="Expect the same requests at both, or split the hosts",
)
def not_a_split(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report the first of several mirrors whose shares add up to 100."""
    together = case.cluster.routing.of_route(mirror_entry.route)
    if len(together) < 2 or together[0] is not mirror_entry:  # noqa: PLR2004 -- several
        return
    shares = [other.percent for other in together]
    known = [share for share in shares if share]
    if len(known) == len(shares) and abs(sum(known) - 100) < 1e-6:  # noqa: PLR2004 -- all of them
        yield problem(
            mirror_entry.source, mirror_entry.node, "shares add up to 100 %, but the mirrors get the same requests"
        )


RULES: Final[tuple[Rule, ...]] = (is_primary, is_destination, duplicate, not_a_split)
