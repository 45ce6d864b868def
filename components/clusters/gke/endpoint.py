"""Who reaches the control plane, and how. No Pulumi resources."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...argument_types import check_types
from ..addresses import CONTROL_PLANE_PREFIX, check_authorized_ranges, check_private_range


@dataclass(frozen=True, kw_only=True)
class DnsEndpoint:
    """The DNS-based endpoint only; the control plane has no address of its own that anybody could call.

    Google's front end asks IAM (``container.clusters.connect``) before a request reaches the cluster, so pipelines
    and people need neither a bastion nor a fixed address.
    Source: https://cloud.google.com/kubernetes-engine/docs/concepts/network-isolation.
    """


@dataclass(frozen=True, kw_only=True)
class AuthorizedNetworks:
    """The control plane's IP endpoint, open to named ranges only."""

    ranges: Mapping[str, str]
    """Name (shown in the console) to IPv4 range, e.g. ``{"office": "203.0.113.0/24"}``. Never ``0.0.0.0/0``."""
    control_plane_cidr: str = "172.16.0.0/28"
    """Private /28 for the control plane's side; must not overlap with anything that the network reaches."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValidationError: A range is wrong or too wide.
        """
        check_types(self, within="endpoint")
        object.__setattr__(self, "ranges", check_authorized_ranges(self.ranges, field="endpoint.ranges"))
        check_private_range(
            self.control_plane_cidr,
            field="endpoint.control_plane_cidr",
            widest=CONTROL_PLANE_PREFIX,
            narrowest=CONTROL_PLANE_PREFIX,
        )
