"""From a stack's settings to the arguments of its components."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import pulumi

from .. import model
from ..clusters import ClusterHandle, ExistingCluster, ExistingClusterArgs, gke
from ..mesh import IstioCharts, IstioControlPlaneArgs, IstiodRevision, MeshGatewayArgs, MeshHandle, MeshNamespace
from ..mirroring import CrossClusterMirror
from ..model import client_server, receiver_server
from ..refusal import late
from ..workloads import GreeterArgs
from .gke import gke_cluster_args
from .sections import Section, keys_of
from .settings import ClusterChoice, Role, StackSettings


@dataclass(frozen=True, kw_only=True)
class StackCluster:
    """A stack's cluster.

    Attributes:
        handle: For the components in it.
        network: Self link of its network; None unless this program created the cluster.
        ranges: Address ranges that it takes there; None like the network.
    """

    handle: ClusterHandle
    network: pulumi.Output[str] | None = None
    ranges: Mapping[str, str] | None = None


def make_cluster(name: str, settings: StackSettings) -> StackCluster:
    """Create or find the stack's cluster.

    Args:
        name: Name of the component.
        settings: The stack's settings.

    Raises:
        ValidationError: The settings do not fit the kind of cluster.
    """
    args = cluster_args(settings)
    if isinstance(args, ExistingClusterArgs):
        with settings.cluster.naming_keys():
            return StackCluster(handle=ExistingCluster(name, args).handle)
    made = gke.GkeCluster(name, args)
    return StackCluster(handle=made.handle, network=made.network, ranges=made.ranges)


def cluster_args(settings: StackSettings) -> "gke.GkeClusterArgs | ExistingClusterArgs":
    """Arguments of the stack's cluster.

    Raises:
        ValidationError: A key of ``cluster`` is wrong, or they do not fit the kind of cluster.
    """
    if settings.cluster_kind is ClusterChoice.GKE:
        return gke_cluster_args(settings.cluster)
    return settings.cluster.fill(ExistingClusterArgs, {"kubeconfig": settings.kubeconfig})


def peer_with_testing(
    name: str, settings: StackSettings, cluster: StackCluster, testing: pulumi.StackReference
) -> "gke.NetworkPeering | None":
    """Connect staging's network to testing's, if ``cluster.peerWithTesting`` asks for it.

    Args:
        name: Name of the component.
        settings: Staging's settings.
        cluster: Staging's cluster.
        testing: The testing stack, which exports ``network`` and ``networkRanges``.

    Raises:
        ValidationError: It is neither true nor false; or testing exports no network, as soon as that is known.
    """
    if cluster.network is None or not settings.cluster.flag("peerWithTesting", default=False):
        return None

    def given(network: object) -> str:
        if not isinstance(network, str) or not network:
            raise settings.cluster.fault(
                "peerWithTesting",
                True,
                "needs a testing stack that made its network and exports it",
                "Deploy testing on GKE first, or connect the networks yourself",
            )
        return network

    return gke.NetworkPeering(
        name,
        gke.NetworkPeeringArgs(
            first=cluster.network,
            second=testing.get_output("network").apply(late(given)),
            first_ranges=cluster.ranges,
            second_ranges=testing.get_output("networkRanges"),
        ),
    )


def with_offer(mirror: model.CrossClusterMirror, testing: pulumi.StackReference) -> CrossClusterMirror:
    """Return the mirror with the offer that the testing stack exports.

    Args:
        mirror: The mirror as it is configured.
        testing: The testing stack; where it does not export ``receiver``, the mirror is refused with what to do.
    """
    configured = {each.name: getattr(mirror, each.name) for each in fields(mirror)}
    return CrossClusterMirror(**configured, offer=testing.get_output("receiver"))


def control_plane_args(settings: StackSettings, cluster: ClusterHandle) -> IstioControlPlaneArgs:
    """Arguments of the stack's Istio.

    Raises:
        ValidationError: A key of ``istio`` is wrong.
    """
    return settings.istio.fill(IstioControlPlaneArgs, {"cluster": cluster, "canary": _canary(settings.istio)})


def _canary(istio: Section) -> IstiodRevision | None:
    """The second revision, from the same charts unless it names others."""
    if not istio.has("canary"):
        return None
    section = istio.section("canary", keys_of(IstiodRevision))
    given: dict[str, object] = {name: section.text(name) for name in ("version", "revision")}
    if istio.has("charts") and not section.has("charts"):
        given["charts"] = IstioCharts.parse(istio.text("charts"))
    return section.fill(IstiodRevision, given)


def gateway_args(settings: StackSettings, mesh: MeshHandle) -> MeshGatewayArgs:
    """Arguments of the stack's gateway: for clients in staging, for mirrors in testing.

    Raises:
        ValidationError: A key of ``gateway`` is wrong.
    """
    contract = settings.contract
    server = (
        client_server(contract)
        if settings.role is Role.STAGING
        else receiver_server(contract, settings.credential_name if contract.tls else "")
    )
    credentials = [settings.credential] if settings.credential else []
    return settings.gateway.fill(MeshGatewayArgs, {"mesh": mesh, "servers": [server], "credentials": credentials})


def greeter_args(settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace, version: str) -> GreeterArgs:
    """Arguments of one version of the greeter.

    Raises:
        ValidationError: A key of ``greeter`` is wrong.
    """
    return settings.greeter.fill(
        GreeterArgs,
        {
            "cluster": mesh.cluster,
            "mesh": mesh,
            "namespace": namespace,
            "version": version,
            "port": settings.contract.port,
            **called_by(settings.greeter, settings, mesh),
        },
    )


def called_by(section: Section, settings: StackSettings, mesh: MeshHandle) -> Mapping[str, object]:
    """Where the stack's gateway is, as the argument ``gateway_namespaces``, unless the section says it."""
    said = section.has("gatewayNamespaces")
    return {} if said else {"gateway_namespaces": [gateway_args(settings, mesh).ref.namespace]}
