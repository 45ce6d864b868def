"""A GKE cluster with its network, nodes and identity."""

from typing import Final

import pulumi
import pulumi_gcp as gcp

from ...argument_types import require_args
from ...customizing import Component
from ...options import refuse_ignored_provider
from ...refusal import late
from ..handle import ClusterHandle
from ..names import check_component_name
from ..provider import cluster_provider
from .args import GkeClusterArgs
from .credentials import address, kubeconfig
from .endpoint import AuthorizedNetworks
from .modes import StandardMode
from .network_resources import Placement, create_network, network_children
from .networks import ExistingNetwork
from .nodes import account_children, create_account, create_node_pool
from .settings import cluster_settings
from .state import told, warn_of_state

ISTIOD_WEBHOOK_PORT: Final = 15017
"""Port of istiod's injection and validation webhooks on its pods.
Source: https://istio.io/latest/docs/ops/deployment/application-requirements/."""


class GkeCluster(Component):
    """A GKE cluster that is private, least privileged and patched by itself.

    Creates a network with Cloud NAT (or uses an existing one), a service account for the nodes, the cluster, in
    Standard mode a node pool, a firewall rule for istiod's webhook, and a Kubernetes provider. Creates no Kubernetes
    objects, no KMS key, and connects no networks with each other.

    Prerequisites: the APIs ``container``, ``compute`` and ``iam`` are enabled in the project, and the Google Cloud
    provider in effect may create all of the above.
    """

    TYPE = "trafficmirror:index:GkeCluster"

    handle: ClusterHandle
    """For the components that put objects into the cluster."""
    cluster_name: pulumi.Output[str]
    """Name of the cluster in Google Cloud."""
    server: pulumi.Output[str]
    """URL of the API server."""
    kubeconfig: pulumi.Output[str]
    """Kubeconfig for this cluster alone; secret."""
    network: pulumi.Output[str]
    """Self link or full name of the network that the cluster is in; :class:`NetworkPeering` takes it."""
    ranges: dict[str, str]
    """Address ranges that the cluster takes in its network; :class:`NetworkPeering` compares them with another's."""
    node_account_email: pulumi.Output[str]
    """Service account of the nodes, e.g. to let them read another registry."""

    def __init__(self, name: str, args: GkeClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Create the cluster.

        Args:
            name: Logical name; prefix of the children's names and of the names in Google Cloud. Lower case, 24
                characters at most.
            args: What to create.
            opts: Options of the component. Children inherit its Google Cloud provider.

        Raises:
            ValidationError: The name does not fit Google Cloud.
        """
        args = require_args(args, GkeClusterArgs)
        refuse_ignored_provider(opts, inherits="gcp")
        check_component_name(name)
        super().__init__(self.TYPE, name, args, opts, children=_children(args))
        self._args = args
        self._name = name
        # The provider's own protection refuses the cluster's deletion only: without this, a destroy takes everything
        # inside and the nodes first. None leaves it to the component's own options.
        self._protection = True if args.deletion_protection else None
        kept = pulumi.ResourceOptions(parent=self, protect=self._protection)
        placement = create_network(name, args.network, project=args.project, region=args.region, opts=kept)
        account, grants = create_account(name, args, opts=kept)
        # Nodes that start before their grants or their way out report errors or hang at image pulls.
        before = (*grants, *placement.way_out)
        cluster = self._cluster(placement, account, before)
        ready = (*self._node_pools(cluster, account, before), *self._firewall(placement, account))
        warn_of_state(cluster, args.network.ranges, own_pools=isinstance(args.mode, StandardMode))
        self._publish(cluster, placement, account)
        self.handle = self._handle(cluster, ready)
        self.register_outputs(
            {
                "clusterName": self.cluster_name,
                "server": self.server,
                "kubeconfig": self.kubeconfig,
                "network": self.network,
                "nodeAccountEmail": self.node_account_email,
            }
        )

    def _cluster(
        self, placement: Placement, account: "gcp.serviceaccount.Account", before: tuple[pulumi.Resource, ...]
    ) -> "gcp.container.Cluster":
        return gcp.container.Cluster(
            f"{self._name}-cluster",
            cluster_settings(self._name, self._args, placement, account.email),
            pulumi.ResourceOptions(
                parent=self,
                protect=self._protection,
                depends_on=before,
                # The default pool is gone, and with it what it was made of.
                ignore_changes=["nodeConfig"] if isinstance(self._args.mode, StandardMode) else None,
            ),
        )

    def _node_pools(
        self,
        cluster: "gcp.container.Cluster",
        account: "gcp.serviceaccount.Account",
        before: tuple[pulumi.Resource, ...],
    ) -> tuple[pulumi.Resource, ...]:
        mode = self._args.mode
        if not isinstance(mode, StandardMode):
            return (cluster,)
        pool = create_node_pool(
            self._name,
            self._args,
            mode,
            cluster=cluster,
            account_email=account.email,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=self._protection,
                depends_on=before,
                # Counts for the pool's first minute only, follows min_nodes and zones, and would replace the pool.
                ignore_changes=["initialNodeCount"],
            ),
        )
        return (pool,)

    def _firewall(self, placement: Placement, account: "gcp.serviceaccount.Account") -> tuple[pulumi.Resource, ...]:
        args = self._args
        network = args.network
        if not _has_firewall(args):
            return ()
        # The API server's calls leave from the connectivity agents on the nodes, or from the control plane's range.
        sources = [network.node_cidr, network.pod_cidr]
        if isinstance(args.endpoint, AuthorizedNetworks) and args.endpoint.control_plane_cidr:
            sources.append(args.endpoint.control_plane_cidr)
        rule = gcp.compute.Firewall(
            f"{self._name}-istiod-webhook",
            project=placement.project,
            network=placement.network,
            description="API server to istiod: without it, sidecar injection and validation time out",
            direction="INGRESS",
            source_ranges=sources,
            # By identity, not by tag: whoever may edit a machine may give it a tag.
            target_service_accounts=[account.email],
            allows=[gcp.compute.FirewallAllowArgs(protocol="tcp", ports=[str(ISTIOD_WEBHOOK_PORT)])],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return (rule,)

    def _publish(
        self, cluster: "gcp.container.Cluster", placement: Placement, account: "gcp.serviceaccount.Account"
    ) -> None:
        args = self._args
        self.cluster_name = cluster.name
        self.server = address(cluster, args.endpoint)
        self.kubeconfig = kubeconfig(cluster, endpoint=args.endpoint, credentials=args.credentials, parent=self)
        self.network = pulumi.Output.from_input(placement.network)
        self.ranges = args.network.ranges
        self.node_account_email = account.email

    def _handle(self, cluster: "gcp.container.Cluster", ready: tuple[pulumi.Resource, ...]) -> ClusterHandle:
        provider = cluster_provider(
            f"{self._name}-provider",
            kubeconfig=self.kubeconfig,
            # Ends with a generated name, so a replaced cluster has another one and its objects are made anew.
            identity=cluster.id,
            # Objects come after the nodes that run them, and go before.
            opts=pulumi.ResourceOptions(parent=self, depends_on=ready),
        )
        return ClusterHandle(
            name=self._name,
            provider=provider,
            platform=self._args.platform,
            kubernetes_version=cluster.id.apply(lambda _: cluster.master_version).apply(late(_version)),
            ready=ready,
        )


def _has_firewall(args: GkeClusterArgs) -> bool:
    return not isinstance(args.network, ExistingNetwork) or args.network.firewall


def _children(args: GkeClusterArgs) -> list[str]:
    nodes = ["nodes"] if isinstance(args.mode, StandardMode) else []
    firewall = ["istiod-webhook"] if _has_firewall(args) else []
    return [*network_children(args.network), *account_children(args), "cluster", *nodes, *firewall, "provider"]


def _version(version: str | None) -> str:
    return told(version, what="its Kubernetes version", field="cluster", remedy="run `pulumi refresh`")
