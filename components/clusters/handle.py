"""What the rest of the library knows about a cluster, however it came to be."""

from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types
from .platform import ClusterPlatform


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """One cluster to put objects into; get it from ``GkeCluster.handle`` or ``ExistingCluster.handle``, or make one.

    A handle says nothing about a cluster's part in mirroring: the same cluster may send and receive copies.
    """

    name: str
    """Name of the component that made the handle; prefix of nothing, used in messages."""
    provider: k8s.Provider
    """Every object in this cluster is created through this provider. Its kubeconfig is a secret."""
    platform: ClusterPlatform = field(default_factory=ClusterPlatform)
    """What the cloud wants of the objects. By default nothing, as on kind or on premises."""
    kubernetes_version: pulumi.Output[str] | None = None
    """Version of the control plane as it was last read; ``None`` where nobody asked the cluster."""
    ready: tuple[pulumi.Resource, ...] = ()
    """What must exist before pods can run. Objects wait for it already, because the provider does."""

    def __post_init__(self) -> None:
        """Check the types: through a provider of another kind, objects would go to whatever cluster is the default.

        Raises:
            ValidationError: One is wrong.
        """
        check_types(self)
