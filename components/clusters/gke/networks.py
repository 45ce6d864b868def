"""Where a cluster lives: a network of its own, or somebody else's."""

from dataclasses import dataclass
from typing import TypeAlias

import pulumi
import pulumi_gcp as gcp

from ...argument_types import check_types
from ..addresses import check_disjoint, check_private_range
from ..names import check_project

PODS_RANGE = "pods"
SERVICES_RANGE = "services"
"""Names of the secondary ranges. Fixed: a subnet's ranges are looked up by name."""

_NODE_SIZES = (8, 28)
_POD_SIZES = (9, 24)
_SERVICE_SIZES = (16, 27)
"""Prefix lengths. Source: https://cloud.google.com/kubernetes-engine/docs/concepts/alias-ips."""


@dataclass(frozen=True, kw_only=True)
class NewNetwork:
    """A network for this cluster alone.

    Clusters that mirror to each other over internal addresses are connected by peering or VPN, which refuses
    overlapping ranges: give the second cluster others (:class:`NetworkPeering` compares them).
    """

    node_cidr: str = "10.64.0.0/20"
    """Range of nodes and internal load balancers."""
    pod_cidr: str = "10.65.0.0/16"
    """Range of pods; each node takes a /24 of it."""
    service_cidr: str = "10.64.16.0/20"
    """Range of cluster addresses of services."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValidationError: A range is wrong, or two overlap.
        """
        check_types(self, within="network")
        for name, (widest, narrowest) in (
            ("node_cidr", _NODE_SIZES),
            ("pod_cidr", _POD_SIZES),
            ("service_cidr", _SERVICE_SIZES),
        ):
            check_private_range(getattr(self, name), field=f"network.{name}", widest=widest, narrowest=narrowest)
        check_disjoint({f"network.{name}": cidr for name, cidr in self.ranges.items()})

    @property
    def ranges(self) -> dict[str, str]:
        """Every range by the name of its field."""
        return {"node_cidr": self.node_cidr, "pod_cidr": self.pod_cidr, "service_cidr": self.service_cidr}


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """A network that exists, e.g. a Shared VPC.

    Nodes have no external addresses, so it must offer a way out (Cloud NAT) to the registries of the images, and
    Private Google Access on the subnetwork.
    """

    network: pulumi.Input[str]
    """Name or self link; the self link for a Shared VPC."""
    subnetwork: pulumi.Input[str]
    """Name or self link of a subnetwork in the cluster's region."""
    pods_range: str
    """Name of its secondary range for pods."""
    services_range: str
    """Name of its secondary range for services."""
    node_cidr: str
    """Primary range of the subnetwork; the firewall rule for istiod's webhook is made for it."""
    pod_cidr: str
    """Address range behind :attr:`pods_range`; as above."""
    firewall: bool = True
    """Create the firewall rule for istiod's webhook. ``False`` where only the network's owner may create rules."""
    project: str | None = None
    """Host project of a Shared VPC; ``None`` means the cluster's own project."""

    def __post_init__(self) -> None:
        """Check the plain values.

        Raises:
            ValidationError: A range or the project is wrong, or the ranges overlap.
        """
        check_types(self, within="network")
        check_private_range(self.node_cidr, field="network.node_cidr", widest=_NODE_SIZES[0], narrowest=_NODE_SIZES[1])
        check_private_range(self.pod_cidr, field="network.pod_cidr", widest=_POD_SIZES[0], narrowest=_POD_SIZES[1])
        check_disjoint({f"network.{name}": cidr for name, cidr in self.ranges.items()})
        if self.project is not None:
            check_project(self.project, field="network.project")

    @property
    def ranges(self) -> dict[str, str]:
        """Every range that is known, by the name of its field."""
        return {"node_cidr": self.node_cidr, "pod_cidr": self.pod_cidr}


Network: TypeAlias = NewNetwork | ExistingNetwork


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The network as the cluster needs it."""

    network: pulumi.Input[str]
    subnetwork: pulumi.Input[str]
    pods_range: str
    services_range: str
    way_out: tuple[pulumi.Resource, ...]
    """What nodes need to reach registries."""


def create_network(
    name: str, network: Network, *, project: str, region: str, opts: pulumi.ResourceOptions
) -> Placement:
    """Create the network of a cluster, or take the one that exists.

    Args:
        name: Name of the cluster's component.
        network: Which.
        project: The cluster's project.
        region: The cluster's region.
        opts: Options of each resource; the parent at least.

    Returns:
        Where the cluster goes.
    """
    if isinstance(network, ExistingNetwork):
        return Placement(
            network=network.network,
            subnetwork=network.subnetwork,
            pods_range=network.pods_range,
            services_range=network.services_range,
            way_out=(),
        )
    vpc = gcp.compute.Network(
        f"{name}-network",
        project=project,
        auto_create_subnetworks=False,  # the default subnets of every region overlap with everybody else's
        routing_mode="GLOBAL",  # the other cluster may be reached over a VPN in another region
        opts=opts,
    )
    subnet = _subnetwork(name, network, vpc, project=project, region=region, opts=opts)
    return Placement(
        network=vpc.self_link,
        subnetwork=subnet.self_link,
        pods_range=PODS_RANGE,
        services_range=SERVICES_RANGE,
        way_out=(_nat(name, vpc, subnet, project=project, region=region, opts=opts),),
    )


def _subnetwork(
    name: str,
    network: NewNetwork,
    vpc: "gcp.compute.Network",
    *,
    project: str,
    region: str,
    opts: pulumi.ResourceOptions,
) -> "gcp.compute.Subnetwork":
    return gcp.compute.Subnetwork(
        f"{name}-subnet",
        project=project,
        region=region,
        network=vpc.self_link,
        ip_cidr_range=network.node_cidr,
        secondary_ip_ranges=[
            gcp.compute.SubnetworkSecondaryIpRangeArgs(range_name=PODS_RANGE, ip_cidr_range=network.pod_cidr),
            gcp.compute.SubnetworkSecondaryIpRangeArgs(range_name=SERVICES_RANGE, ip_cidr_range=network.service_cidr),
        ],
        private_ip_google_access=True,  # nodes without external addresses still reach Google's APIs and registries
        opts=opts,
    )


def _nat(
    name: str,
    vpc: "gcp.compute.Network",
    subnet: "gcp.compute.Subnetwork",
    *,
    project: str,
    region: str,
    opts: pulumi.ResourceOptions,
) -> "gcp.compute.RouterNat":
    router = gcp.compute.Router(f"{name}-router", project=project, region=region, network=vpc.self_link, opts=opts)
    return gcp.compute.RouterNat(
        f"{name}-nat",
        project=project,
        region=region,
        router=router.name,
        nat_ip_allocate_option="AUTO_ONLY",
        # This subnet only: a subnet that somebody adds later gets no way out by accident.
        source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
        subnetworks=[
            gcp.compute.RouterNatSubnetworkArgs(name=subnet.self_link, source_ip_ranges_to_nats=["ALL_IP_RANGES"]),
        ],
        # Dropped connections only: the cheapest record that still explains a failed image pull.
        log_config=gcp.compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
        opts=opts,
    )
