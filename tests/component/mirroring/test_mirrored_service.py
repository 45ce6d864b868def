"""MirroredService and MirrorReceiver: what they register, in which order, and what they refuse."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.clusters import ClusterHandle, ClusterKind
from components.mesh import ExistingIstio, MeshGateway, MeshGatewayArgs, MeshHandle
from components.mirroring import (
    CrossClusterMirror,
    MirroredService,
    MirroredServiceArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
)
from components.model import (
    Destination,
    Expiry,
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
from tests.support.recording import Recording, refused, run_program

HOSTS = ["grpc-hello.staging.example"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONTRACT = MirrorContract(hosts=HOSTS)
MATCH = Match(rpc_methods=["helloworld.Greeter/SayHello"])
PRIMARY = Destination("greeter.hello.svc.cluster.local", 8000)
VERSION_ONE = Destination("greeter.hello.svc.cluster.local", 8000, "v1")
V2 = Destination("greeter-v2.hello.svc.cluster.local", 8000)
OFFER = dict(MirrorOffer.of(CONTRACT, "10.1.2.3").to_json())
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
VIRTUAL_SERVICE = "kubernetes:networking.istio.io/v1:VirtualService"
SERVICE_ENTRY = "kubernetes:networking.istio.io/v1:ServiceEntry"
ENVOY_FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"


def mesh(version: str = "1.31.0") -> MeshHandle:
    provider = Provider("cluster", kubeconfig="none")
    cluster = ClusterHandle(name="cluster", provider=provider, kind=ClusterKind.EXISTING)
    return ExistingIstio(cluster=cluster, version=version).handle


def in_cluster(**changes: Any) -> InClusterMirror:
    return InClusterMirror(**{"service": V2, "name": "v2", "percent": 50, "match": MATCH, **changes})


def cross_cluster(offer: pulumi.Input[Mapping[str, Any]] = OFFER, **changes: Any) -> CrossClusterMirror:
    values = {"contract": CONTRACT, "match": MATCH, "client_credential": "mirror-client", **changes}
    return CrossClusterMirror(offer=offer, **values)


def staging(*mirrors: InClusterMirror | CrossClusterMirror, version: str = "1.31.0", **changes: Any) -> None:
    handle = mesh(version)
    gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[client_server(HOSTS)]))
    values: dict[str, Any] = {
        "mesh": handle,
        "gateway": gateway,
        "namespace": "hello",
        "hosts": HOSTS,
        "primary": PRIMARY,
        "mirrors": mirrors,
        "now": NOW,
        **changes,
    }
    MirroredService("greeter", MirroredServiceArgs(**values))


def record(program: Callable[[], object], *, preview: bool = False) -> Recording:
    return run_program(program, preview=preview, outputs=ADDRESS)


@pytest.mark.parametrize("preview", [False, True])
def test_it_registers_the_routing_of_one_service(preview: bool) -> None:
    recording = record(lambda: staging(in_cluster(), cross_cluster()), preview=preview)
    component = recording.one("trafficmirror:index:MirroredService")
    children = {(child.type.rsplit(":", 1)[1], child.name) for child in recording.children_of(component)}
    assert children == {
        ("VirtualService", "greeter-virtual-service"),
        ("EnvoyFilter", "greeter-envoy-filter"),
        ("DestinationRule", "greeter-v2-destination-rule"),
        ("DestinationRule", "greeter-testing-destination-rule"),
        ("ServiceEntry", "greeter-testing-service-entry"),
    }
    assert {child.provider for child in recording.children_of(component)} == {
        recording.one("pulumi:providers:kubernetes").urn
    }


def test_routes_come_after_all_that_they_need() -> None:
    """A route before its brakes and scrub would send unbounded copies with credentials."""
    recording = record(lambda: staging(in_cluster(), cross_cluster()))
    needs = recording.names(recording.one(VIRTUAL_SERVICE).depends_on)
    assert {
        "greeter-envoy-filter",
        "greeter-v2-destination-rule",
        "greeter-testing-destination-rule",
        "greeter-testing-service-entry",
        "gateway-gateway",
    } <= needs


def test_the_offer_s_address_becomes_the_endpoint() -> None:
    recording = record(lambda: staging(cross_cluster(pulumi.Output.from_input(OFFER))))
    entry = recording.one(SERVICE_ENTRY)
    assert entry.input("spec.endpoints.0.address") == "10.1.2.3"
    assert entry.input("spec.hosts") == [CONTRACT.mirror_host]


def test_an_unknown_offer_previews() -> None:
    def program() -> None:
        late = pulumi.Output.from_input("x").apply(lambda _: OFFER)
        staging(cross_cluster(late))

    assert record(program, preview=True).one(SERVICE_ENTRY).input("metadata.name") == "greeter-testing"


def test_outputs_show_what_is_mirrored_and_what_is_waived() -> None:
    waiver = Waiver(reason="v2 is a read-only replica")
    mirror = in_cluster(match=None, side_effects=waiver, expires=Expiry.parse("2027-01-31"))
    outputs = record(lambda: staging(mirror)).one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    (shown,) = outputs["mirrors"]
    assert shown["percent"] == 50
    assert shown["waivers"] == {"side-effects": "v2 is a read-only replica"}
    assert shown["expires"] == "2027-01-31T23:59:59Z"
    assert shown["scrubbed"] == "on the mirror alone, before it leaves"


def test_an_older_istio_says_that_the_scrub_is_weaker() -> None:
    recording = record(lambda: staging(cross_cluster(), version="1.30.1"))
    outputs = recording.one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    assert outputs["mirrors"][0]["scrubbed"] == "at testing's gateway only"
    patches = recording.one(ENVOY_FILTER).input("spec.configPatches")
    assert {patch["applyTo"] for patch in patches} == {"CLUSTER"}


def test_a_change_of_percent_changes_one_virtual_service_and_its_envoy_filter() -> None:
    before = record(lambda: staging(in_cluster(), cross_cluster(percent=10)))
    after = record(lambda: staging(in_cluster(), cross_cluster(percent=25)))
    changed = {old.name for old, new in zip(before.resources, after.resources, strict=True) if old.inputs != new.inputs}
    assert changed == {"greeter-virtual-service", "greeter-envoy-filter"}


def test_without_mirrors_only_the_route_remains() -> None:
    recording = record(staging)
    component = recording.one("trafficmirror:index:MirroredService")
    assert [child.name for child in recording.children_of(component)] == ["greeter-virtual-service"]


def test_an_existing_gateway_is_named_by_reference() -> None:
    ref = GatewayRef(name="edge", namespace="ingress")
    recording = record(lambda: staging(in_cluster(), gateway=ref))
    assert recording.one(VIRTUAL_SERVICE).input("spec.gateways") == ["ingress/edge", "mesh"]


def other_terms() -> dict[str, Any]:
    return dict(MirrorOffer.of(MirrorContract(hosts=HOSTS, port=9000), "10.1.2.3").to_json())


def ended() -> dict[str, Any]:
    return dict(MirrorOffer.of(CONTRACT, "10.1.2.3", Expiry.parse("2026-11-22")).to_json())


def forged() -> dict[str, Any]:
    return {**OFFER, "digest": "0" * 64}


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ({}, "mirrors[0].offer = {}: must be the offer"),
        (other_terms(), "mirrors[0].offer.terms.port = 9000: must be 8000"),
        (ended(), "mirrors[0].offer.expires = '2026-11-22T23:59:59Z': must not have passed"),
        (forged(), "mirrors[0].offer.digest"),
        ({**OFFER, "address": "http://b"}, "mirrors[0].offer.address"),
        ({**OFFER, "terms": "none"}, "mirrors[0].offer.terms"),
    ],
)
def test_an_offer_that_does_not_fit_is_refused(offer: Any, words: str, preview: bool) -> None:
    refusal = refused(
        lambda: staging(cross_cluster(pulumi.Output.from_input(offer)), gateway=GatewayRef(name="g", namespace="n")),
        ValidationError,
        preview=preview,
        outputs=ADDRESS,
    )
    assert words in str(refusal.error)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: staging(in_cluster(expires=Expiry.parse("2026-11-22"))), "mirrors[0].expires"),
        (lambda: staging(in_cluster(match=None)), "mirrors[0].match"),
        (lambda: staging(in_cluster(service=PRIMARY)), "mirrors[0].service"),
        (lambda: staging(in_cluster(), in_cluster()), "mirrors[1].name"),
        (lambda: staging(in_cluster(name="primary"), primary=VERSION_ONE), "mirrors[0].name = 'primary': must not be"),
        (lambda: staging(hosts=["other.staging.example"]), "hosts[0] = 'other.staging.example': must be served"),
        (lambda: staging(port=9000), "must be served by the gateway istio-system/internal-gateway on port 9000"),
        (lambda: staging(gateway=None), "gateway = None"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_registered(program: Callable[[], None], words: str) -> None:
    refusal = refused(program, ValidationError, outputs=ADDRESS)
    assert words in str(refusal.error)
    assert isinstance(refusal.error, pulumi.RunError), "the engine would print a traceback"
    assert not refusal.recording.of_type("trafficmirror:index:MirroredService")


def receiving(contract: MirrorContract = CONTRACT, **changes: Any) -> None:
    handle = mesh()
    server = receiver_server(CONTRACT, "mirror-server")
    gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server]))
    values: dict[str, Any] = {"namespace": "hello", "service": PRIMARY, **changes}
    receiver = MirrorReceiver("greeter", MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=contract, **values))
    pulumi.export("receiver", receiver.offer)


def test_the_receiver_offers_what_staging_accepts() -> None:
    offer = record(receiving).exports["receiver"]
    assert MirrorOffer.accept(offer, CONTRACT, now=NOW).address == "10.1.2.3"


@pytest.mark.parametrize("preview", [False, True])
def test_the_receiver_registers_its_routing(preview: bool) -> None:
    recording = record(receiving, preview=preview)
    component = recording.one("trafficmirror:index:MirrorReceiver")
    assert {child.name for child in recording.children_of(component)} == {
        "greeter-virtual-service",
        "greeter-destination-rule",
        "greeter-envoy-filter",
    }
    assert recording.one(VIRTUAL_SERVICE).input("spec.hosts") == [
        "grpc-hello.staging.example",
        "grpc-hello.staging.example-shadow",
    ]


def test_a_gateway_that_does_not_accept_the_contract_is_refused() -> None:
    other = MirrorContract(hosts=["second.staging.example"])
    refusal = refused(lambda: receiving(other), ValidationError, outputs=ADDRESS)
    assert "gateway.servers" in str(refusal.error)
    assert "second.staging.example-shadow" in str(refusal.error)
