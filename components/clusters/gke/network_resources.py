"""The network of a cluster, made or taken."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from ...argument_types import known_text
from ...refusal import late
from .networks import PODS_RANGE, SERVICES_RANGE, ExistingNetwork, Network, NewNetwork
from .paths import NetworkPaths, network_paths


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The network as the cluster needs it."""

    project: pulumi.Input[str]
    """Project that the network belongs to."""
    network: pulumi.Input[str]
    subnetwork: pulumi.Input[str]
    pods_range: str
    services_range: str
    way_out: tuple[pulumi.Resource, ...]
    """What nodes need to reach registries."""


def network_children(network: Network) -> tuple[str, ...]:
    """What :func:`create_network` makes, by the part of each name after the component's."""
    return () if isinstance(network, ExistingNetwork) else ("network", "subnet", "router", "nat")


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
        paths = _paths(network, project=project, region=region)
        return Placement(
            project=paths.apply(lambda known: known.project),
            network=paths.apply(lambda known: known.network),
            subnetwork=paths.apply(lambda known: known.subnetwork),
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
        project=project,
        network=vpc.self_link,
        subnetwork=subnet.self_link,
        pods_range=PODS_RANGE,
        services_range=SERVICES_RANGE,
        way_out=(_nat(name, vpc, subnet, project=project, region=region, opts=opts),),
    )


def _paths(network: ExistingNetwork, *, project: str, region: str) -> pulumi.Output[NetworkPaths]:
    """Full names, also of what is known late."""

    def paths(values: "list[object]") -> NetworkPaths:
        return network_paths(
            known_text(values[0], field="network.network"),
            known_text(values[1], field="network.subnetwork"),
            network_project=network.project,
            cluster_project=project,
            region=region,
        )

    given: list[pulumi.Input[object]] = [network.network, network.subnetwork]
    return pulumi.Output.all(*given).apply(late(paths))


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
