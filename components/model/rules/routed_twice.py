"""Rule on two objects that route one host: whether a request is mirrored is then up to chance, or to their age."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from .binding import ROUTES
from .clusters import ClusterObjects
from .nativematches import NativeCondition, native_conditions
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .overlap import may_clash
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem
from .routes import MESH, Route


@object_rule(
    kinds=ROUTES,
    rule_id="host-routed-twice",
    title="One object routes a host on a gateway",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="Of two VirtualServices for one host a sidecar takes one, and a gateway takes their routes in any order: where"
    " routes of both take a request, whether it is mirrored is up to chance. Of routes of the Gateway API for one host,"
    " the older one's rule takes what the rules of both ask for, of two as old that of the first name.",
    source="https://istio.io/latest/docs/ops/best-practices/traffic-management/#split-virtual-services",
    remedy="Merge them, or delegate from one of them",
)
def host_routed_twice(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report objects that route a host which a concerned object routes as well."""
    routes = case.mesh.concerned(case.cluster).get(subject, [])
    if routes and routes[0].native:
        yield from _natively(case.cluster, routes)
        return
    for route in routes[:1]:
        for host in route.hosts:
            here = case.cluster.route_index.exactly(host)
            for other in here:
                if other.owner is route.owner or other.native:
                    continue
                shared = set(other.bound) & set(route.bound)
                if not _same_proxies(subject, other.owner):
                    shared.discard(MESH)
                if not any(may_clash(own, other) for own in here if own.owner is route.owner):
                    shared &= {MESH}
                if shared:
                    where = ", ".join(sorted(shared))
                    yield problem(subject, "spec.hosts", f"{other.owner} routes {host} on {where} as well")
                    break


def _same_proxies(first: KubeObject, second: KubeObject) -> bool:
    """Whether some sidecar sees both objects."""
    return "*" in first.exports | second.exports or not first.exports.isdisjoint(second.exports)


@dataclass
class _Asked:
    """The rules of the Gateway API's routes that take requests for one host at one place.

    Attributes:
        by_match: What each match asks for, by how it is written; nothing for one that takes every request.
        unknown: Why others cannot be read.
    """

    by_match: dict[str, list[tuple[Route, NativeCondition]]] = field(
        default_factory=dict[str, list[tuple[Route, NativeCondition]]]
    )
    unknown: list[NotJudgedError] = field(default_factory=list[NotJudgedError])


def _natively(cluster: ClusterObjects, routes: list[Route]) -> Iterator[Report]:
    """The first rule that mirrors and for whose requests a rule of another route of the Gateway API is asked first."""
    asked = cluster.once("natively asked", lambda: _all_asked(cluster))
    for route, gateway in product(routes, routes[0].bound):
        for host, own in product(route.hosts_at(gateway), native_conditions(route)):
            here = asked[host, gateway]
            rivals = (*here.by_match.get("", ()), *here.by_match.get(_written(own), ()))
            for other, theirs in sorted(rivals, key=lambda each: _name(each[0].owner)):
                first = theirs.precedes(own) if other.owner is not route.owner and _meet(route, other) else False
                if first is not False:
                    older = "where it is older" + ", or as old" * (_name(other.owner) < _name(route.owner))
                    when = "before it does" if first else older
                    message = f"{other.owner} takes its requests for {host} on {gateway} {when}"
                    yield problem(route.source, route.entry, message)
                    return
            for error in here.unknown:
                raise error


def _all_asked(cluster: ClusterObjects) -> dict[tuple[str, str], _Asked]:
    found: dict[tuple[str, str], _Asked] = defaultdict(_Asked)
    for route in cluster.routing.routes:
        for gateway in route.bound if route.native else ():
            for host in route.hosts_at(gateway):
                here = found[host, gateway]
                try:
                    for each in native_conditions(route):
                        here.by_match.setdefault("" if each.takes_all else _written(each), []).append((route, each))
                except NotJudgedError as error:
                    here.unknown.append(NotJudgedError(error.path, route.source))
    return found


def _name(owner: KubeObject) -> tuple[str, str]:
    """What tells two objects of one age apart. Source: sortRoutesByCreationTime of Istio's pilot."""
    return owner.namespace, owner.name


def _written(condition: NativeCondition) -> str:
    return json.dumps(condition.match.value, sort_keys=True, default=str)


def _meet(route: Route, other: Route) -> bool:
    """Whether two routes have a parent in common, with the same listener or port of it."""
    own, theirs = (
        [(_parent(each.owner, node), _part(node)) for node in each.owner.spec["parentRefs"].elements()]
        for each in (route, other)
    )
    return any(
        parent == another
        and all(mine == their or not (mine and their) for mine, their in zip(part, other_part, strict=True))
        for (parent, part), (another, other_part) in product(own, theirs)
    )


def _parent(owner: KubeObject, node: Node) -> tuple[str, str, str]:
    return node["kind"].text("Gateway"), node["namespace"].text(owner.namespace), node["name"].text()


def _part(node: Node) -> tuple[str, int]:
    return node["sectionName"].text(), node["port"].integer() or 0


RULES: Final[tuple[Rule, ...]] = (host_routed_twice,)
