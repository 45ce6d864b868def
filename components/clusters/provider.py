"""The one way in which this library makes a Kubernetes provider."""

import os
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

UPSERT_VARIABLE: Final = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS"
"""Environment variable of the provider's option ``upsertExistingObjects``, from 4.29 on."""

SWITCHED_ON: Final = ("1", "t", "T", "true", "TRUE", "True")
"""Values that the provider's SDK reads as true. Source: pulumi_kubernetes, _utilities.get_env_bool."""


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
    provider = k8s.Provider(
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
    if os.environ.get(UPSERT_VARIABLE) in SWITCHED_ON:
        pulumi.log.warn(
            f"{UPSERT_VARIABLE} is set: objects are created over those that exist, so one that is renamed without an "
            "alias, or replaced by force, is deleted in the end and the update succeeds. Unset it when what you adopt "
            "is adopted",
            provider,
        )
    return provider
