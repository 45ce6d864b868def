"""Where proxies have a route entry: in which of their route configurations and virtual hosts, and why not elsewhere.

Written after BuildHTTPRoutesForVirtualService and its callers in Istio's pilot, and held against istiod itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from .clusters import ClusterObjects
from .conditions import Condition
from .envoy import GATEWAY
from .matching import asked, meets
from .nativematches import native_order
from .nodes import NotJudgedError
from .objects import KubeObject
from .outlets import Outlet, Outlets, outlets, uncalled
from .references import left_out
from .routes import MESH, ROUTE, Route


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """One place where a proxy has a route of an entry.

    Attributes:
        outlet: The virtual hosts.
        name: Name of Envoy's route.
        action: What it does, as :attr:`Route.action`.
        sure: Whether it is surely there; otherwise it depends on what is not at hand, such as the caller's labels.
    """

    outlet: Outlet
    name: str
    action: str
    sure: bool


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an entry is, and why it is not where it could be.

    Attributes:
        placements: Where it is.
        absences: Reasons why it is not at some sender.
    """

    placements: tuple[Placement, ...]
    absences: tuple[str, ...] = field(default=())

    @property
    def senders(self) -> tuple[tuple[str, str], ...]:
        """Kind and namespace of each proxy that sends its requests on."""
        sending = (each.outlet for each in self.placements if each.action == ROUTE)
        return tuple(dict.fromkeys((outlet.context, outlet.namespace) for outlet in sending))


def everywhere(cluster: ClusterObjects, route: Route) -> tuple[Placement, ...]:
    """Where any proxy has an entry, sidecars of every namespace that sees it included."""
    own, others = standing(cluster, route).placements, _of_others(cluster, route.owner)[id(route)].placements
    return tuple(dict.fromkeys((*own, *others)))


def refusable(cluster: ClusterObjects, route: Route) -> tuple[Placement, ...]:
    """Where any proxy has an entry, by matches too that no request meets, and in places that nobody calls.

    Envoy refuses its routes there as well.
    """
    made = cluster.once(("refusable", route.owner), lambda: _refusable(cluster, route.owner))
    return tuple(placement for found in made for placement in found[id(route)].placements)


def _refusable(cluster: ClusterObjects, owner: KubeObject) -> "list[dict[int, _Found]]":
    routes = cluster.routing.of_owner(owner)
    where = (outlets(cluster, routes), outlets(cluster, routes, of_others=True), uncalled(cluster, routes))
    return [_found(cluster, routes, each, unmet=True) for each in where]


def standing(cluster: ClusterObjects, route: Route) -> Standing:
    """Where proxies have an entry."""
    return cluster.once(("standing", route.owner), lambda: _standings(cluster, route.owner))[id(route)]


def _standings(cluster: ClusterObjects, owner: KubeObject) -> dict[int, Standing]:
    routes = cluster.routing.of_owner(owner)
    found = _found(cluster, routes, outlets(cluster, routes))
    absent = [key for key, each in found.items() if not any(known.outlet.hosts for known in each.placements)]
    if MESH in routes[0].bound and absent:
        others = _of_others(cluster, owner)
        for key in absent:  # a gateway that is not at hand may be nowhere
            found[key].placements = [*found[key].placements, *others[key].placements]
    return {
        key: Standing(placements=tuple(each.placements), absences=tuple(each.absences)) for key, each in found.items()
    }


def _of_others(cluster: ClusterObjects, owner: KubeObject) -> "dict[int, _Found]":
    routes = cluster.routing.of_owner(owner)
    return cluster.once(("of others", owner), lambda: _found(cluster, routes, outlets(cluster, routes, of_others=True)))


class _Found:
    """What is found of one entry."""

    def __init__(self) -> None:
        self.placements: list[Placement] = []
        self.absences: dict[str, None] = {}


def _found(
    cluster: ClusterObjects, routes: Sequence[Route], where: Outlets, *, unmet: bool = False
) -> dict[int, _Found]:
    """What is found of each entry of an object at some outlets; with ``unmet`` by matches too that no request meets."""
    found = {id(route): _Found() for route in routes}
    for each in found.values():
        each.absences.update(dict.fromkeys(where.absences))
    for outlet in where.outlets:
        at_gateway = outlet.context == GATEWAY
        make = partial(_in_order, cluster, routes, at_gateway=at_gateway)
        ordered = cluster.once(("asked", routes[0].owner, at_gateway), make)
        for route, condition, taken, reason in _walk(cluster, ordered, outlet, unmet=unmet):
            if reason:
                found[id(route)].absences[reason] = None
            else:
                found[id(route)].placements.append(_placement(route, condition, outlet, sure=taken))
    return found


def _walk(
    cluster: ClusterObjects, ordered: "Sequence[Asked]", outlet: Outlet, *, unmet: bool
) -> Iterator[tuple[Route, Condition, bool, str]]:
    """Each entry of an object in the order in which a proxy asks them, up to the one that takes everything.

    Yields entry, match, whether it is surely there, and why it is not; empty when it is or may be.
    """
    stopper: Route | None = None
    reached = True
    nothing = Condition([])
    for route, wanted, ends in ordered:
        if stopper is not None:
            yield route, nothing, False, f"{stopper.entry.path} before it takes every request {outlet.words}"
            continue
        if isinstance(wanted, str):
            yield route, nothing, False, wanted
            continue
        met = False
        for condition in wanted:
            taken = _meets(cluster, route, condition, outlet) if unmet or not condition.unmeetable else False
            if taken is False:
                continue
            met = True
            yield route, condition, taken is True and reached and outlet.sure, ""
            if condition.takes_all and taken is None:
                reached = False  # somebody may have no route after it
            elif condition.takes_all:
                stopper = route
                break
        if not met:
            nobody = all(condition.unmeetable for condition in wanted)
            reason = "no request meets its match" if nobody else f"nobody {outlet.words} meets its match"
            yield route, nothing, False, reason
        if ends:
            stopper = route


Asked: TypeAlias = tuple[Route, list[Condition] | str, bool]


def _names_ports(route: Route) -> bool:
    """Whether a route of the Gateway API is for ports of its Services."""
    return any(each["port"].given for each in route.owner.spec["parentRefs"].elements())


def _in_order(cluster: ClusterObjects, routes: Sequence[Route], *, at_gateway: bool) -> list[Asked]:
    """Entries, their matches or why Istio leaves them out, and whether they end the list for want of a match."""
    if routes and routes[0].native:
        of_port = not at_gateway and _names_ports(routes[0])
        absence = _absence(cluster, routes[0], at_gateway=at_gateway)
        ordered = native_order(routes, of_port=of_port)
        return [(route, absence or [condition], False) for route, condition in ordered]
    return [(route, found := asked(route), not isinstance(found, str) and not found[0].parts) for route in routes]


def _absence(cluster: ClusterObjects, route: Route, *, at_gateway: bool) -> str:
    """Why a route of the Gateway API is left out; empty where it is not, or where that cannot be told."""
    with suppress(NotJudgedError):
        reason = left_out(cluster, route, at_gateway=at_gateway)
        return f"all of it is left out because of {reason}" if reason else ""
    return ""


def _meets(cluster: ClusterObjects, route: Route, condition: Condition, outlet: Outlet) -> bool | None:
    return meets(
        cluster,
        route,
        condition,
        context=outlet.context,
        namespace=outlet.namespace,
        gateway=outlet.gateway or MESH,
        port=outlet.port,
    )


def _placement(route: Route, condition: Condition, outlet: Outlet, *, sure: bool) -> Placement:
    own = route.native_name if route.native else route.name
    name = f"{own}.{condition.name}" if condition.name else own
    return Placement(outlet=outlet, name=name, action=route.action, sure=sure)
