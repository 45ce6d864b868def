"""Rules on what the internet reaches: firewalls, load balancers, gateways."""

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from pulumi_traffic_mirror.model.rules import Node, NotJudgedError, Severity
from pulumi_traffic_mirror.model.rules.clusters import ROOT_NAMESPACE

from ..istio import CHARTS, chart_name
from ..resources import Resource
from .registry import Fault, Judgement, OrganisationLimits, ResourceRule, StackRule, fault, guarded, of_type

FIREWALL: Final = "gcp:compute/firewall:Firewall"
POLICY_RULES: Final = tuple(
    f"gcp:compute/{name}:{name[0].upper()}{name[1:]}"
    for name in ("firewallPolicyRule", "networkFirewallPolicyRule", "regionNetworkFirewallPolicyRule")
)
NARROWEST_WORLD: Final = {4: 7, 6: 15}
"""Prefix lengths up to which a range counts as everybody: wider than the largest private range (10.0.0.0/8), so that
two halves of the internet are seen as what they are."""

INTERNAL: Final = {
    "networking.gke.io/load-balancer-type": ("internal",),
    "cloud.google.com/load-balancer-type": ("internal",),
    "service.beta.kubernetes.io/aws-load-balancer-internal": ("true",),
    "service.beta.kubernetes.io/aws-load-balancer-scheme": ("internal",),
    "service.beta.kubernetes.io/azure-load-balancer-internal": ("true",),
}
"""Annotations that keep a load balancer private, with their values in lower case.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#internal-load-balancer."""


def everybody(cidr: str) -> bool:
    """Whether a range covers so much of the internet that it keeps nobody out."""
    try:
        network = ipaddress.ip_network(cidr.strip(), strict=False)
    except ValueError:
        return False
    return network.prefixlen <= NARROWEST_WORLD[network.version]


def _firewall(firewall: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    if firewall.type == FIREWALL:
        yield from _classic(firewall, limits)
    else:
        yield from _policy_rule(firewall, limits)


def _classic(firewall: Resource, limits: OrganisationLimits) -> Iterator[Fault]:
    props = firewall.props
    if props["direction"].text("INGRESS") != "INGRESS" or props["disabled"].known is True:
        return
    allows = props["allows"].elements()
    if not allows or _only_ports(allows, "ports", "protocol", limits):
        return
    sources = props["sourceRanges"]
    if not sources.given:
        # Without any source the rule takes every one.
        if not props["sourceTags"].given and not props["sourceServiceAccounts"].given:
            yield fault(firewall, sources, "without sources everybody is let in")
        return
    yield from _ranges(firewall, sources)


def _policy_rule(rule: Resource, limits: OrganisationLimits) -> Iterator[Fault]:
    props = rule.props
    if props["direction"].text() != "INGRESS" or props["action"].text() != "allow" or props["disabled"].known is True:
        return
    layers = props["match"]["layer4Configs"].elements()
    if not layers or not _only_ports(layers, "ports", "ipProtocol", limits):
        yield from _ranges(rule, props["match"]["srcIpRanges"])


def _only_ports(layers: list[Node], ports: str, protocol: str, limits: OrganisationLimits) -> bool:
    """Whether a rule lets in nothing but ports that the organisation makes public."""
    public = {str(port) for port in limits.public_ports}
    for layer in layers:
        named = layer[ports].texts()
        if layer[protocol].text() not in ("tcp", "udp") or not named or not set(named) <= public:
            return False
    return True


def _ranges(resource: Resource, sources: Node) -> Iterator[Fault]:
    for cidr in sources.elements():
        if everybody(cidr.text()):
            yield fault(resource, cidr, f"{cidr.text()} lets everybody in")


def _is_entrance(resource: Resource) -> bool:
    return (resource.kind == "Service" and not resource.group) or resource.type in CHARTS


def _load_balancer(resource: Resource) -> Node | None:
    """Where a load balancer's settings are; None when there is none."""
    props = resource.props
    if resource.kind == "Service":
        return props["spec"] if props["spec"]["type"].text() == "LoadBalancer" else None
    # Only Istio's gateway chart is known to make a load balancer without being told to.
    service = props["values"]["service"]
    kind = service["type"].text("LoadBalancer" if chart_name(resource) == "gateway" else "")
    return service if kind == "LoadBalancer" else None


def _is_internal(resource: Resource, limits: OrganisationLimits) -> bool:
    holder = resource.props["metadata"] if resource.kind == "Service" else resource.props["values"]["service"]
    notes = holder["annotations"]
    return limits.internal_by_default or any(notes[key].text().lower() in values for key, values in INTERNAL.items())


def _public(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    balancer = _load_balancer(resource)
    if balancer is not None and not _is_internal(resource, limits):
        yield fault(resource, balancer["type"], "the load balancer has a public address on most clouds")


def _open(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    balancer = _load_balancer(resource)
    if balancer is None or _is_internal(resource, limits):
        return
    ranges = balancer["loadBalancerSourceRanges"]
    if not ranges.given or ranges.value == []:
        yield fault(resource, ranges, "everybody reaches the load balancer")
        return
    yield from guarded(resource, _ranges(resource, ranges))


def _has_gateway_class(resource: Resource) -> bool:
    return resource.kind == "Gateway" and resource.group == "gateway.networking.k8s.io"


def _public_gateway(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    name = resource.props["spec"]["gatewayClassName"]
    if "external" in name.text() or "gxlb" in name.text():
        yield fault(resource, name, f"gateways of the class {name.text()!r} have a public address")


def _beside_the_control_plane(stack: Sequence[Resource], limits: OrganisationLimits) -> Iterator[Judgement]:
    roots = {ROOT_NAMESPACE}
    for release in stack:
        with suppress(NotJudgedError):
            roots |= {release.props["namespace"].text()} if chart_name(release) == "istiod" else set()
    for release in stack:
        yield from guarded(release, _in_root_namespace(release, roots))


def _in_root_namespace(release: Resource, roots: set[str]) -> Iterator[Judgement]:
    namespace = release.props["namespace"]
    if chart_name(release) == "gateway" and namespace.text() in roots:
        yield fault(release, namespace, f"the gateway is installed in the mesh's root namespace {namespace.text()}")


RULES: Final[tuple[ResourceRule | StackRule, ...]] = (
    ResourceRule(
        id="firewall-open",
        settings=("public_ports",),
        title="No firewall lets everybody in",
        severity=Severity.ERROR,
        why="0.0.0.0/0 makes every fault of every service behind it the internet's.",
        source="https://cloud.google.com/firewall/docs/firewalls",
        remedy="Name the ranges that need it, or the ports in publicPorts",
        applies=of_type(FIREWALL, *POLICY_RULES),
        check=_firewall,
    ),
    ResourceRule(
        id="load-balancer-public",
        settings=("internal_by_default",),
        title="Load balancers are internal",
        severity=Severity.WARNING,
        why="Mirrors carry what clients sent; a receiver needs to be reached by one other gateway.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/internal-load-balancing",
        remedy="Annotate the Service, on GKE with networking.gke.io/load-balancer-type: Internal",
        applies=_is_entrance,
        check=_public,
    ),
    ResourceRule(
        id="load-balancer-open",
        settings=("internal_by_default",),
        title="A public load balancer names who may reach it",
        severity=Severity.ERROR,
        why="Without ranges the whole internet reaches the gateway, whatever stands in its routes.",
        source="https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/",
        remedy="Name loadBalancerSourceRanges, or make the load balancer internal",
        applies=_is_entrance,
        check=_open,
    ),
    ResourceRule(
        id="gateway-public",
        title="Gateways of the Gateway API are internal",
        severity=Severity.WARNING,
        why="An external class takes a public address and lets everybody in.",
        source="https://cloud.google.com/kubernetes-engine/docs/concepts/gateway-api",
        remedy="Choose an internal class such as gke-l7-rilb",
        applies=_has_gateway_class,
        check=_public_gateway,
    ),
    StackRule(
        id="gateway-release-in-root-namespace",
        title="Istio's gateway chart is installed in a namespace of its own",
        severity=Severity.WARNING,
        why="The chart lets the gateway's account read every Secret of its namespace, and in the root namespace the "
        "key of the mesh's CA is one of them.",
        source="https://istio.io/latest/docs/setup/additional-setup/gateway/",
        remedy="Give the release a namespace of its own",
        applies=of_type(*CHARTS),
        check=_beside_the_control_plane,
    ),
)
