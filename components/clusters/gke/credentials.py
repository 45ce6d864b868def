"""The kubeconfig of a GKE cluster."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from ...refusal import late
from .endpoint import AuthorizedNetworks, Credentials, DnsEndpoint
from .state import told

_CONTEXT = "gke"
"""Name of the only cluster, user and context in the kubeconfig; fixed, because nothing refers to it from outside."""


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
    # The endpoint stands inside of a setting that we give, so a preview may show that setting without it. The id is
    # unknown for as long as there is no cluster, and then nothing of this is.
    if isinstance(endpoint, AuthorizedNetworks):
        return cluster.id.apply(lambda _: cluster.endpoint).apply(late(_ip_address)).apply(_url)
    return cluster.id.apply(lambda _: cluster.control_plane_endpoints_config).apply(late(_dns_name)).apply(_url)


def _url(host: str) -> str:
    return f"https://{host}"


def _ip_address(address: str | None) -> str:
    return told(address, what="its IP endpoint", field="endpoint", remedy="use DnsEndpoint()")


def _dns_name(endpoints: "gcp.container.outputs.ClusterControlPlaneEndpointsConfig | None") -> str:
    dns = endpoints.dns_endpoint_config if endpoints else None
    name = dns.endpoint if dns else None
    return told(name, what="the DNS-based endpoint", field="endpoint", remedy="use AuthorizedNetworks(...) for it")


def _certificate(auth: "gcp.container.outputs.ClusterMasterAuth | None") -> str:
    certificate = auth.cluster_ca_certificate if auth else None
    return told(certificate, what="the certificate of its IP endpoint", field="endpoint", remedy="use DnsEndpoint()")


def _cluster_entry(
    cluster: "gcp.container.Cluster", endpoint: DnsEndpoint | AuthorizedNetworks
) -> dict[str, pulumi.Output[Any]]:
    entry: dict[str, pulumi.Output[Any]] = {"server": address(cluster, endpoint)}
    if isinstance(endpoint, AuthorizedNetworks):
        # The DNS-based endpoint has a certificate of a public authority instead, so it must not get this one.
        entry["certificate-authority-data"] = cluster.id.apply(lambda _: cluster.master_auth).apply(late(_certificate))
    return entry
