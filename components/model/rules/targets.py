"""Rules on where mirrors go: the target must exist, be named without doubt, and speak the same protocol."""

from collections.abc import Iterator
from typing import Final

from .envoy import SIDECAR
from .hosts import covers
from .objects import GATEWAY_GROUP, KubeObject, exported, is_ambient, service_name
from .policies import Policy, faulty, home, proxies, workload_selector
from .ports import family, name_fault, port_nodes, port_number, port_protocol, spoken_by
from .reach import service_entry
from .registry import Case, Report, Rule, Scope, Severity, mirror_rule, problem
from .sites import Site

DESTINATION_REFERENCE: Final = "https://istio.io/latest/docs/reference/config/networking/virtual-service/#Destination"
PROTOCOL_REFERENCE: Final = "https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/"
DESTINATION_RULE_LOOKUP: Final = (
    "https://istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration"
)


@mirror_rule(
    rule_id="mirror-target-short-name",
    title="The target is a full name",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Istio completes a name without dots with the route's namespace, and takes every other short form as it is.",
    source=DESTINATION_REFERENCE,
    remedy="Write name.namespace.svc.cluster.local",
)
def short_name(case: Case, site: Site) -> Iterator[Report]:
    """Report short names."""
    written = site.target.written
    if site.route.native or not written or service_name(written) or service_entry(case.cluster, written):
        return
    if "." not in written:
        yield problem(
            site.source, site.destination["host"], f"{written!r} means {site.target.host} in this namespace only"
        )
    elif written.count(".") == 1 or written.endswith(".svc"):
        yield problem(site.source, site.destination["host"], f"{written!r} is not completed: Istio takes it as it is")


@mirror_rule(
    rule_id="mirror-target-no-port",
    title="The target names its port",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Without a port and with several Service ports Istio guesses the listener's, and silently mirrors nothing.",
    source=DESTINATION_REFERENCE,
    remedy="Add port: {number: …}",
)
def no_port(case: Case, site: Site) -> Iterator[Report]:
    """Report targets without a port."""
    if site.target.port is None:
        yield problem(site.source, site.destination, f"{site.target.written or 'the target'} is given without a port")


@mirror_rule(
    rule_id="mirror-target-undefined",
    title="The target is known to the mesh",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A route to a host that no Service and no ServiceEntry defines has no cluster: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/",
    remedy="Define a ServiceEntry for an outside host, or correct the name",
)
def undefined(case: Case, site: Site) -> Iterator[Report]:
    """Report targets that nothing defines."""
    host, cluster = site.target.host, case.cluster
    if not host:
        yield problem(site.source, site.destination, "no target host is named")
    elif not cluster.complete or service_entry(cluster, host):
        return
    elif service_name(host):
        # Files often leave Services to another folder; with some of the namespace at hand this one should be there.
        given = any(service.namespace == home(cluster, host) for service in cluster.of("Service"))
        if given and not cluster.service(host):
            yield problem(site.source, site.destination, f"no Service {host} is defined")
    else:
        yield problem(site.source, site.destination, f"no ServiceEntry defines {host}")


@mirror_rule(
    rule_id="mirror-target-port-undefined",
    title="The target has the port that is named",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="There is no cluster for a port that the Service or ServiceEntry lacks: copies vanish without an error.",
    source=DESTINATION_REFERENCE,
    remedy="Name one of the target's ports, or add the port to it",
)
def port_undefined(case: Case, site: Site) -> Iterator[Report]:
    """Report ports that the target lacks."""
    port = site.target.port
    found = port_nodes(case.cluster, site.target.host)
    if port is None or found is None:
        return
    numbers = [port_number(node) for node in found[1]]
    if port not in numbers:
        known = ", ".join(str(number) for number in numbers if number) or "no port"
        yield problem(site.source, site.destination, f"{found[0]} has {known}, not {port}")


@mirror_rule(
    rule_id="mirror-subset-undefined",
    title="The target's subset is defined",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A subset that no DestinationRule in reach defines has no cluster: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/destination-rule/#Subset",
    remedy="Define the subset in the DestinationRule of its host",
)
def subset_undefined(case: Case, site: Site) -> Iterator[Report]:
    """Report subsets that no DestinationRule defines."""
    target = site.target
    if not target.subset:
        return

    def lacks_it(found: Policy) -> bool:
        return not found.subset.given and (found.rule is not None or case.cluster.complete)

    for _, found, _ in faulty(case.cluster, site.route, target, lacks_it):
        where = (
            f"{found.rule} does not define it" if found.rule else f"no DestinationRule for {target.host} is in reach"
        )
        yield problem(site.source, site.destination, f"subset {target.subset!r} is unknown: {where}")
        return


@mirror_rule(
    rule_id="mirror-is-primary",
    title="A mirror goes elsewhere than its primary",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The service that answers would handle each request twice, with all its side effects.",
    source="Follows from what a mirror is.",
    remedy="Mirror to another Service or subset",
)
def is_primary(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors to the primary."""
    target = site.target
    for primary in site.route.primaries:
        same_port = primary.port == target.port or None in (primary.port, target.port)
        same_pods = primary.subset == target.subset or "" in (primary.subset, target.subset)
        if primary.host == target.host and same_port and same_pods:
            what = "takes in the mirror's pods" if primary.subset != target.subset else "is the mirror itself"
            yield problem(site.source, site.destination, f"the primary {primary.host} {what}")
            return


@mirror_rule(
    rule_id="mirror-duplicate",
    title="A route mirrors to each target once",
    severity=Severity.WARNING,
    scope=Scope.ROUTE,
    why="Each entry sends its own copy, and the proxy picks the same requests for both.",
    source="https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto",
    remedy="Keep one entry with the share that is meant",
)
def duplicate(case: Case, site: Site) -> Iterator[Report]:
    """Report a target that an earlier mirror of the same entry has."""
    for other in case.cluster.routing.of_route(site.route):
        if other is site:
            return
        if other.target == site.target and not other.rests:
            yield problem(site.source, site.node, f"{site.target.host} is already mirrored to at {other.node.path}")
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
def not_a_split(case: Case, site: Site) -> Iterator[Report]:
    """Report the first of several mirrors whose shares add up to 100."""
    together = case.cluster.routing.of_route(site.route)
    if len(together) < 2 or together[0] is not site:  # noqa: PLR2004 -- several
        return
    shares = [other.percent for other in together]
    known = [share for share in shares if share]
    if len(known) == len(shares) and abs(sum(known) - 100) < 1e-6:  # noqa: PLR2004 -- all of them
        yield problem(site.source, site.node, "shares add up to 100 %, but the mirrors get the same requests")


@mirror_rule(
    rule_id="mirror-target-not-allowed",
    title="Mirrors go only where the house allows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A mirror carries production data to wherever it goes.",
    source="Set by the house; off by default.",
    remedy="Choose an allowed target, or have this one allowed",
)
def not_allowed(case: Case, site: Site) -> Iterator[Report]:
    """Report targets outside the house's list."""
    allowed = case.settings.allowed_targets
    if allowed and not any(covers(pattern, site.target.host) for pattern in allowed):
        yield problem(site.source, site.destination, f"{site.target.host} is not among {', '.join(allowed)}")


@mirror_rule(
    rule_id="mirror-protocol",
    title="The target's port speaks the primary's protocol",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="The port's protocol decides between HTTP/1.1 and HTTP/2 upstream; gRPC over HTTP/1.1 fails at the mirror only,"
    " where nobody looks.",
    source=PROTOCOL_REFERENCE,
    remedy="Set the port's protocol (ServiceEntry) or its name or appProtocol (Service) to that of the primary",
)
def protocol(case: Case, site: Site) -> Iterator[Report]:
    """Report a target port whose protocol differs from the primary's."""
    found = port_nodes(case.cluster, site.target.host)
    ports = [node for node in found[1] if port_number(node) == site.target.port] if found else []
    spoken = spoken_by(case.cluster, site)
    if not found or len(ports) != 1 or not spoken:
        return
    subject, port = found[0], ports[0]
    theirs = family(port_protocol(subject, port))
    if theirs and theirs != spoken:
        carried = "HTTP/2 (gRPC)" if spoken == "http2" else "HTTP/1.1"
        said = port_protocol(subject, port)
        yield problem(
            subject, port, f"port {site.target.port} speaks {said}, but the primary of {site.source} speaks {carried}"
        )


@mirror_rule(
    rule_id="mirror-port-name",
    title="Ports that mirrors use say which protocol they carry",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Istio reads a Service port's protocol from its name; whoever reads a ServiceEntry takes the name for it.",
    source=PROTOCOL_REFERENCE,
    remedy="Name the port after its protocol, e.g. grpc, or set appProtocol",
)
def port_name(case: Case, site: Site) -> Iterator[Report]:
    """Report ports without a protocol in their name, or with another one than they carry."""
    spoken = spoken_by(case.cluster, site)
    for target in (site.target, *site.route.primaries):
        found = port_nodes(case.cluster, target.host)
        for port in found[1] if found else ():
            if found and target.port in (None, port_number(port)):
                message = name_fault(found[0], port, spoken)
                if message:
                    yield problem(found[0], port["name"], message)


@mirror_rule(
    rule_id="destination-rule-out-of-reach",
    title="A target's DestinationRule is in reach of the proxy that mirrors",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A proxy looks for it in its own namespace, in the target's and in the root namespace; elsewhere it is ignored"
    " with all its brakes and TLS settings.",
    source=DESTINATION_RULE_LOOKUP,
    remedy="Move it to the target's namespace, or export it",
)
def rule_out_of_reach(case: Case, site: Site) -> Iterator[Report]:
    """Report DestinationRules for the target that a sender never finds."""
    for namespace, _, _ in faulty(case.cluster, site.route, site.target, lambda found: found.rule is None):
        covering = case.cluster.destination_rules.covering(site.target.host)
        rules = [rule for rule in covering if rule.spec["host"].text() != "*"]
        for_all = [rule for rule in rules if workload_selector(rule) is None]
        if not for_all:
            return
        where = f"proxies in {namespace} that mirror to {site.target.host}"
        hiding = next((rule for rule in rules if rule.namespace == namespace and rule not in for_all), None)
        if hiding:
            message = f"{where} are not chosen by it, and because of it they ignore {for_all[0]}"
            remedy = f"Add one without workloadSelector in {namespace}, with exportTo: [{namespace}]"
            yield problem(hiding, "spec.workloadSelector", message, remedy=remedy)
        else:
            yield problem(for_all[0], "metadata.namespace", f"{where} ignore it")
        return


@mirror_rule(
    rule_id="service-entry-hidden",
    title="A target's ServiceEntry is visible to the proxy that mirrors",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="A host that is not exported to the proxy's namespace has no cluster there: copies vanish without an error.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/",
    remedy="Add the namespace of the gateway to exportTo",
)
def entry_hidden(case: Case, site: Site) -> Iterator[Report]:
    """Report ServiceEntries that a sender does not see."""
    for _, namespace in proxies(case.cluster, site.route):
        entry = service_entry(case.cluster, site.target.host, namespace)
        if entry and not exported(entry, namespace):
            yield problem(
                entry, "spec.exportTo", f"proxies in {namespace} that mirror to {site.target.host} do not see it"
            )
            return


@mirror_rule(
    rule_id="service-entry-without-address",
    title="A target's ServiceEntry says where it is",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="With resolution NONE, which is the default, a proxy sends to the address that the caller had connected to; a"
    " copy has none, so it goes nowhere.",
    source="https://istio.io/latest/docs/reference/config/networking/service-entry/#ServiceEntry-Resolution",
    remedy="Set resolution to STATIC with endpoints, or to DNS",
)
def entry_without_address(case: Case, site: Site) -> Iterator[Report]:
    """Report ServiceEntries that leave the address to the caller."""
    entry = None if service_name(site.target.host) else service_entry(case.cluster, site.target.host)
    if entry and entry.spec["resolution"].text("NONE") == "NONE":
        yield problem(entry, "spec.resolution", f"copies to {site.target.host} have no address to go to")


@mirror_rule(
    rule_id="mirror-target-headless",
    title="What sidecars mirror to has an address of its own",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="A sidecar sends requests for a headless Service to the address that the caller had connected to; a copy has"
    " none, so it goes nowhere. A gateway chooses a pod.",
    source="Measured; https://istio.io/latest/docs/ops/configuration/traffic-management/traffic-routing/",
    remedy="Mirror to a Service with a cluster IP for the same pods",
)
def headless(case: Case, site: Site) -> Iterator[Report]:
    """Report headless Services that sidecars mirror to; what a waypoint does cannot be told."""
    service = case.cluster.service(site.target.host)
    if not service or service.spec["clusterIP"].text() != "None":
        return
    places = [namespace for kind, namespace in proxies(case.cluster, site.route) if kind == SIDECAR]
    if any(not is_ambient(case.cluster.find("Namespace", "default", place)) for place in places):
        message = f"copies of sidecars to {site.target.host} have no address to go to"
        yield problem(service, service.spec["clusterIP"], message)


@mirror_rule(
    rule_id="mirror-not-granted",
    title="A target in another namespace lets the route refer to it",
    severity=Severity.ERROR,
    scope=Scope.CLUSTER,
    why="On a gateway, a reference of the Gateway API to another namespace counts only with a ReferenceGrant there;"
    " without it the mirror is left out, and only the route's status says so.",
    source="https://gateway-api.sigs.k8s.io/api-types/referencegrant/",
    remedy="Add a ReferenceGrant in the target's namespace",
)
def not_granted(case: Case, site: Site) -> Iterator[Report]:
    """Report mirrors of the Gateway API to another namespace that grants nothing."""
    service, own = service_name(site.target.host), site.source
    if not (site.route.native and site.at_gateway and case.cluster.complete and service):
        return
    name, namespace = service
    if namespace != own.namespace and not any(
        grant.namespace == namespace and _grants(grant, own, name) for grant in case.cluster.of("ReferenceGrant")
    ):
        message = f"no ReferenceGrant in {namespace} lets {own.kind}s of {own.namespace} refer to Service {name}"
        yield problem(own, site.destination, message)


def _grants(grant: KubeObject, route: KubeObject, name: str) -> bool:
    """Whether a ReferenceGrant lets a route refer to a Service of the grant's namespace."""
    given = [
        (node["kind"].text(), node["group"].text(), node["namespace"].text()) for node in grant.spec["from"].elements()
    ]
    named = [(node["kind"].text(), node["name"].text(name)) for node in grant.spec["to"].elements()]
    return (route.kind, GATEWAY_GROUP, route.namespace) in given and ("Service", name) in named


@mirror_rule(
    rule_id="mirror-destination-rule-twice",
    title="One DestinationRule governs a target",
    severity=Severity.WARNING,
    scope=Scope.CLUSTER,
    why="Of two DestinationRules for one host in one namespace Istio takes the older one's traffic policy.",
    source="https://istio.io/latest/docs/ops/best-practices/traffic-management/",
    remedy="Merge them",
)
def rule_twice(case: Case, site: Site) -> Iterator[Report]:
    """Report a second DestinationRule for the target's host in one namespace."""
    seen: dict[tuple[str, bool, frozenset[tuple[str, str]]], KubeObject] = {}
    rules = case.cluster.destination_rules.exactly(site.target.host)
    for rule in rules if len(rules) > 1 else ():
        selector = workload_selector(rule)
        key = (rule.namespace, selector is None, frozenset((selector or {}).items()))
        first = seen.setdefault(key, rule)
        if first is not rule and first.spec["trafficPolicy"].given and rule.spec["trafficPolicy"].given:
            yield problem(rule, "spec.host", f"{first} governs {site.target.host} as well")


RULES: Final[tuple[Rule, ...]] = (
    short_name,
    no_port,
    undefined,
    port_undefined,
    subset_undefined,
    is_primary,
    duplicate,
    not_a_split,
    not_allowed,
    protocol,
    port_name,
    rule_out_of_reach,
    rule_twice,
    entry_hidden,
    entry_without_address,
    headless,
    not_granted,
)
