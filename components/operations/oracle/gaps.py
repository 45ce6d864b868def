"""What is not at hand, so that what istiod does not render of a mirror says nothing of the cluster."""

from collections.abc import Iterable
from typing import Final

from ...model.rules import ClusterObjects, KubeObject, MirrorEntry, Route
from ...model.rules.envoy import GATEWAY, INBOUND, SIDECAR
from ...model.rules.outlets import callers, own_hosts
from ...model.rules.placements import Placement, standing
from ...model.rules.policies import proxies
from ...model.rules.ports import port_nodes
from ...model.rules.routes import MESH, ROUTE
from ...model.rules.sidecar_ports import is_alias
from ...model.rules.visibility import exports_of

NOBODY: Final = "~"
"""Nobody, in what a Service says of who sees it."""

_ALIAS: Final = "stands for another host, which its copies go to"


def sending_gap(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """What may make some proxy send a mirror that istiod renders nowhere; empty for nothing."""
    route, host = mirror_entry.route, mirror_entry.target.host
    if is_alias(cluster, host):
        return f"{host} {_ALIAS}"
    if MESH in route.bound and (chooser := choosing(cluster, route)):
        return f"{chooser} is for some workloads only, and their labels decide who sends"
    called = own_hosts(route) if MESH in route.bound else ()
    # Of the Gateway API's routes istiod leaves out what leads to nothing, of a GRPCRoute all where one mirror does.
    beside = cluster.routing.of_owner(route.owner) if route.source.kind == "GRPCRoute" else [route]
    mirrors = [each for rule in beside for each in cluster.routing.of_route(rule)] if route.native else []
    missing = _undefined(cluster, called) or next(filter(None, (target_gap(cluster, each) for each in mirrors)), "")
    placed = [each for each in standing(cluster, route).placements if each.action == ROUTE]
    return missing or next((reason for each in placed if (reason := _doubt(cluster, each))), "")


def target_gap(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Why a host that a mirror's entry leads to may have clusters all the same; empty where it does not."""
    targets = (mirror_entry.target, *mirror_entry.route.primaries)
    hosts = [each.host for each in targets]
    if is_alias(cluster, hosts[0]):  # by which of its names it has a cluster goes by the caller's port
        return f"{hosts[0]} {_ALIAS}"
    if missing := _undefined(cluster, hosts):
        return missing
    parted = (each.host for each in targets if each.subset)
    ruleless = next((host for host in parted if not any(cluster.destination_rules.covering(host))), "")
    if ruleless:
        return f"no DestinationRule for {ruleless} is given"
    nobody = next((host for host in hosts if by_chance(cluster, host)), "")
    return f"{nobody} is exported to nobody" if nobody else ""


def by_chance(cluster: ClusterObjects, host: str) -> bool:
    """Whether a host is a Service's that is exported to nobody, of which its own namespace has endpoints by chance."""
    service = cluster.service(host)
    return service is not None and NOBODY in exports_of(service)


def choosing(cluster: ClusterObjects, route: Route) -> KubeObject | None:
    """What changes the requests of some of a route's sidecars and not of others, by their labels; None for nothing.

    istiod is asked for one sidecar of a namespace, whose labels are nobody's.
    """
    senders = [namespace for context, namespace in proxies(cluster, route) if context == SIDECAR]
    places = {*senders, *callers(cluster.routing.of_owner(route.owner))}
    return next(
        (
            each
            for each in cluster.of("DestinationRule", "Sidecar", "EnvoyFilter")
            if _selective(each) and (each.namespace in places or _everywhere(cluster, each))
            if each.kind != "EnvoyFilter" or _patches_requests(each)
        ),
        None,
    )


def _selective(subject: KubeObject) -> bool:
    """Whether something is for some proxies only: by their labels, or by what they say of themselves."""
    patches = subject.spec["configPatches"].elements() if subject.kind == "EnvoyFilter" else ()
    return subject.spec["workloadSelector"].given or any(each["match"]["proxy"]["metadata"].given for each in patches)


def _everywhere(cluster: ClusterObjects, subject: KubeObject) -> bool:
    return subject.kind == "EnvoyFilter" and subject.namespace == cluster.root_namespace


def _patches_requests(subject: KubeObject) -> bool:
    """Whether an EnvoyFilter may change what sidecars send."""
    contexts = (each["match"]["context"].text() for each in subject.spec["configPatches"].elements())
    return any(each not in (GATEWAY, INBOUND) for each in contexts)


def _undefined(cluster: ClusterObjects, hosts: Iterable[str]) -> str:
    return next((f"{host} is not given" for host in hosts if host and not port_nodes(cluster, host)), "")


def _doubt(cluster: ClusterObjects, placement: Placement) -> str:
    """Why a proxy that has an entry may be another one than istiod was asked about; empty where it is not."""
    outlet = placement.outlet
    for kind, name in (("Gateway", outlet.gateway), ("waypoint", outlet.waypoint)):
        if name and cluster.gateways.named(name) is None:
            return f"the {kind} {name} is not given"
    return "" if placement.sure else f"who has it {outlet.words} depends on what is not given"
