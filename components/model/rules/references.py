"""References of routes: Services that are not there, and targets in namespaces that grant nothing.

Written after buildDestination of Istio's pilot, and held against istiod itself.
"""

from contextlib import suppress
from typing import Final

from .clusters import ClusterObjects
from .envoy import GATEWAY
from .grants import is_granted
from .mirror_entries import MirrorEntry
from .nodes import NotJudgedError
from .objects import KubeObject, service_name
from .outlets import Outlet
from .reach import service_entry
from .routes import Route
from .sidecar_ports import may_be_elsewhere

_OF_BACKENDS: Final = frozenset({"RequestHeaderModifier", "ResponseHeaderModifier"})
_FILTERS: Final = {
    "GRPCRoute": _OF_BACKENDS | {"RequestMirror"},
    "HTTPRoute": _OF_BACKENDS | {"RequestMirror", "RequestRedirect", "URLRewrite", "CORS"},
}
"""Filters of rules, and of their backends, that Istio knows."""


def unknown_service(cluster: ClusterObjects, host: str) -> bool:
    """Whether a host is a Service's that should be at hand and is not."""
    if host.startswith("*") or not service_name(host) or not cluster.complete or cluster.service(host):
        return False
    return not service_entry(cluster, host) and not may_be_elsewhere(cluster, host)


def written_at(cluster: ClusterObjects, mirror_entry: MirrorEntry, outlet: Outlet) -> bool:
    """Whether Istio writes a mirror at an outlet at all; where it cannot be told it counts as written.

    Of the Gateway API's routes it leaves those out whose target is not there, or is granted to no gateway.
    """
    if mirror_entry.target.unusable:
        return False
    if mirror_entry.route.native:
        with suppress(NotJudgedError):
            if unknown_service(cluster, mirror_entry.target.host):
                return False
            return not (outlet.context == GATEWAY and ungranted(cluster, mirror_entry))
    return True


def left_out(cluster: ClusterObjects, route: Route, *, at_gateway: bool) -> str:
    """What keeps Istio from taking a route of the Gateway API, at whichever of its rules; empty for nothing.

    A filter that it does not know, a malformed backend, and of a GRPCRoute a mirror to nothing, even one that rests.
    What is not known yet counts as right. Source: convertHTTPRoute, convertGRPCRoute and computeRoute of Istio's pilot.
    """
    if not route.native:
        return ""
    return cluster.once(("left out", route.owner, at_gateway), lambda: _left_out(cluster, route.owner, at_gateway))


def _left_out(cluster: ClusterObjects, owner: KubeObject, at_gateway: bool) -> str:
    for rule in cluster.routing.of_owner(owner):
        with suppress(NotJudgedError):
            if reason := _unknown_filter(rule) or _malformed_backend(rule):
                return reason
        for mirror_entry in cluster.routing.of_route(rule) if owner.kind == "GRPCRoute" else ():
            refused = at_gateway and ungranted(cluster, mirror_entry)
            if refused or mirror_entry.target.unusable or unknown_service(cluster, mirror_entry.target.host):
                return f"the mirror of {rule.entry.path} to {mirror_entry.target.host}"
    return ""


def _unknown_filter(rule: Route) -> str:
    kind = rule.source.kind
    for node in rule.entry["filters"].elements():
        if node["type"].text() not in _FILTERS[kind]:
            return f"{node.path}: Istio knows no {node['type'].text()} of {kind}s"
    for backend in rule.backends:
        for node in backend.node["filters"].elements():
            if node["type"].text() not in _OF_BACKENDS:
                return f"{node.path}: Istio knows no {node['type'].text()} of backends"
    return ""


def _malformed_backend(rule: Route) -> str:
    found = next((each for each in rule.backends if each.malformed), None)
    return f"{found.node.path}: Istio sends nothing to {found.unusable}" if found else ""


def ungranted(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Why a gateway leaves a mirror out that nothing grants its target in another namespace; empty where it does not.

    Raises:
        NotJudgedError: None of the grants at hand does, and one's namespace is not known yet.
    """
    service, own = service_name(mirror_entry.target.host), mirror_entry.source
    if not (mirror_entry.route.native and mirror_entry.at_gateway and cluster.complete and service):
        return ""
    name, namespace = service
    kind = mirror_entry.destination["kind"].text("Service")
    if is_granted(cluster, own, kind, name, namespace):
        return ""
    return f"no ReferenceGrant in {namespace} lets {own.kind}s of {own.namespace} refer to {kind} {name}"
