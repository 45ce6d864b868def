"""From a stack's settings to the arguments of its components."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import pulumi

from ..clusters import (
    ClusterHandle,
    ExistingCluster,
    ExistingClusterArgs,
    GkeCluster,
    NetworkPeering,
    NetworkPeeringArgs,
)
from ..mesh import (
    Exposure,
    ImagePullPolicy,
    IstioCharts,
    IstioControlPlaneArgs,
    IstiodRevision,
    MeshGatewayArgs,
    MeshHandle,
    Size,
)
from ..model import JsonValue, client_server, receiver_server
from ..workloads import GreeterArgs, MeshNamespace
from .gke import gke_cluster_args
from .sections import Section
from .settings import ClusterChoice, Role, StackSettings

_ISTIO_PLACES: Final = {"image_hub": "hub", "image_tag": "tag"}
"""Where users wrote what the arguments call otherwise."""

CANARY_KEYS: Final = ("version", "revision", "tag", "compatibilityVersion", "env", "meshConfig", "values")


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
    section = settings.cluster
    if settings.cluster_kind is ClusterChoice.GKE:
        made = GkeCluster(name, gke_cluster_args(section))
        return StackCluster(handle=made.handle, network=made.network, ranges=made.ranges)
    with section.locating():
        found = ExistingCluster(
            name,
            ExistingClusterArgs(
                kubeconfig=settings.kubeconfig,
                kubeconfig_path=section.text("kubeconfigPath", "") or None,
                context=section.text("context", "") or None,
                location=section.text("location", "") or None,
                identity=section.text("identity", "") or None,
            ),
        )
        return StackCluster(handle=found.handle)


def peer_with_testing(
    name: str, settings: StackSettings, cluster: StackCluster, testing: pulumi.StackReference
) -> NetworkPeering | None:
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

    return NetworkPeering(
        name,
        NetworkPeeringArgs(
            first=cluster.network,
            second=testing.get_output("network").apply(given),
            first_ranges=cluster.ranges,
            second_ranges=testing.get_output("networkRanges"),
        ),
    )


def control_plane_args(settings: StackSettings, cluster: ClusterHandle) -> IstioControlPlaneArgs:
    """Arguments of the stack's Istio.

    Raises:
        ValidationError: A key of ``istio`` is wrong.
    """
    section = settings.istio
    with section.locating(_ISTIO_PLACES):
        policy = section.text("imagePullPolicy", "")
        return IstioControlPlaneArgs(
            cluster=cluster,
            version=section.text("version", "1.31.0"),
            revision=section.text("revision", ""),
            charts=_charts(section),
            image_hub=section.text("hub", "") or None,
            image_tag=section.text("tag", "") or None,
            image_pull_policy=section.choice("imagePullPolicy", ImagePullPolicy) if policy else None,
            kubernetes_version=section.text("kubernetesVersion", "") or None,
            compatibility_version=section.text("compatibilityVersion", "") or None,
            size=section.choice("size", Size, Size.PRODUCTION),
            cni=section.flag("cni", default=False),
            env=section.texts_by_name("env"),
            mesh_config=_json(section, "meshConfig"),
            values=_json(section, "values"),
            revision_tags=section.texts("revisionTags"),
            canary=_canary(section),
            canary_serves=section.flag("canaryServes", default=False),
        )


def _canary(istio: Section) -> IstiodRevision | None:
    if not istio.has("canary"):
        return None
    section = istio.section("canary", CANARY_KEYS)
    with section.locating(_ISTIO_PLACES):
        return _canary_revision(istio, section)


def _canary_revision(istio: Section, section: Section) -> IstiodRevision:
    return IstiodRevision(
        version=section.text("version"),
        revision=section.text("revision"),
        charts=_charts(istio),
        image_tag=section.text("tag", "") or None,
        compatibility_version=section.text("compatibilityVersion", "") or None,
        env=section.texts_by_name("env"),
        mesh_config=_json(section, "meshConfig"),
        values=_json(section, "values"),
    )


def _charts(section: Section) -> IstioCharts:
    """``charts`` is a repository's URL or a directory with Istio's charts."""
    source = section.text("charts", "")
    if not source:
        return IstioCharts()
    return IstioCharts(repository=source) if "://" in source else IstioCharts.in_directory(source)


def _json(section: Section, key: str) -> Mapping[str, JsonValue]:
    return cast("Mapping[str, JsonValue]", section.mapping(key))


def gateway_args(settings: StackSettings, mesh: MeshHandle) -> MeshGatewayArgs:
    """Arguments of the stack's gateway: for clients in staging, for mirrors in testing.

    Raises:
        ValidationError: A key of ``gateway`` is wrong.
    """
    section, contract = settings.gateway, settings.contract
    server = (
        client_server(contract.hosts, contract.port, contract.protocol)
        if settings.role is Role.STAGING
        else receiver_server(contract, settings.credential_name if contract.tls else "")
    )
    with section.locating():
        return MeshGatewayArgs(
            mesh=mesh,
            servers=[server],
            exposure=section.choice("exposure", Exposure, Exposure.INTERNAL),
            source_ranges=section.texts("sourceRanges"),
            global_access=section.flag("globalAccess", default=True),
            service_annotations=section.texts_by_name("serviceAnnotations"),
            credentials=[settings.credential] if settings.credential else [],
            size=section.choice("size", Size, Size.PRODUCTION),
            values=_json(section, "values"),
        )


def greeter_args(settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace, version: str) -> GreeterArgs:
    """Arguments of one version of the greeter.

    Raises:
        ValidationError: A key of ``greeter`` is wrong.
    """
    section = settings.greeter
    with section.locating():
        return GreeterArgs(
            cluster=mesh.cluster,
            mesh=mesh,
            namespace=namespace,
            version=version,
            image=section.text("image"),
            allow_tag=section.flag("allowTag", default=False),
            replicas=section.whole("replicas", 2),
            port=settings.contract.port,
        )
