"""A cluster component for Azure: all that the library has to know of AKS is in this folder."""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from pulumi_traffic_mirror import ClusterHandle, ClusterPlatform

AKS: Final = ClusterPlatform(
    # Source: https://learn.microsoft.com/azure/aks/internal-lb. Other regions arrive over peered networks as it is, and
    # Istio's charts have no settings for this platform.
    internal_load_balancer={"service.beta.kubernetes.io/azure-load-balancer-internal": "true"},
)


@dataclass(frozen=True, kw_only=True)
class AksClusterArgs:
    """What Azure tells of a cluster; a whole component makes network, cluster and node pools and takes it from them."""

    kubeconfig: pulumi.Input[str]
    """As ``azure_native.containerservice.list_managed_cluster_user_credentials_output`` has it; kept secret."""
    identity: pulumi.Input[str]
    """Resource id of the cluster: when it changes, everything in the cluster is made anew."""


class AksCluster(pulumi.ComponentResource):
    """One cluster on Azure, to put objects into."""

    handle: ClusterHandle
    """For the components of the library."""

    def __init__(self, name: str, args: AksClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the provider and the handle."""
        super().__init__("example:index:AksCluster", name, {}, opts)
        provider = k8s.Provider(
            f"{name}-provider",
            kubeconfig=pulumi.Output.secret(args.kubeconfig),
            cluster_identifier=args.identity,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.handle = ClusterHandle(name=name, provider=provider, platform=AKS)
        self.register_outputs({})
