"""Who reaches the control plane, how, and as whom. No Pulumi resources."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

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
    control_plane_cidr: str | None = None
    """Private /28 for the control plane's side, of a cluster that was made with one; must not overlap with anything
    that the network reaches. ``None``: Google connects the control plane without a range of ours, and endpoints can be
    exchanged in place. Giving one later, or another one, replaces the cluster."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValidationError: A range is wrong or too wide.
        """
        check_types(self, within="endpoint")
        object.__setattr__(self, "ranges", check_authorized_ranges(self.ranges, field="endpoint.ranges"))
        if self.control_plane_cidr is not None:
            check_private_range(
                self.control_plane_cidr,
                field="endpoint.control_plane_cidr",
                widest=CONTROL_PLANE_PREFIX,
                narrowest=CONTROL_PLANE_PREFIX,
            )


@unique
class Credentials(StrEnum):
    """How the Kubernetes provider proves who it is."""

    EXEC_PLUGIN = "exec-plugin"
    """``gke-gcloud-auth-plugin`` asks for a token whenever one is needed. The kubeconfig holds no credential and
    never changes; the plugin must be installed where Pulumi runs.
    Source: https://cloud.google.com/kubernetes-engine/docs/how-to/cluster-access-for-kubectl."""
    ACCESS_TOKEN = "access-token"  # noqa: S105 the name of a way, not a token
    """A token of the identity that runs Pulumi. Nothing to install, but it ends after about an hour and is a new one
    in every run, so every run shows a changed provider, and operations on the old state fail once it has ended."""
