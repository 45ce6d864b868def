"""Rules on mirrors that EnvoyFilters add to routes of others, overlays: what each of them says."""

import re
from collections.abc import Iterator
from typing import Final

from ..mirror_checks import UPGRADE_HEADER
from .additions import (
    AddedMirror,
    added_to,
    additions,
    mirrors_of,
    sending_context,
)
from .aiming import absent_headers
from .clusters import ClusterObjects
from .envoy import GATEWAY
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, Unjudged, object_rule, problem

MEASURED: Final = "Measured with istiod 1.31 and Envoy 1.36 to 1.40"
_METHODS: Final = re.compile(r"request\.method (in \[|==)")
_EXACT_PATH: Final = re.compile(r"request\.url_path == ")
_WIDE_PATH: Final = re.compile(r"request\.url_path\.(startsWith|matches)")

KINDS: Final = ("EnvoyFilter",)


@object_rule(
    kinds=KINDS,
    rule_id="overlay-redirect",
    title="A patch of forwarding leaves redirects alone",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Merged into a redirect it makes a route with two actions, which the proxy refuses with all others: every"
    " owner's routing stays frozen at its last good state, in silence.",
    source=MEASURED,
    remedy="Match route.action ROUTE",
)
def redirect(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report merges of a route's action into routes of any action."""
    for addition in added_to(case.cluster, source):
        if addition.kind == "HTTP_ROUTE" and not addition.route_name:
            action = addition.host["route"]["action"]
            if action.text() != "ROUTE":
                yield problem(source, action, "merges a forwarding action into redirects and direct responses too")


@object_rule(
    kinds=KINDS,
    rule_id="overlay-unaimed",
    title="An added mirror takes only what a condition names",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A policy on routes of others copies every request that they take: those with side effects, those that carry a"
    " mark, and WebSockets with all their frames.",
    source=MEASURED,
    remedy="Name the cluster by cluster_header, and set that header where a condition holds",
)
def unaimed(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report policies with a fixed cluster on routes that no name chooses."""
    for mirror in mirrors_of(case.cluster, source):
        if mirror.policy.cluster and not mirror.addition.route_name:
            yield problem(source, mirror.node, f"copies every request of the routes it meets to {mirror.cluster}")


@object_rule(
    kinds=KINDS,
    rule_id="overlay-forgeable",
    title="No client chooses where copies go",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The header that names a mirror's cluster is taken from the request: a client that sends it has its requests"
    " copied to any cluster that the proxy knows.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Take the header off and overwrite it in the same patch",
)
def forgeable(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report headers of clusters that the same patch does not take off and set."""
    for mirror in mirrors_of(case.cluster, source):
        name = mirror.header
        if name and not (name in mirror.addition.removed and mirror.addition.written.get(name, ("", False))[1]):
            yield problem(source, mirror.node, f"takes the cluster from {name!r}, which a client may have sent")


@object_rule(
    kinds=KINDS,
    rule_id="overlay-collapsed",
    title="A gateway's virtual host is matched by its domain",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Hosts with equal routes share one virtual host, called after the first of them in the alphabet: by name, the"
    " patch meets none of the others, and the name changes with the next host.",
    source=MEASURED,
    remedy="Match vhost.domainName",
)
def collapsed(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report virtual hosts of gateways that are matched by name."""
    for addition in added_to(case.cluster, source):
        if addition.context in (GATEWAY, "ANY") and addition.host["name"].text():
            yield problem(source, addition.host["name"], "matches a gateway's virtual host by its name")


@object_rule(
    kinds=KINDS,
    rule_id="overlay-credentials",
    title="An added mirror carries no credentials",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Copies carry the caller's authorization and cookies to a version that nobody has released.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Remove them by request_headers_mutations of the policy",
    settings=("credential_headers",),
)
def credentials(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report policies that leave credentials on the copy."""
    for mirror in mirrors_of(case.cluster, source):
        left = [name for name in case.settings.credential_headers if name not in mirror.policy.removed]
        if left:
            message = f"leaves {', '.join(left)} on copies to {mirror.cluster or 'a cluster of a header'}"
            yield problem(source, mirror.node, message, waived=mirror.waiver("scrub"))


@object_rule(
    kinds=KINDS,
    rule_id="overlay-side-effects",
    title="An added mirror names what it may copy",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Every copy is run: an order, a payment or a mail happens twice unless the methods are known to be harmless.",
    source="https://www.rfc-editor.org/rfc/rfc9110#section-9.2",
    remedy="Test request.method, or the exact paths of gRPC methods, in the condition",
)
def side_effects(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report conditions that name neither methods nor exact paths."""
    for mirror in mirrors_of(case.cluster, source):
        if _unread(mirror):
            yield Unjudged(
                subject=source,
                field=mirror.node.path,
                message="is aimed in a way that only the proxy understands, so that what it copies is not judged",
                remedy="Set its header to %CEL(<condition> ? '<cluster>' : '')%, or look at it by hand",
            )
        named = mirror.condition
        exact = _EXACT_PATH.search(named) and not _WIDE_PATH.search(named)
        if named and not (_METHODS.search(named) or exact):
            waived = mirror.waiver("side-effects")
            yield problem(source, mirror.node, "every method is copied, with its side effects", waived=waived)


@object_rule(
    kinds=KINDS,
    rule_id="overlay-websockets",
    title="An added mirror leaves WebSockets out",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="The handshake is a GET; once the mirror accepts it, every frame that the client sends is copied.",
    source="Measured with Envoy 1.39 and 1.40, against its documentation",
    remedy="Test that the request has no upgrade header",
)
def websockets(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report conditions that an upgrade of the connection satisfies."""
    for mirror in mirrors_of(case.cluster, source):
        if mirror.condition and f"!('{UPGRADE_HEADER}' in request.headers)" not in mirror.condition:
            waived = mirror.waiver("websockets")
            yield problem(source, mirror.node, "takes requests that upgrade the connection", waived=waived)


@object_rule(
    kinds=KINDS,
    rule_id="overlay-unmarked",
    title="An added mirror marks its copies, and copies none that is marked",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="A copy that comes past the route again is copied again: mirrors of mirrors, without end. A mark that the copy"
    " carries and the condition leaves out is all that tells them from requests.",
    source=MEASURED,
    remedy="Append a header to the copy by request_headers_mutations, and test in the condition that it is not there",
)
def unmarked(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report conditions that leave out no header of those that the copy gets."""
    for mirror in mirrors_of(case.cluster, source):
        if mirror.condition and not absent_headers(mirror.condition) & mirror.policy.written:
            message = f"copies to {mirror.cluster} are taken for requests where they come by again"
            yield problem(source, mirror.node, message, waived=mirror.waiver("scrub"))


@object_rule(
    kinds=KINDS,
    rule_id="overlay-unbounded",
    title="An added mirror's copies have a bound on their life",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A mirror that hangs holds every copy in the proxy that clients depend on, for ever.",
    source=MEASURED,
    remedy="Patch the mirror's cluster with common_http_protocol_options.max_stream_duration, for the same proxies",
)
def unbounded(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report mirrors whose clusters no patch bounds."""
    for mirror in mirrors_of(case.cluster, source):
        context = sending_context(mirror.addition)
        found = case.cluster.patches.of_cluster(mirror.cluster) if mirror.cluster else []
        if mirror.cluster and not any(context in each.contexts and each.stream_bound for each in found):
            message = f"copies to {mirror.cluster} live as long as the mirror likes"
            yield problem(source, mirror.node, message, waived=mirror.waiver("brakes"), likely=True)


@object_rule(
    kinds=KINDS,
    rule_id="overlay-shared-header",
    title="No two EnvoyFilters aim by one header",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="On a route that both meet, the second condition decides for both: copies double, or go to the other's mirror.",
    source=MEASURED,
    remedy="Give each a header of its own",
)
def shared_header(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report headers that another EnvoyFilter's mirrors use as well."""
    found = case.cluster.once("overlay-headers", lambda: _headers(case.cluster))
    for mirror in mirrors_of(case.cluster, source):
        other = next((each for each in found.get(mirror.header, ()) if each is not source), None)
        if mirror.header and other:
            yield problem(source, mirror.node, f"aims by {mirror.header!r}, as {other} does")


def _headers(cluster: ClusterObjects) -> dict[str, list[KubeObject]]:
    found: dict[str, list[KubeObject]] = {}
    for source, made in additions(cluster).items():
        for name in {mirror.header for addition in made for mirror in addition.mirrors}:
            found.setdefault(name, []).append(source)
    return found


@object_rule(
    kinds=KINDS,
    rule_id="overlay-cluster-level",
    title="No cluster of others carries mirrors",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Mirrors in a cluster's HTTP options take the place of its routes' mirrors, and the options as a whole that of"
    " what the owner's DestinationRule set, such as idle timeouts.",
    source=MEASURED,
    remedy="Hang the mirrors on routes",
)
def cluster_level(case: Case, source: KubeObject) -> Iterator[Report]:
    """Report mirrors in the HTTP options of clusters."""
    for node in source.spec["configPatches"].elements():
        value = node["patch"]["value"].either("typed_extension_protocol_options", "typedExtensionProtocolOptions")
        for _, options in value.entries() if node["applyTo"].text() == "CLUSTER" else ():
            mirrors = options.either("request_mirror_policies", "requestMirrorPolicies")
            if mirrors.elements():
                yield problem(source, mirrors, "puts mirrors into the HTTP options of a cluster")


def _unread(mirror: AddedMirror) -> bool:
    """Whether it cannot be read what a header's value takes, though the patch sets it."""
    value, _ = mirror.addition.written.get(mirror.header, ("", False))
    return bool(value) and not mirror.condition


RULES: Final[tuple[Rule, ...]] = (
    redirect,
    unaimed,
    forgeable,
    collapsed,
    credentials,
    side_effects,
    websockets,
    unmarked,
    unbounded,
    shared_header,
    cluster_level,
)
