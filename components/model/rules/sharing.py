"""Whether a mirror's target also gets requests that clients wait for."""

from typing import Final

from .clusters import ClusterObjects
from .mirror_entries import MirrorEntry
from .nodes import Node
from .routes import Route, Target

APART: Final = (
    "Give the mirror a Service of its own on the same pods, because bounds, limits and scrub of this one meet requests"
    " that clients wait for; where Flagger or Argo Rollouts mirrors, turn that off and hang a MirrorOverlay on the host"
)
"""Remedy for a mirror to a destination of its route."""


def destination_like(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> Target | None:
    """The destination of a mirror's route object that is the mirror's own cluster, whatever its weight; None for none.

    Of several entries any counts: proxies bound and change a cluster's requests alike, whichever entry they came by.
    """
    target = mirror_entry.target
    for each in cluster.once(("destinations", mirror_entry.route.owner), lambda: _of_owner(cluster, mirror_entry)):
        same_port = each.port == target.port or None in (each.port, target.port)
        if each.host == target.host and each.subset == target.subset and same_port:
            return each
    return None


def _of_owner(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> list[Target]:
    """The destinations of all entries of a mirror's route object."""
    routes = cluster.routing.of_owner(mirror_entry.route.owner) or [mirror_entry.route]
    return [each for route in routes for each in destinations(route)]


def destination_nodes(route: Route) -> list[Node]:
    """Where an entry's destinations are written, each with its weight."""
    return route.entry["backendRefs" if route.native else "route"].elements()


def destinations(route: Route) -> list[Target]:
    """An entry's destinations, those of weight 0 among them."""
    return [Target.of(route, node if route.native else node["destination"]) for node in destination_nodes(route)]


def remedy_beside(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Another remedy than a rule's own where that would meet requests that clients wait for; empty elsewhere."""
    return APART if destination_like(cluster, mirror_entry) else ""
