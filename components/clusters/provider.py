"""The one way in which this library makes a Kubernetes provider."""

import pulumi
import pulumi_kubernetes as k8s


def cluster_provider(
    name: str, *, kubeconfig: pulumi.Input[str], identity: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> k8s.Provider:
    """Create the provider of one cluster.

    Args:
        name: Logical name of the provider.
        kubeconfig: Content of a kubeconfig; kept secret whatever it is given as.
        identity: What stays the same for as long as it is the same cluster.
        opts: Options of the provider; the parent at least.

    Returns:
        The provider.
    """
    return k8s.Provider(
        name,
        kubeconfig=pulumi.Output.secret(kubeconfig),
        # Without it, a rotated certificate or token may replace the provider and with it everything in the cluster.
        cluster_identifier=identity,
        # Named here because the provider also reads them from the environment, where they differ between machines
        # and then show as a change.
        enable_server_side_apply=True,
        # Otherwise a changed ConfigMap or Secret with a fixed name is deleted before it is created again.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        opts=opts,
    )
