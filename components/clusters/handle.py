"""What the rest of the library knows about a cluster, however it came to be."""

from dataclasses import dataclass
from enum import StrEnum, unique

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types
from .locations import region_of


@unique
class ClusterKind(StrEnum):
    """Who makes the cluster; decides which defaults fit (replicas, load balancer annotations)."""

    GKE = "gke"
    """Made by :class:`GkeCluster`."""
    EXISTING = "existing"
    """Made by somebody else and given as a kubeconfig: kind, on premises, any cloud."""


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """One cluster to put objects into; get it from ``GkeCluster.handle`` or ``ExistingCluster.handle``.

    A handle says nothing about a cluster's part in mirroring: the same cluster may send and receive copies.
    """

    name: str
    """Name of the component that made the handle; prefix of nothing, used in messages."""
    provider: k8s.Provider
    """Every object in this cluster is created through this provider. Its kubeconfig is a secret."""
    kind: ClusterKind
    """See :class:`ClusterKind`."""
    location: str | None = None
    """Google Cloud region or zone, e.g. ``"europe-west1"``; ``None`` where nobody said."""
    kubernetes_version: pulumi.Output[str] | None = None
    """Version of the control plane as it was last read; ``None`` where nobody asked the cluster."""
    autopilot: bool = False
    """Whether Google runs the nodes, on which nothing may be installed then."""
    ready: tuple[pulumi.Resource, ...] = ()
    """What must exist before pods can run. Objects wait for it already, because the provider does."""

    def __post_init__(self) -> None:
        """Check the types: through a provider of another kind, objects would go to whatever cluster is the default.

        Raises:
            ValidationError: One is wrong.
        """
        check_types(self)

    @property
    def region(self) -> str | None:
        """Region of :attr:`location`; clusters of different regions need load balancers with global access."""
        return None if self.location is None else region_of(self.location)
