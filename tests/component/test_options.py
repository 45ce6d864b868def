"""A provider in a component's options is the one that its objects go through, or refused: never ignored."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pulumi
import pulumi_gcp as gcp
import pulumi_kubernetes as k8s
import pytest

import pulumi_traffic_mirror
from tests.support.handles import mesh
from tests.support.recording import refused, run_program

tm: Any = pulumi_traffic_mirror
IMAGE: Final = f"registry.example/greeter@sha256:{'0' * 64}"
HOSTS: Final = ["grpc-hello.staging.example"]
SERVICE: Final = tm.Destination("greeter.hello.svc.cluster.local", 8000)
GATEWAY: Final = tm.GatewayRef(name="internal-gateway", namespace="istio-system")
NETWORKS: Final = [f"projects/my-project/global/networks/{name}" for name in "ab"]
ALICE: Final = tm.Match(headers=[tm.HeaderMatch(name="x-user", value="alice")], rpc_methods=["hello.Greeter/SayHello"])
COMPONENTS: Final[dict[str, Any]] = {
    name: each
    for name in tm.__all__
    if inspect.isclass(each := getattr(tm, name)) and issubclass(each, pulumi.ComponentResource)
}


def _service(handle: Any) -> Any:
    return tm.MirroredService("own", tm.MirroredServiceArgs(mesh=handle, primary=SERVICE))


ARGS: Final[dict[str, Callable[[Any], Any]]] = {
    "GkeCluster": lambda _: tm.GkeClusterArgs(project="my-project", location="europe-west1", deletion_protection=True),
    "NetworkPeering": lambda _: tm.NetworkPeeringArgs(first=NETWORKS[0], second=NETWORKS[1]),
    "ExistingCluster": lambda _: tm.ExistingClusterArgs(kubeconfig=pulumi.Output.from_input("{}")),
    "IstioControlPlane": lambda handle: tm.IstioControlPlaneArgs(cluster=handle.cluster),
    "MeshNamespace": lambda handle: tm.MeshNamespaceArgs(cluster=handle.cluster, namespace="hello"),
    "MeshGateway": lambda handle: tm.MeshGatewayArgs(mesh=handle, servers=[tm.client_server(HOSTS)]),
    "Greeter": lambda handle: tm.GreeterArgs(cluster=handle.cluster, image=IMAGE),
    "MirroredService": lambda handle: tm.MirroredServiceArgs(mesh=handle, primary=SERVICE),
    "MirrorOverlay": lambda handle: tm.MirrorOverlayArgs(mesh=handle, on=[tm.GatewayHosts(hosts=HOSTS)]),
    "MirrorReceiver": lambda handle: tm.MirrorReceiverArgs(
        mesh=handle, gateway=GATEWAY, address="10.1.2.3", contract=tm.MirrorContract(hosts=HOSTS), service=SERVICE
    ),
    "BranchService": lambda handle: tm.BranchServiceArgs(
        mesh=handle, image=IMAGE, started="2026-11-23T10:00Z", match=ALICE, now=datetime(2026, 11, 23, 12, tzinfo=UTC)
    ),
    "ExpiryGuard": lambda handle: tm.ExpiryGuardArgs(mesh=handle, service=_service(handle), image=IMAGE),
    "MirrorMonitoring": lambda handle: tm.MirrorMonitoringArgs(
        cluster=handle.cluster, namespace="tools", watched=[_service(handle)]
    ),
    "TrafficRecorder": lambda handle: tm.TrafficRecorderArgs(
        mesh=handle, at=tm.RecordedWorkload(namespace="hello", labels={"app": "a"}), image=IMAGE, namespace="tools"
    ),
    "ReplayJob": lambda handle: tm.ReplayJobArgs(
        cluster=handle.cluster,
        image=IMAGE,
        namespace="tools",
        settings=tm.ReplaySettings(recording="gs://lake/monday", target="http://v2.example:8000"),
    ),
}
OWN_PROVIDER: Final = {"GkeCluster": "gcp", "NetworkPeering": "gcp"}
"""Components whose children take a provider from them, by its package."""


def make(name: str, options: Callable[[Any], pulumi.ResourceOptions]) -> Callable[[], None]:
    def program() -> None:
        handle = mesh()
        COMPONENTS[name]("thing", ARGS[name](handle), options(handle))

    return program


def test_every_component_is_tried() -> None:
    assert set(ARGS) == set(COMPONENTS)


@pytest.mark.parametrize("name", ARGS)
@pytest.mark.parametrize("field", ["provider", "providers"])
def test_a_provider_that_would_be_ignored_is_refused(name: str, field: str) -> None:
    def options(_: Any) -> pulumi.ResourceOptions:
        other = k8s.Provider("other", kubeconfig="none")
        return (
            pulumi.ResourceOptions(provider=other) if field == "provider" else pulumi.ResourceOptions(providers=[other])
        )

    found = refused(make(name, options), tm.ValidationError)
    text = str(found.error)
    assert f"opts.{field} = '(kubernetes provider)': must be left out" in text
    assert not [each for each in found.recording.resources if each.type == COMPONENTS[name].TYPE]


@pytest.mark.parametrize("name", sorted(OWN_PROVIDER))
def test_a_provider_that_children_inherit_is_taken_and_one_beside_it_refused(name: str) -> None:
    def both(_: Any) -> pulumi.ResourceOptions:
        other = k8s.Provider("other", kubeconfig="none")
        return pulumi.ResourceOptions(providers={"gcp": gcp.Provider("google"), "kubernetes": other})

    assert run_program(make(name, lambda _: pulumi.ResourceOptions(provider=gcp.Provider("google"))))
    assert "Give a provider of gcp" in str(refused(make(name, both), tm.ValidationError).error)


def test_the_cluster_s_own_provider_may_be_repeated() -> None:
    recording = run_program(
        make("MirroredService", lambda handle: pulumi.ResourceOptions(provider=handle.cluster.provider))
    )
    children = recording.children_of(recording.one("trafficmirror:index:MirroredService"))
    assert {child.provider for child in children} == {recording.one("pulumi:providers:kubernetes").urn}
