"""A private way between the networks of two clusters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pulumi
import pulumi_gcp as gcp

from ...argument_types import check_types, known_text, require_args
from ...customizing import Component, ComponentArgs
from ...model import ValidationError
from ...options import refuse_ignored_provider
from ...refusal import late
from ..addresses import check_disjoint
from ..names import check_component_name
from .paths import check_network


@dataclass(frozen=True, kw_only=True)
class NetworkPeeringArgs(ComponentArgs):
    """Which two networks; the order does not matter."""

    first: pulumi.Input[str]
    """Self link or full name (``projects/<project>/global/networks/<name>``) of a network, e.g.
    ``GkeCluster.network``."""
    second: pulumi.Input[str]
    """The same of the other, e.g. an output of the other stack. Their address ranges must not overlap."""
    first_ranges: pulumi.Input[Mapping[str, str]] | None = None
    """Address ranges of the first network by name, e.g. ``GkeCluster.ranges``; ``None`` where they are not known."""
    second_ranges: pulumi.Input[Mapping[str, str]] | None = None
    """Those of the other. Both together are checked for overlaps, which Google Cloud refuses only after both clusters
    have been made, when ranges cannot be changed any more."""

    def __post_init__(self) -> None:
        """Check that there are two, and their ranges as far as they are known.

        Raises:
            ValidationError: One is no full name, both are the same, or two ranges overlap.
        """
        check_types(self)
        for field in ("first", "second"):
            network = getattr(self, field)
            if isinstance(network, str):
                check_network(network, field=field, bare=False)
        if isinstance(self.first_ranges, Mapping) and isinstance(self.second_ranges, Mapping):
            _check_ranges(self.first_ranges, self.second_ranges)
        if isinstance(self.first, str) and isinstance(self.second, str):
            _check_two(self.first, self.second)


class NetworkPeering(Component):
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
        args = require_args(args, NetworkPeeringArgs)
        refuse_ignored_provider(opts, inherits="gcp")
        check_component_name(name)
        super().__init__(self.TYPE, name, args, opts, children=["out", "back"])
        first, second = _checked(args)
        out = gcp.compute.NetworkPeering(
            f"{name}-out",
            network=first,
            peer_network=second,
            opts=pulumi.ResourceOptions(parent=self),
        )
        back = gcp.compute.NetworkPeering(
            f"{name}-back",
            network=second,
            peer_network=first,
            # Google Cloud changes one peering of a network at a time, and refuses a second operation beside it.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[out]),
        )
        self.state = back.state
        self.register_outputs({"state": self.state})


def _checked(args: NetworkPeeringArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
    """Both networks, once they are known to be two and to fit each other."""

    def check_ranges(values: "list[object]") -> str:
        first, second, network = values
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            _check_ranges(cast("Mapping[str, str]", first), cast("Mapping[str, str]", second))
        return _full_name(network, field="second")

    def check_two(values: "list[str]") -> str:
        _check_two(*values)
        return values[1]

    first = pulumi.Output.from_input(args.first).apply(late(lambda network: _full_name(network, field="first")))
    # Not together with the first network: ranges are often known in a preview that does not know that one.
    ranges: list[pulumi.Input[object]] = [args.first_ranges, args.second_ranges, args.second]
    second = pulumi.Output.all(*ranges).apply(late(check_ranges))
    return first, pulumi.Output.all(first, second).apply(late(check_two))


def _full_name(network: object, *, field: str) -> str:
    name = known_text(network, field=field)
    check_network(name, field=field, bare=False)
    return name


def _check_two(first: str, second: str) -> None:
    one, other = (
        check_network(network, field="second", bare=False).group("project", "name") for network in (first, second)
    )
    if one == other:
        raise ValidationError(
            field="second",
            value=second,
            rule="is the first network itself",
            remedy="Name the other cluster's network; clusters in one network need no peering",
        )


def _check_ranges(first: Mapping[str, str], second: Mapping[str, str]) -> None:
    ranges = {"first_ranges": first, "second_ranges": second}
    check_disjoint({f"{field}.{name}": cidr for field, named in ranges.items() for name, cidr in named.items()})
