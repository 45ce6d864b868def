"""Rules on side effects: which requests are run a second time, and who else reaches the mirror."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ..errors import ValidationError
from ..values import RpcMethod
from .aiming import required_methods, required_paths
from .clusters import ClusterObjects
from .envoy import SIDECAR
from .filter_mirrors import FilterMirror
from .gateways import labels, selects
from .lookups import Lookup
from .mirror_entries import MirrorEntry
from .nodes import Node
from .objects import KubeObject, is_ambient, service_name
from .policies import policies, proxies
from .ports import spoken_at, spoken_by
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, mirror_rule, problem
from .routes import MESH, Target
from .settings import RuleSettings
from .waypoints import behind_any, waypoint_of

SAFE_METHODS: Final = "https://www.rfc-editor.org/rfc/rfc9110#section-9.2"
_RPC_VERB: Final = "POST"
"""Method of every gRPC call."""

_ALTERNATIVES: Final = re.compile(r"\^?\(?([A-Z]+(?:\|[A-Z]+)*)\)?\$?")
"""A regular expression that is a list of HTTP methods, e.g. ``^(GET|HEAD)$``."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What one match of a route lets through.

    Attributes:
        rpc_method: The one gRPC method that it takes; empty when it takes several.
        http_methods: The HTTP methods that it takes; empty for all.
        node: Where it is written.
    """

    rpc_method: str
    http_methods: tuple[str, ...]
    node: Node


def named(mirror_entry: MirrorEntry, *, http1: bool = False) -> list[Named]:
    """What the matches of a mirror's route entry let through; nothing named when there are none.

    Args:
        mirror_entry: The mirror.
        http1: Whether its primary speaks HTTP/1.1, where a path names no gRPC method.
    """
    if mirror_entry.source.kind == "GRPCRoute":
        read, key = _grpc, "matches"
    else:
        read, key = (_native, "matches") if mirror_entry.route.native else (_istio, "match")
    entries = (
        (mirror_entry.route.entry, mirror_entry.route.outer)
        if mirror_entry.route.outer.given
        else (mirror_entry.route.entry,)
    )
    found = [[read(match) for match in entry[key].elements()] for entry in entries]
    if http1:
        found = [[replace(match, rpc_method="") for match in matches] for matches in found]
    # All conditions of a delegating entry hold too, so either list may do the naming.
    best = next((matches for matches in found if matches and all(_names(match) for match in matches)), found[0])
    return best or [Named(rpc_method="", http_methods=(), node=mirror_entry.node)]


def _names(match: Named) -> bool:
    return bool(match.rpc_method or match.http_methods)


def _istio(match: Node) -> Named:
    method = match["method"]
    listed = _ALTERNATIVES.fullmatch(method["regex"].text())
    methods = tuple(listed[1].split("|")) if listed else ((method["exact"].text(),) if method["exact"].text() else ())
    return Named(rpc_method=_rpc(match["uri"]["exact"].text()), http_methods=methods, node=match)


def _native(match: Node) -> Named:
    path = match["path"]
    exact = path["value"].text() if path["type"].text() == "Exact" else ""
    method = match["method"].text()
    return Named(rpc_method=_rpc(exact), http_methods=(method,) if method else (), node=match)


def _grpc(match: Node) -> Named:
    method = match["method"]
    exact = method["type"].text("Exact") == "Exact" and method["service"].text() and method["method"].text()
    path = f"/{method['service'].text()}/{method['method'].text()}" if exact else ""
    return Named(rpc_method=_rpc(path), http_methods=(), node=match)


def _rpc(path: str) -> str:
    try:
        return RpcMethod(path.removeprefix("/")) if path.startswith("/") else ""
    except ValidationError:
        return ""


@mirror_rule(
    rule_id="mirror-side-effects",
    title="A mirror names what it may copy",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Every copy is run: an order, a payment or a mail happens twice unless the methods are known to be harmless.",
    source=SAFE_METHODS,
    remedy="Match gRPC methods by their exact path, or HTTP methods such as GET, HEAD and OPTIONS",
)
def side_effects(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors that take methods which nobody named."""
    for found in named(mirror_entry, http1=spoken_by(case.cluster, mirror_entry) == "http1"):
        if not _names(found):
            message = "every method is copied, with its side effects"
            yield problem(mirror_entry.source, found.node, message, waived=mirror_entry.waiver("side-effects"))
            return


def _names_methods(allowed: RuleSettings) -> bool:
    return bool(allowed.allowed_rpc_methods or allowed.allowed_http_methods)


def _filter_methods(case: Case, mirror: FilterMirror) -> Iterator[Report]:
    taken = _taken_by_filter(case.cluster, mirror)
    if taken is None:
        yield Unjudged(
            subject=mirror.source,
            field=mirror.node.path,
            message="does not say here what it takes, so that it is held against no list of methods",
            remedy="Check it together with the routes that it is for, or look at it by hand",
        )
    for found in taken or ():
        for message in _not_allowed(case, found):
            yield problem(mirror.source, mirror.node, message)


def _taken_by_filter(cluster: ClusterObjects, mirror: FilterMirror) -> list[Named] | None:
    """What a mirror of an EnvoyFilter takes; None where that is not said by what is at hand."""
    if takers := mirror.takers(cluster):
        entries = [mirror.entry(route) for route in takers]
        return [each for entry in entries for each in named(entry, http1=spoken_by(cluster, entry) == "http1")]
    if mirror.aim.condition:
        http1 = mirror.target is not None and spoken_at(cluster, mirror.target) == "http1"
        return _asked_for(mirror.aim.condition, mirror.node, http1=http1)
    if mirror.policy.cluster and not mirror.route_name and not mirror.own_route:
        return [Named(rpc_method="", http_methods=(), node=mirror.node)]
    return None


def _asked_for(condition: str, node: Node, *, http1: bool) -> list[Named]:
    """What a condition lets through: gRPC methods by their whole paths, else the HTTP methods that it names."""
    methods, paths = required_methods(condition), [_rpc(path) for path in required_paths(condition)]
    if not http1 and paths and all(paths) and set(methods) <= {_RPC_VERB}:
        return [Named(rpc_method=path, http_methods=methods, node=node) for path in paths]
    return [Named(rpc_method="", http_methods=methods, node=node)]


def _not_allowed(case: Case, found: Named) -> Iterator[str]:
    """What of one match is not allowed."""
    rpcs, https = case.settings.allowed_rpc_methods, case.settings.allowed_http_methods
    if found.rpc_method and set(found.http_methods) <= {_RPC_VERB}:
        if rpcs and found.rpc_method not in rpcs:
            yield f"{found.rpc_method} may not be mirrored"
    elif not found.http_methods:
        yield f"every method is copied; {', '.join((*rpcs, *https))} may be"
    else:
        yield from (f"{method} may not be mirrored" for method in found.http_methods if https and method not in https)


@mirror_rule(
    rule_id="mirror-method-not-allowed",
    settings=("allowed_rpc_methods", "allowed_http_methods"),
    title="Only allowed methods are mirrored",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The organisation knows which methods may safely run twice.",
    source="Set by the organisation; off by default.",
    remedy="Name methods that are allowed, or have these allowed",
    by_filter=_filter_methods,
    limited=_names_methods,
)
def method_not_allowed(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report methods that are not allowed, and mirrors that name none."""
    if _names_methods(case.settings):
        for found in named(mirror_entry, http1=spoken_by(case.cluster, mirror_entry) == "http1"):
            for message in _not_allowed(case, found):
                yield problem(mirror_entry.source, found.node, message)


@mirror_rule(
    rule_id="mirror-shared-selector",
    finds_by=(Lookup.PODS,),
    title="Only copies reach a mirror",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A Service whose selector takes primary and mirror sends real requests to the mirror for every caller that no"
    " VirtualService governs, and answers with what it says.",
    source="https://kubernetes.io/docs/concepts/services-networking/service/",
    remedy="Give the mirror its own Service, and let the primary's selector name its version",
)
def shared_selector(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report primaries' Services that take in the mirror's pods."""
    mirrored = _pods(case.cluster, mirror_entry, mirror_entry.target)
    for primary in mirror_entry.route.primaries:
        service = case.cluster.service(primary.host)
        taken = labels(service.spec["selector"]) if service else {}
        near = [(found, pods) for found, pods in mirrored if service and found.namespace == service.namespace]
        workload = next((found for found, pods in near if selects(taken, pods)), None)
        if service and workload:
            message = f"its selector takes the pods of {workload}, the mirror of {mirror_entry.source}"
            yield problem(service, "spec.selector", message, waived=mirror_entry.waiver("shared-service"))
            return


def _pods(
    cluster: ClusterObjects, mirror_entry: MirrorEntry, target: Target
) -> list[tuple[KubeObject, dict[str, str]]]:
    """Workloads whose pods a target takes, with their labels."""
    service = cluster.service(target.host)
    if not service:
        return []
    wanted = labels(service.spec["selector"])
    if not wanted:
        return []
    if target.subset:
        senders = proxies(cluster, mirror_entry.route)
        sender = senders[0] if senders else (SIDECAR, mirror_entry.source.namespace)
        subset = labels(policies(cluster, mirror_entry.route, target, sender)[0].subset["labels"])
        if not subset:
            return []
        wanted = wanted | subset
    return [
        (workload, pods)
        for workload, pods in cluster.workloads
        if workload.namespace == service.namespace and selects(wanted, pods)
    ]


@mirror_rule(
    rule_id="mirror-ambient-without-waypoint",
    title="Somebody in the mesh mirrors",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="In ambient mode ztunnel forwards connections and knows no requests: without a waypoint nothing is mirrored.",
    source="https://istio.io/latest/docs/ambient/usage/waypoint/",
    remedy="Give the namespace or the Service a waypoint",
    unsent=True,
)
def ambient(case: Case, mirror_entry: MirrorEntry) -> Iterator[Report]:
    """Report mirrors for the mesh whose hosts no waypoint stands before, in an ambient namespace."""
    cluster, route = case.cluster, mirror_entry.route
    for host in route.hosts if MESH in route.gateways else ():
        name = service_name(host)
        place = name[1] if name else route.owner.namespace
        if not is_ambient(cluster.find("Namespace", "default", place)):
            continue
        service = cluster.service(host)
        if not waypoint_of(cluster, place, service) and not behind_any(cluster, host):
            message = f"namespace {place} is ambient and has no waypoint"
            if service and waypoint_of(cluster, place):
                message = f"{service} of an ambient namespace has no waypoint"
            yield problem(mirror_entry.source, mirror_entry.node, message)
            return


RULES: Final[tuple[Rule, ...]] = (side_effects, method_not_allowed, shared_selector, ambient)
