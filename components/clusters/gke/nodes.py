"""The nodes of a GKE cluster: who they are and how they are made."""

from typing import Final

import pulumi
import pulumi_gcp as gcp

from ..locations import is_zone
from ..names import account_id
from .args import GkeClusterArgs
from .modes import StandardMode
from .settings import CLOUD_PLATFORM_SCOPE, KUBELET_READ_ONLY_PORT, NO_LEGACY_ENDPOINTS, all_labels

NODE_ROLE: Final = "roles/container.defaultNodeServiceAccount"
"""Write logs and metrics, and nothing else.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/hardening-your-cluster (least privilege)."""

IMAGE_ROLE: Final = "roles/artifactregistry.reader"

_ZONES_OF_A_REGION: Final = 3
"""Zones that GKE chooses in a region. Source: https://cloud.google.com/kubernetes-engine/docs/concepts/regional-clusters."""


def account_children(args: GkeClusterArgs) -> tuple[str, ...]:
    """What :func:`create_account` makes, by the part of each name after the component's."""
    others = (f"grant-images-{project}" for project in args.image_projects if project != args.project)
    return ("node-account", "grant-node", "grant-images", *others)


def create_account(
    name: str, args: GkeClusterArgs, *, opts: pulumi.ResourceOptions
) -> tuple["gcp.serviceaccount.Account", tuple[pulumi.Resource, ...]]:
    """Create the identity of the nodes, with the least roles that nodes need.

    Args:
        name: Name of the cluster's component.
        args: The component's arguments.
        opts: Options of each resource; grants in other projects take the parent only.

    Returns:
        The account and its grants.
    """
    account = gcp.serviceaccount.Account(
        f"{name}-node-account",
        project=args.project,
        account_id=account_id(name, unique="/".join((pulumi.get_project(), pulumi.get_stack(), name))),
        display_name=f"Nodes of the GKE cluster {name}",
        opts=opts,
    )
    grants = [
        _grant(f"{name}-grant-node", account, args.project, NODE_ROLE, opts),
        _grant(f"{name}-grant-images", account, args.project, IMAGE_ROLE, opts),
    ]
    # Never protected: a registry that is no longer read must lose its grant without the cluster losing its protection.
    free = pulumi.ResourceOptions(parent=opts.parent)
    grants += [
        _grant(f"{name}-grant-images-{project}", account, project, IMAGE_ROLE, free)
        for project in args.image_projects
        if project != args.project
    ]
    return account, tuple(grants)


def create_node_pool(
    name: str,
    args: GkeClusterArgs,
    mode: StandardMode,
    *,
    cluster: "gcp.container.Cluster",
    account_email: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> "gcp.container.NodePool":
    """Create the node pool of a Standard cluster.

    Args:
        name: Name of the cluster's component.
        args: The component's arguments.
        mode: Its mode.
        cluster: The cluster.
        account_email: Service account of the nodes.
        opts: Options of the pool.

    Returns:
        The pool.
    """
    return gcp.container.NodePool(
        f"{name}-nodes",
        project=args.project,
        location=args.location,
        cluster=cluster.name,
        initial_node_count=_initial_nodes_per_zone(args.location, mode),
        autoscaling=gcp.container.NodePoolAutoscalingArgs(
            total_min_node_count=mode.min_nodes,
            total_max_node_count=mode.max_nodes,
            # An outage of one zone leaves the others their share.
            location_policy="BALANCED",
        ),
        management=gcp.container.NodePoolManagementArgs(auto_repair=True, auto_upgrade=True),
        # A new node is ready before an old one is drained.
        upgrade_settings=gcp.container.NodePoolUpgradeSettingsArgs(
            strategy="SURGE", max_surge=mode.max_surge, max_unavailable=0
        ),
        network_config=gcp.container.NodePoolNetworkConfigArgs(enable_private_nodes=True),
        node_config=_node_config(name, args, mode, account_email),
        opts=opts,
    )


def _grant(
    name: str, account: "gcp.serviceaccount.Account", project: str, role: str, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    # IAMMember adds one member; the other IAM resources would remove everybody else's.
    return gcp.projects.IAMMember(name, project=project, role=role, member=account.member, opts=opts)


def _initial_nodes_per_zone(location: str, mode: StandardMode) -> int:
    """GKE counts the first nodes per zone; the autoscaler corrects the sum afterwards."""
    own_zone = 1 if is_zone(location) else 0
    zones = own_zone + len(mode.zones) if own_zone or mode.zones else _ZONES_OF_A_REGION
    return -(-mode.min_nodes // zones)


def _node_config(
    name: str, args: GkeClusterArgs, mode: StandardMode, account_email: pulumi.Input[str]
) -> "gcp.container.NodePoolNodeConfigArgs":
    return gcp.container.NodePoolNodeConfigArgs(
        machine_type=mode.machine_type,
        spot=mode.spot,
        boot_disk=gcp.container.NodePoolNodeConfigBootDiskArgs(size_gb=mode.disk_size_gib, disk_type=mode.disk_type),
        # Read-only system partition, verified at boot, updated by Google.
        image_type="COS_CONTAINERD",
        # An account of their own: the default one may edit the project in many organisations.
        service_account=account_email,
        oauth_scopes=[CLOUD_PLATFORM_SCOPE],
        # Only signed boot components run, and a changed boot sequence is reported.
        shielded_instance_config=gcp.container.NodePoolNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=True, enable_integrity_monitoring=True
        ),
        # Pods ask the metadata server for their own identity and never see the node's.
        workload_metadata_config=gcp.container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        kubelet_config=gcp.container.NodePoolNodeConfigKubeletConfigArgs(
            insecure_kubelet_readonly_port_enabled=KUBELET_READ_ONLY_PORT
        ),
        metadata=NO_LEGACY_ENDPOINTS,
        resource_labels=all_labels(name, args),
    )
