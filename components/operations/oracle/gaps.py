"""What is not at hand, so that what istiod does not render of a mirror says nothing of the cluster."""

from collections.abc import Iterable

from ...model.rules import ClusterObjects, MirrorEntry
from ...model.rules.outlets import own_hosts
from ...model.rules.placements import Placement, standing
from ...model.rules.ports import port_nodes
from ...model.rules.routes import MESH, ROUTE
from ...model.rules.sidecar_ports import is_alias


def sending_gap(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """What may make some proxy send a mirror that istiod renders nowhere; empty for nothing."""
    route, host = mirror_entry.route, mirror_entry.target.host
    if is_alias(cluster, host):
        return f"{host} stands for another host, which its copies go to"
    called = own_hosts(route) if MESH in route.bound else ()
    # Of the Gateway API's routes istiod leaves out what leads to nothing, of a GRPCRoute all where one mirror does.
    beside = cluster.routing.of_owner(route.owner) if route.source.kind == "GRPCRoute" else [route]
    mirrors = [each for rule in beside for each in cluster.routing.of_route(rule)] if route.native else []
    missing = _undefined(cluster, called) or next(filter(None, (target_gap(cluster, each) for each in mirrors)), "")
    placed = [each for each in standing(cluster, route).placements if each.action == ROUTE]
    return missing or next((reason for each in placed if (reason := _doubt(cluster, each))), "")


def target_gap(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Which host that a mirror's entry leads to is defined by nothing at hand; empty for none."""
    return _undefined(cluster, (each.host for each in (mirror_entry.target, *mirror_entry.route.primaries)))


def _undefined(cluster: ClusterObjects, hosts: Iterable[str]) -> str:
    return next((f"{host} is not given" for host in hosts if host and not port_nodes(cluster, host)), "")


def _doubt(cluster: ClusterObjects, placement: Placement) -> str:
    """Why a proxy that has an entry may be another one than istiod was asked about; empty where it is not."""
    outlet = placement.outlet
    for kind, name in (("Gateway", outlet.gateway), ("waypoint", outlet.waypoint)):
        if name and cluster.gateways.named(name) is None:
            return f"the {kind} {name} is not given"
    return "" if placement.sure else f"who has it {outlet.words} depends on what is not given"
