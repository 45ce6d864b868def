"""Rules on GKE clusters: who reaches the control plane, and how the cluster is kept."""

from collections.abc import Iterator
from typing import Final

from pulumi_traffic_mirror.model.rules import Severity

from ..resources import Resource
from .networks import everybody
from .registry import Fault, Judgement, OrganisationLimits, ResourceRule, fault, guarded, of_type

CLUSTER: Final = "gcp:container/cluster:Cluster"
HARDENING_GUIDE: Final = "https://cloud.google.com/kubernetes-engine/docs/how-to/hardening-your-cluster"
CHANNELS: Final = ("RAPID", "REGULAR", "STABLE", "EXTENDED")
"""Source: https://cloud.google.com/kubernetes-engine/docs/concepts/release-channels."""


def is_autopilot(cluster: Resource) -> bool:
    """Whether Google runs the cluster's nodes."""
    return cluster.props["enableAutopilot"].known is True


def _private_nodes(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    private = cluster.props["privateClusterConfig"]["enablePrivateNodes"]
    if private.known is not True:
        yield fault(cluster, private, "nodes get external addresses")


def _endpoint(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    props = cluster.props
    if props.at("controlPlaneEndpointsConfig", "ipEndpointsConfig", "enabled").known is False:
        return
    if props.at("privateClusterConfig", "enablePrivateEndpoint").known is True:
        return
    networks = props["masterAuthorizedNetworksConfig"]
    if not networks.given:
        yield fault(cluster, networks, "every address may talk to the control plane")
        return
    public = networks["gcpPublicCidrsAccessEnabled"]
    if public.given:
        yield from guarded(cluster, _google_is_out(cluster))
    for block in networks["cidrBlocks"].elements():
        yield from guarded(cluster, _one_range(cluster, block["cidrBlock"].text(), block["cidrBlock"].path))


def _google_is_out(cluster: Resource) -> Iterator[Fault]:
    public = cluster.props["masterAuthorizedNetworksConfig"]["gcpPublicCidrsAccessEnabled"]
    if public.known is True:
        yield fault(cluster, public, "every machine in Google Cloud, whoever's, may talk to the control plane")


def _one_range(cluster: Resource, cidr: str, path: str) -> Iterator[Fault]:
    if everybody(cidr):
        yield fault(cluster, path, f"{cidr} lets every address talk to the control plane")


def _workload_identity(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    pool = cluster.props["workloadIdentityConfig"]["workloadPool"]
    # A pool that is not known yet is one.
    if not is_autopilot(cluster) and not pool.given:
        yield fault(cluster, pool, "pods get the identity of their node")


def _release_channel(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    channel = cluster.props["releaseChannel"]["channel"]
    if channel.text() not in CHANNELS and not is_autopilot(cluster):
        yield fault(cluster, channel, "the cluster follows no release channel")


def _legacy_abac(cluster: Resource) -> Iterator[Fault]:
    legacy = cluster.props["enableLegacyAbac"]
    if legacy.known is True:
        yield fault(cluster, legacy, "attribute-based rules give rights beside RBAC")


def _client_certificate(cluster: Resource) -> Iterator[Fault]:
    issued = cluster.props.at("masterAuth", "clientCertificateConfig", "issueClientCertificate")
    if issued.known is True:
        yield fault(cluster, issued, "a client certificate is issued, and it cannot be revoked")


def _legacy_access(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    yield from guarded(cluster, _legacy_abac(cluster))
    yield from guarded(cluster, _client_certificate(cluster))


def _shielded_nodes(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    shielded = cluster.props["enableShieldedNodes"]
    if shielded.known is False:
        yield fault(cluster, shielded, "anything may join as a node that holds a node's credentials")


def _network_policies(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    if is_autopilot(cluster):
        return
    path = cluster.props["datapathProvider"]
    if path.text() == "ADVANCED_DATAPATH" or cluster.props["networkPolicy"]["enabled"].known is True:
        return
    yield fault(cluster, path, "NetworkPolicies are accepted and not enforced")


def _deletion(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    protected = cluster.props["deletionProtection"]
    if protected.known is False and cluster.stack not in limits.disposable_stacks:
        yield fault(cluster, protected, f"anybody may delete the cluster of the stack {cluster.stack!r} by mistake")


def _own_pools(cluster: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    pools = cluster.props["nodePools"]
    if is_autopilot(cluster):
        config = cluster.props["nodeConfig"]
        if config.given:
            yield fault(cluster, config, "Autopilot answers with another value, so every update replaces the cluster")
    elif pools.given and pools.elements():
        yield fault(cluster, pools, "a change of an inline pool replaces the cluster")
    elif cluster.props["removeDefaultNodePool"].known is not True:
        yield fault(cluster, "removeDefaultNodePool", "the default pool stays, which only a new cluster can change")


RULES: Final = (
    ResourceRule(
        id="gke-private-nodes",
        title="Nodes have private addresses only",
        severity=Severity.ERROR,
        why="A node with an external address is one firewall rule away from everybody.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/private-clusters",
        remedy="Set privateClusterConfig.enablePrivateNodes to true",
        applies=of_type(CLUSTER),
        check=_private_nodes,
    ),
    ResourceRule(
        id="gke-endpoint-open",
        title="Only named networks or identities reach the control plane",
        severity=Severity.ERROR,
        why="Whoever reaches the API server can try stolen credentials and unpatched faults.",
        source=HARDENING_GUIDE,
        remedy="Use the DNS-based endpoint and switch the IP endpoints off, or name masterAuthorizedNetworksConfig",
        applies=of_type(CLUSTER),
        check=_endpoint,
    ),
    ResourceRule(
        id="gke-workload-identity",
        title="Pods have identities of their own",
        severity=Severity.ERROR,
        why="Without Workload Identity every pod may do what its node may do.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity",
        remedy="Set workloadIdentityConfig.workloadPool to <project>.svc.id.goog",
        applies=of_type(CLUSTER),
        check=_workload_identity,
    ),
    ResourceRule(
        id="gke-release-channel",
        title="The cluster follows a release channel",
        severity=Severity.WARNING,
        why="A version that nobody upgrades keeps its known faults.",
        source="https://cloud.google.com/kubernetes-engine/docs/concepts/release-channels",
        remedy="Set releaseChannel.channel to REGULAR or STABLE",
        applies=of_type(CLUSTER),
        check=_release_channel,
    ),
    ResourceRule(
        id="gke-legacy-access",
        title="Rights come from IAM and RBAC only",
        severity=Severity.ERROR,
        why="Attribute-based rules give every service account wide rights; client certificates cannot be revoked.",
        source=HARDENING_GUIDE,
        remedy="Leave enableLegacyAbac and issueClientCertificate off",
        applies=of_type(CLUSTER),
        check=_legacy_access,
    ),
    ResourceRule(
        id="gke-shielded-nodes",
        title="A node proves that it is one",
        severity=Severity.ERROR,
        why="Without it, bootstrap credentials taken from a pod are enough to pose as a node.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/shielded-gke-nodes",
        remedy="Set enableShieldedNodes to true",
        applies=of_type(CLUSTER),
        check=_shielded_nodes,
    ),
    ResourceRule(
        id="gke-network-policies",
        title="NetworkPolicies are enforced",
        severity=Severity.WARNING,
        why="A policy that is stored and not enforced protects nothing and looks as if it did.",
        source="https://cloud.google.com/kubernetes-engine/docs/concepts/dataplane-v2",
        remedy="Set datapathProvider to ADVANCED_DATAPATH",
        applies=of_type(CLUSTER),
        check=_network_policies,
    ),
    ResourceRule(
        id="gke-deletion-protection",
        settings=("disposable_stacks",),
        title="A cluster that matters is protected against deletion",
        severity=Severity.ERROR,
        why="One destroy in the wrong stack takes the environment that owns the traffic away.",
        source="https://www.pulumi.com/registry/packages/gcp/api-docs/container/cluster/",
        remedy="Set deletionProtection to true, or name the stack in disposableStacks",
        applies=of_type(CLUSTER),
        check=_deletion,
    ),
    ResourceRule(
        id="gke-node-pools",
        title="Nodes are managed apart from their cluster",
        severity=Severity.WARNING,
        why="A change of nodes that belong to the cluster's own resource replaces the cluster.",
        source="https://www.pulumi.com/registry/packages/gcp/api-docs/container/cluster/",
        remedy="Set removeDefaultNodePool and add NodePool resources; with Autopilot leave nodeConfig out",
        applies=of_type(CLUSTER),
        check=_own_pools,
    ),
)
