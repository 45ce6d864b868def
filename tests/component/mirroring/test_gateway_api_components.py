"""The components in the Gateway API: the same parts, in the right order, and one kind on both sides of a gateway."""

from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from pulumi_traffic_mirror.mesh import MeshGateway, MeshGatewayArgs
from pulumi_traffic_mirror.mirroring import (
    CrossClusterMirror,
    ExpiryGuard,
    ExpiryGuardArgs,
    MirroredService,
    MirroredServiceArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
)
from pulumi_traffic_mirror.model import (
    Destination,
    GatewayRef,
    InClusterMirror,
    Match,
    MirrorContract,
    MirrorOffer,
    ValidationError,
    Waiver,
    client_server,
    receiver_server,
)
from tests.support.handles import mesh
from tests.support.recording import Recording, refused, run_program

HOSTS = ["grpc-hello.staging.example"]
CONTRACT = MirrorContract(hosts=HOSTS)
MATCH = Match(rpc_methods=["helloworld.Greeter/SayHello"])
PRIMARY = Destination("greeter.hello.svc.cluster.local", 8000)
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
GATEWAY = "kubernetes:gateway.networking.k8s.io/v1:Gateway"
ROUTE = "kubernetes:gateway.networking.k8s.io/v1:GRPCRoute"
GRANT = "kubernetes:gateway.networking.k8s.io/v1beta1:ReferenceGrant"
FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"
IMAGE = f"registry.example/guard@sha256:{'0' * 64}"


def v2(**changes: Any) -> InClusterMirror:
    return InClusterMirror(
        **{"service": Destination("greeter-v2.labs.svc.cluster.local", 8000), "percent": 50, "match": MATCH, **changes}
    )


def across() -> CrossClusterMirror:
    offer = dict(MirrorOffer.of(CONTRACT, "10.1.2.3").to_json())
    return CrossClusterMirror(
        percent=100, contract=CONTRACT, match=MATCH, client_credential="mirror-client", offer=offer
    )


def staging(*mirrors: InClusterMirror | CrossClusterMirror, **changes: Any) -> MirroredService:
    handle = mesh()
    servers = [client_server(HOSTS)]
    given: dict[str, Any] = {"api": "gateway", **changes}
    kind: Any = given.pop("gateway_api", "gateway")
    gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=servers, api=kind))
    args = MirroredServiceArgs(
        mesh=handle, gateway=gateway, namespace="hello", hosts=HOSTS, primary=PRIMARY, mirrors=mirrors, **given
    )
    return MirroredService("greeter", args)


def record(program: Callable[[], object]) -> Recording:
    return run_program(program, outputs=ADDRESS)


def test_a_service_s_routes_come_after_all_that_they_need() -> None:
    beside = v2(service=Destination("greeter-v2.hello.svc.cluster.local", 8000))
    recording = record(lambda: staging(beside, across()))
    children = recording.children_of(recording.one("trafficmirror:index:MirroredService"))
    assert {child.name for child in children} == {
        "greeter-greeter-v2-destination-rule",
        "greeter-testing-destination-rule",
        "greeter-testing-service-entry",
        "greeter-envoy-filter",
        "greeter-route",
        "greeter-mesh-route",
    }
    at_gateway = recording.one(ROUTE, "greeter-route")
    assert at_gateway.input("spec.parentRefs.0.name") == "internal-gateway"
    assert {"greeter-envoy-filter", "greeter-testing-service-entry", "gateway-gateway"} <= recording.names(
        at_gateway.depends_on
    )
    assert recording.one(FILTER).input("spec.priority") == 10
    outputs = recording.one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    assert {each["guards"]["scrub"] for each in outputs["mirrors"]} == {"at source"}


def test_a_service_of_another_namespace_is_granted_to_the_routes_that_name_it() -> None:
    recording = record(lambda: staging(v2(scrub=Waiver(reason="v2 needs the session"))))
    grant = recording.one(GRANT, "greeter-labs-reference-grant")
    assert grant.input("metadata.namespace") == "labs"
    assert grant.name in recording.names(recording.one(ROUTE, "greeter-route").depends_on)


def test_a_gateway_stands_for_the_pods_of_the_chart() -> None:
    recording = record(staging)
    gateway = recording.one(GATEWAY)
    front = recording.one("kubernetes:helm.sh/v3:Release").inputs
    assert gateway.input("spec.addresses.0.value") == f"{front['name']}.{front['namespace']}.svc.cluster.local"
    assert "gateway-release" in recording.names(gateway.depends_on)


def receiving(**changes: Any) -> None:
    handle = mesh()
    given: dict[str, Any] = {"api": "gateway", "service": PRIMARY, **changes}
    server = receiver_server(CONTRACT, "mirror-server")
    gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server], api="gateway"))  # pyright: ignore[reportArgumentType]
    args = MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=CONTRACT, namespace="hello", **given)
    pulumi.export("receiver", MirrorReceiver("greeter", args).offer)


def test_a_receiver_offers_the_same_contract() -> None:
    recording = record(receiving)
    offer = recording.exports["receiver"]
    assert offer["digest"] == CONTRACT.digest
    children = recording.children_of(recording.one("trafficmirror:index:MirrorReceiver"))
    assert {child.name for child in children} == {
        "greeter-authorization",
        "greeter-destination-rule",
        "greeter-envoy-filter",
        "greeter-rate-limit",
        "greeter-route",
    }
    elsewhere = record(lambda: receiving(service=Destination("greeter.other.svc.cluster.local", 8000)))
    assert elsewhere.one(GRANT).input("metadata.namespace") == "other"


def guarded() -> None:
    service = staging(v2())
    ExpiryGuard("expiry", ExpiryGuardArgs(mesh=service.mesh, service=service, image=IMAGE))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: staging(api="istio"), "api = 'istio': must be that of the gateway"),
        (lambda: staging(gateway_api="istio"), "api = 'gateway': must be that of the gateway"),
        (lambda: receiving(api="istio"), "api = 'istio': must be that of the gateway"),
        (lambda: staging(api="ingress"), "api = 'ingress': must be one of 'istio', 'gateway'"),
        (guarded, "service = 'greeter': must be written in a VirtualService"),
    ],
)
def test_what_does_not_go_together_is_refused(program: Callable[[], object], words: str) -> None:
    assert words in str(refused(program, ValidationError, outputs=ADDRESS).error)


def test_a_gateway_that_exists_is_one_of_the_same_kind() -> None:
    def program() -> None:
        MirroredService(
            "greeter",
            MirroredServiceArgs(
                mesh=mesh(),
                gateway=GatewayRef(name="edge", namespace="ingress"),
                namespace="hello",
                hosts=HOSTS,
                primary=PRIMARY,
                mirrors=[v2()],
                api="gateway",  # pyright: ignore[reportArgumentType]
            ),
        )

    parent = record(program).one(ROUTE, "greeter-route").input("spec.parentRefs.0")
    assert parent == {"name": "edge", "namespace": "ingress", "port": 8000}
