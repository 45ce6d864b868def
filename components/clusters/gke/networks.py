"""Where a cluster lives: a network of its own, or somebody else's."""

from dataclasses import dataclass
from typing import TypeAlias

import pulumi

from ...argument_types import check_types
from ...model import ValidationError
from ..addresses import check_disjoint, check_private_range
from ..names import check_project, check_range_name
from .paths import check_network, check_subnetwork

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
    """Full name (``projects/<project>/global/networks/<name>``), self link, or the name alone, which then belongs to
    :attr:`project`."""
    subnetwork: pulumi.Input[str]
    """The same of a subnetwork in the cluster's region (``projects/<project>/regions/<region>/subnetworks/<name>``)."""
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
    """Host project of a Shared VPC; the firewall rule is made there. ``None`` takes the one that full names tell, else
    the cluster's own project."""

    def __post_init__(self) -> None:
        """Check the plain values.

        Raises:
            ValidationError: A name, a range or the project is wrong, or the ranges overlap.
        """
        check_types(self, within="network")
        if isinstance(self.network, str):
            check_network(self.network, field="network.network")
        if isinstance(self.subnetwork, str):
            check_subnetwork(self.subnetwork, field="network.subnetwork")
        for name in ("pods_range", "services_range"):
            check_range_name(getattr(self, name), field=f"network.{name}")
        if self.services_range == self.pods_range:
            raise ValidationError(
                field="network.services_range",
                value=self.services_range,
                rule="is the range of the pods",
                remedy="Name two secondary ranges of the subnetwork",
            )
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
