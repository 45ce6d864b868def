"""A private way between the networks of two clusters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pulumi
import pulumi_gcp as gcp

from ...model import ValidationError
from ..addresses import check_disjoint
from ..names import check_component_name


@dataclass(frozen=True, kw_only=True)
class NetworkPeeringArgs:
    """Which two networks; the order does not matter."""

    first: pulumi.Input[str]
    """Self link of a network, e.g. ``GkeCluster.network``."""
    second: pulumi.Input[str]
    """Self link of the other, e.g. an output of the other stack. Their address ranges must not overlap."""
    first_ranges: pulumi.Input[Mapping[str, str]] | None = None
    """Address ranges of the first network by name, e.g. ``GkeCluster.ranges``; ``None`` where they are not known."""
    second_ranges: pulumi.Input[Mapping[str, str]] | None = None
    """Those of the other. Both together are checked for overlaps, which Google Cloud refuses only after both clusters
    have been made, when ranges cannot be changed any more."""

    def __post_init__(self) -> None:
        """Check that there are two, and their ranges as far as they are known.

        Raises:
            ValidationError: Both are the same, or two ranges overlap.
        """
        if isinstance(self.first_ranges, Mapping) and isinstance(self.second_ranges, Mapping):
            _check_ranges(self.first_ranges, self.second_ranges)
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
        second = _checked(args)
        out = gcp.compute.NetworkPeering(
            f"{name}-out",
            network=args.first,
            peer_network=second,
            opts=pulumi.ResourceOptions(parent=self),
        )
        back = gcp.compute.NetworkPeering(
            f"{name}-back",
            network=second,
            peer_network=args.first,
            # Google Cloud changes one peering of a network at a time, and refuses a second operation beside it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[out]),
        )
        self.state = back.state
        self.register_outputs({"state": self.state})


def _checked(args: NetworkPeeringArgs) -> pulumi.Input[str]:
    """The second network, once its ranges are known to fit."""
    if args.first_ranges is None or args.second_ranges is None:
        return args.second

    def check(values: "list[object]") -> str:
        first, second, network = values
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            _check_ranges(cast("Mapping[str, str]", first), cast("Mapping[str, str]", second))
        return str(network)

    given: list[pulumi.Input[object]] = [args.first_ranges, args.second_ranges, args.second]
    return pulumi.Output.all(*given).apply(check)


def _check_ranges(first: Mapping[str, str], second: Mapping[str, str]) -> None:
    ranges = {"first_ranges": first, "second_ranges": second}
    check_disjoint({f"{field}.{name}": cidr for field, named in ranges.items() for name, cidr in named.items()})
