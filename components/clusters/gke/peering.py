"""A private way between the networks of two clusters."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from ...model import ValidationError
from ..names import check_component_name


@dataclass(frozen=True, kw_only=True)
class NetworkPeeringArgs:
    """Which two networks; the order does not matter."""

    first: pulumi.Input[str]
    """Self link of a network, e.g. ``GkeCluster.network``."""
    second: pulumi.Input[str]
    """Self link of the other, e.g. an output of the other stack. Their address ranges must not overlap."""

    def __post_init__(self) -> None:
        """Check that there are two.

        Raises:
            ValidationError: Both are the same.
        """
        if isinstance(self.first, str) and self.first == self.second:
            raise ValidationError(
                field="second",
                value=self.second,
                rule="is the first network itself",
                remedy="Name the other cluster's network; clusters in one network need no peering",
            )


class NetworkPeering(pulumi.ComponentResource):
    """Connects two networks, so that mirrors travel between internal addresses and never over the internet.

    Creates both directions, because one alone does nothing; the Google Cloud provider in effect must be allowed to
    administer both networks. Routes between subnets come by themselves, pods included. Creates no firewall rules: GKE
    opens a gateway's load balancer to the gateway's source ranges.
    """

    TYPE = "trafficmirror:index:NetworkPeering"

    state: pulumi.Output[str]
    """``ACTIVE`` once both directions exist."""

    def __init__(self, name: str, args: NetworkPeeringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Connect the networks.

        Args:
            name: Logical name; prefix of the children's names. Lower case, 24 characters at most.
            args: Which networks.
            opts: Options of the component.

        Raises:
            ValidationError: The name does not fit Google Cloud.
        """
        check_component_name(name)
        super().__init__(self.TYPE, name, {}, opts)
        out = gcp.compute.NetworkPeering(
            f"{name}-out",
            network=args.first,
            peer_network=args.second,
            opts=pulumi.ResourceOptions(parent=self),
        )
        back = gcp.compute.NetworkPeering(
            f"{name}-back",
            network=args.second,
            peer_network=args.first,
            # Google Cloud changes one peering of a network at a time, and refuses a second operation beside it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[out]),
        )
        self.state = back.state
        self.register_outputs({"state": self.state})
