"""The kubeconfig of a GKE cluster."""

from enum import StrEnum, unique
from typing import Any

import pulumi
import pulumi_gcp as gcp

from ...model import ValidationError
from .endpoint import AuthorizedNetworks, DnsEndpoint

_CONTEXT = "gke"
"""Name of the only cluster, user and context in the kubeconfig; fixed, because nothing refers to it from outside."""


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


def kubeconfig(
    cluster: "gcp.container.Cluster",
    *,
    endpoint: DnsEndpoint | AuthorizedNetworks,
    credentials: Credentials,
    parent: pulumi.Resource,
) -> pulumi.Output[str]:
    """Build the kubeconfig of a cluster.

    Args:
        cluster: The cluster.
        endpoint: Which of its endpoints to call.
        credentials: How to prove the identity.
        parent: Resource whose Google Cloud provider asks for the token.

    Returns:
        The content as JSON; secret.
    """
    user: dict[str, Any]
    if credentials is Credentials.ACCESS_TOKEN:
        client = gcp.organizations.get_client_config_output(opts=pulumi.InvokeOutputOptions(parent=parent))
        user = {"token": client.access_token}
    else:
        user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": "gke-gcloud-auth-plugin",
                "installHint": "Install gke-gcloud-auth-plugin: gcloud components install gke-gcloud-auth-plugin",
                "provideClusterInfo": True,
            }
        }
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": _CONTEXT,
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT}}],
        "clusters": [{"name": _CONTEXT, "cluster": _cluster_entry(cluster, endpoint)}],
        "users": [{"name": _CONTEXT, "user": user}],
    }
    return pulumi.Output.secret(pulumi.Output.json_dumps(document, sort_keys=True))


def address(cluster: "gcp.container.Cluster", endpoint: DnsEndpoint | AuthorizedNetworks) -> pulumi.Output[str]:
    """Return the URL of the cluster's API server.

    Args:
        cluster: The cluster.
        endpoint: Which of its endpoints.

    Returns:
        The URL.
    """
    if isinstance(endpoint, AuthorizedNetworks):
        return pulumi.Output.concat("https://", cluster.endpoint)
    # The endpoint stands inside of a setting that we give, so a preview may show that setting without it. The id is
    # unknown for as long as there is no cluster, and then nothing of this is.
    endpoints = cluster.id.apply(lambda _: cluster.control_plane_endpoints_config)
    return endpoints.apply(lambda known: f"https://{_dns_name(known)}")


def _dns_name(endpoints: "gcp.container.outputs.ClusterControlPlaneEndpointsConfig") -> str:
    name = endpoints.dns_endpoint_config.endpoint if endpoints.dns_endpoint_config else None
    if not name:
        raise ValidationError(
            field="endpoint",
            value="DnsEndpoint()",
            rule="needs the DNS-based endpoint, which Google Cloud did not give to this cluster",
            remedy="Use AuthorizedNetworks(...) for it",
        )
    return name


def _cluster_entry(
    cluster: "gcp.container.Cluster", endpoint: DnsEndpoint | AuthorizedNetworks
) -> dict[str, pulumi.Output[Any]]:
    entry: dict[str, pulumi.Output[Any]] = {"server": address(cluster, endpoint)}
    if isinstance(endpoint, AuthorizedNetworks):
        # The DNS-based endpoint has a certificate of a public authority instead, so it must not get this one.
        entry["certificate-authority-data"] = cluster.master_auth.apply(lambda auth: auth.cluster_ca_certificate)
    return entry
