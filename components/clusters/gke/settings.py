"""Every setting of a GKE cluster, with the reason for it; ``docs/gke.md`` compares them with Google's guide."""

import pulumi
import pulumi_gcp as gcp

from ...argument_types import known_text
from ...refusal import late
from ..names import check_key
from .args import GkeClusterArgs
from .endpoint import AuthorizedNetworks
from .modes import StandardMode
from .network_resources import Placement

CLOUD_PLATFORM_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""Scopes are the older fence around an identity; the account's few roles are ours.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/service-accounts."""

KUBELET_READ_ONLY_PORT = "FALSE"
"""Port 10255 answers everybody in the network without asking who it is.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/disable-kubelet-readonly-port."""

NO_LEGACY_ENDPOINTS = {"disable-legacy-endpoints": "true"}
"""The metadata server's old interface answered requests without the protecting header.
Source: https://cloud.google.com/kubernetes-engine/docs/how-to/protecting-cluster-metadata."""


def cluster_settings(
    name: str, args: GkeClusterArgs, placement: Placement, account_email: pulumi.Input[str]
) -> "gcp.container.ClusterArgs":
    """Return the settings of the cluster in its mode.

    Args:
        name: Name of the component; becomes a label.
        args: The component's arguments.
        placement: Where the cluster goes.
        account_email: Service account of the nodes.

    Returns:
        The arguments of the cluster resource.
    """
    settings = _common(name, args, placement)
    _set_endpoint(settings, args)
    if isinstance(args.mode, StandardMode):
        _set_standard(settings, args, args.mode, account_email)
    else:
        _set_autopilot(settings, account_email)
    return settings


def all_labels(name: str, args: GkeClusterArgs) -> dict[str, str]:
    """Return the labels of the cluster and its nodes.

    Args:
        name: Name of the component.
        args: The component's arguments; its labels win.

    Returns:
        Who made it and for what, and the user's own.
    """
    return {"managed-by": "pulumi", "cluster-component": name, **args.labels}


def _common(name: str, args: GkeClusterArgs, placement: Placement) -> "gcp.container.ClusterArgs":
    return gcp.container.ClusterArgs(
        project=args.project,
        location=args.location,
        deletion_protection=args.deletion_protection,
        resource_labels=all_labels(name, args),
        network=placement.network,
        subnetwork=placement.subnetwork,
        networking_mode="VPC_NATIVE",  # pods have addresses of the network, so firewall rules apply to them
        ip_allocation_policy=gcp.container.ClusterIpAllocationPolicyArgs(
            cluster_secondary_range_name=placement.pods_range,
            services_secondary_range_name=placement.services_range,
        ),
        # A version without a channel ages; patches arrive by themselves, in hours of our choice.
        release_channel=gcp.container.ClusterReleaseChannelArgs(channel=args.release_channel.value),
        maintenance_policy=gcp.container.ClusterMaintenancePolicyArgs(
            recurring_window=gcp.container.ClusterMaintenancePolicyRecurringWindowArgs(
                start_time=args.maintenance.start_time,
                end_time=args.maintenance.end_time,
                recurrence=args.maintenance.recurrence,
            )
        ),
        # Client certificates cannot be revoked.
        master_auth=gcp.container.ClusterMasterAuthArgs(
            client_certificate_config=gcp.container.ClusterMasterAuthClientCertificateConfigArgs(
                issue_client_certificate=False
            )
        ),
        # Nobody needs to know the API without an identity; health checks stay open.
        anonymous_authentication_config=gcp.container.ClusterAnonymousAuthenticationConfigArgs(mode="LIMITED"),
        # No role can be granted to everybody by mistake: with Google's identities, "authenticated" is the world.
        rbac_binding_config=gcp.container.ClusterRbacBindingConfigArgs(
            enable_insecure_binding_system_authenticated=False,
            enable_insecure_binding_system_unauthenticated=False,
        ),
        # Free, and names workloads with risky settings.
        security_posture_config=gcp.container.ClusterSecurityPostureConfigArgs(mode="BASIC"),
        # What a mirror costs is seen per namespace in the bill.
        cost_management_config=gcp.container.ClusterCostManagementConfigArgs(enabled=True),
        # Who changed a route is a question of the API server's log.
        logging_config=gcp.container.ClusterLoggingConfigArgs(
            enable_components=["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
        ),
        database_encryption=_secrets_encryption(args),
        binary_authorization=_binary_authorization(args),
    )


def _secrets_encryption(args: GkeClusterArgs) -> "gcp.container.ClusterDatabaseEncryptionArgs":
    if args.secrets_key is None:
        # Said aloud: the provider keeps what it is no longer told, so a key that is taken away would stay in use.
        return gcp.container.ClusterDatabaseEncryptionArgs(state="DECRYPTED")
    # A copy of etcd is worthless without the key, and the key can be withdrawn.
    key: pulumi.Input[str] = args.secrets_key
    if not isinstance(key, str):

        def checked(name: object) -> str:
            return check_key(known_text(name, field="secrets_key"), region=args.region, field="secrets_key")

        key = pulumi.Output.from_input(key).apply(late(checked))
    return gcp.container.ClusterDatabaseEncryptionArgs(state="ENCRYPTED", key_name=key)


def _binary_authorization(args: GkeClusterArgs) -> "gcp.container.ClusterBinaryAuthorizationArgs":
    # Off is said aloud for the same reason.
    mode = "PROJECT_SINGLETON_POLICY_ENFORCE" if args.binary_authorization else "DISABLED"
    return gcp.container.ClusterBinaryAuthorizationArgs(evaluation_mode=mode)


def _set_endpoint(settings: "gcp.container.ClusterArgs", args: GkeClusterArgs) -> None:
    # Nodes without external addresses: nobody reaches them from outside, whatever the firewall says.
    private = gcp.container.ClusterPrivateClusterConfigArgs(enable_private_nodes=True)
    endpoint = args.endpoint
    by_address = isinstance(endpoint, AuthorizedNetworks)
    if by_address:
        if endpoint.control_plane_cidr:
            private.master_ipv4_cidr_block = endpoint.control_plane_cidr
        # The endpoint is public and guarded by the ranges; inside the network the private one is used.
        private.enable_private_endpoint = False
        settings.master_authorized_networks_config = gcp.container.ClusterMasterAuthorizedNetworksConfigArgs(
            cidr_blocks=[
                gcp.container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs(cidr_block=cidr, display_name=display)
                for display, cidr in sorted(endpoint.ranges.items())
            ],
            # Otherwise every customer's machine in Google Cloud is let in.
            gcp_public_cidrs_access_enabled=False,
        )
    settings.private_cluster_config = private
    settings.control_plane_endpoints_config = gcp.container.ClusterControlPlaneEndpointsConfigArgs(
        dns_endpoint_config=gcp.container.ClusterControlPlaneEndpointsConfigDnsEndpointConfigArgs(
            allow_external_traffic=not by_address
        ),
        ip_endpoints_config=gcp.container.ClusterControlPlaneEndpointsConfigIpEndpointsConfigArgs(enabled=by_address),
    )


def _set_standard(
    settings: "gcp.container.ClusterArgs", args: GkeClusterArgs, mode: StandardMode, account_email: pulumi.Input[str]
) -> None:
    # The default pool cannot be changed without replacing the cluster, so it goes and ours comes.
    settings.remove_default_node_pool = True
    settings.initial_node_count = 1
    settings.node_config = _default_pool(account_email)
    if mode.zones:
        settings.node_locations = list(mode.zones)
    # NetworkPolicies are enforced without an add-on, and denied connections can be logged.
    settings.datapath_provider = "ADVANCED_DATAPATH"
    # A node proves that it is one before it gets its credentials.
    settings.enable_shielded_nodes = True
    # Pods get identities of their own instead of the node's.
    settings.workload_identity_config = gcp.container.ClusterWorkloadIdentityConfigArgs(
        workload_pool=f"{args.project}.svc.id.goog"
    )
    # Rights come from RBAC and IAM only.
    settings.enable_legacy_abac = False
    # Internal load balancers, as gateways use them, beyond 250 nodes and with subsets of nodes as backends.
    settings.enable_l4_ilb_subsetting = True
    # Mirrors show only in Envoy's own statistics, which managed Prometheus collects.
    settings.monitoring_config = gcp.container.ClusterMonitoringConfigArgs(
        enable_components=["SYSTEM_COMPONENTS", "APISERVER"],
        managed_prometheus=gcp.container.ClusterMonitoringConfigManagedPrometheusArgs(enabled=True),
    )


def _default_pool(account_email: pulumi.Input[str]) -> "gcp.container.ClusterNodeConfigArgs":
    """What the default pool is made of for the minutes that it lives: hardened like our own pool.

    An organisation's policy that requires shielded machines, or forbids the default service account, would else refuse
    the whole cluster.
    """
    return gcp.container.ClusterNodeConfigArgs(
        service_account=account_email,
        oauth_scopes=[CLOUD_PLATFORM_SCOPE],
        shielded_instance_config=gcp.container.ClusterNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=True, enable_integrity_monitoring=True
        ),
        workload_metadata_config=gcp.container.ClusterNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        kubelet_config=gcp.container.ClusterNodeConfigKubeletConfigArgs(
            insecure_kubelet_readonly_port_enabled=KUBELET_READ_ONLY_PORT
        ),
        metadata=NO_LEGACY_ENDPOINTS,
    )


def _set_autopilot(settings: "gcp.container.ClusterArgs", account_email: pulumi.Input[str]) -> None:
    # Dataplane V2, Workload Identity, subsetting and managed Prometheus are part of Autopilot. The provider refuses
    # enable_shielded_nodes, enable_intranode_visibility, remove_default_node_pool and default_max_pods_per_node beside
    # it, and sends intranode visibility as on. Node settings would replace the cluster in every run.
    settings.enable_autopilot = True
    # Injected pods set up their own redirection, because istio-cni cannot be installed.
    settings.allow_net_admin = True
    settings.cluster_autoscaling = gcp.container.ClusterClusterAutoscalingArgs(
        auto_provisioning_defaults=gcp.container.ClusterClusterAutoscalingAutoProvisioningDefaultsArgs(
            service_account=account_email, oauth_scopes=[CLOUD_PLATFORM_SCOPE]
        )
    )
    settings.node_pool_auto_config = gcp.container.ClusterNodePoolAutoConfigArgs(
        node_kubelet_config=gcp.container.ClusterNodePoolAutoConfigNodeKubeletConfigArgs(
            insecure_kubelet_readonly_port_enabled=KUBELET_READ_ONLY_PORT
        )
    )
