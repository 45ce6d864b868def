"""MirroredService and MirrorReceiver: what they register, in which order, and what they refuse."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pulumi
import pytest

from pulumi_traffic_mirror.mesh import MeshGateway, MeshGatewayArgs
from pulumi_traffic_mirror.mirroring import (
    CrossClusterMirror,
    MirroredService,
    MirroredServiceArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
)
from pulumi_traffic_mirror.model import (
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
from tests.support.handles import mesh
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
RELEASE = "kubernetes:helm.sh/v3:Release"
AUTHORIZATION = "kubernetes:security.istio.io/v1:AuthorizationPolicy"
ENVOY_FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"


def in_cluster(**changes: Any) -> InClusterMirror:
    return InClusterMirror(**{"service": V2, "name": "v2", "percent": 50, "match": MATCH, **changes})


def cross_cluster(offer: pulumi.Input[Mapping[str, Any]] = OFFER, **changes: Any) -> CrossClusterMirror:
    values = {"percent": 100, "contract": CONTRACT, "match": MATCH, "client_credential": "mirror-client", **changes}
    return CrossClusterMirror(offer=offer, **values)


def staging(*mirrors: InClusterMirror | CrossClusterMirror, version: str = "1.31.0", **changes: Any) -> None:
    handle = mesh(version=version)
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
    assert shown["guards"] == {
        "brakes": "by DestinationRule and EnvoyFilter",
        "life": "by EnvoyFilter",
        "scrub": "at source",
        "mark": "at source",
    }


def test_an_older_istio_says_that_the_scrub_is_weaker() -> None:
    recording = record(lambda: staging(cross_cluster(), version="1.30.1"))
    outputs = recording.one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    assert outputs["mirrors"][0]["guards"]["scrub"] == "at receiver"
    patches = recording.one(ENVOY_FILTER).input("spec.configPatches")
    assert {patch["applyTo"] for patch in patches} == {"CLUSTER"}


MANAGED = "1.28.3-asm.4"


def test_a_managed_mesh_keeps_what_it_can_without_an_envoy_filter() -> None:
    mirror = cross_cluster(unbounded_life=Waiver(reason="SayHello is a small message"))
    recording = record(lambda: staging(mirror, version=MANAGED, timeout_seconds=5))
    outputs = recording.one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    assert outputs["mirrors"][0]["guards"] == {
        "brakes": "by DestinationRule",
        "life": "by the route's timeout, but for uploads and streams",
        "scrub": "at receiver",
        "mark": "at receiver",
    }
    assert not recording.of_type(ENVOY_FILTER)
    assert recording.one(RELEASE).inputs["version"] == "1.28.3", "Google's builds have no chart of their own"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: staging(cross_cluster(), version=MANAGED), "mirrors[0].brakes.max_duration_seconds = 8.0: cannot be"),
        (lambda: staging(cross_cluster(), version=MANAGED, timeout_seconds=5), "does not end copies of uploads"),
        (
            lambda: staging(in_cluster(brakes=Waiver(reason="one pod of our own")), version=MANAGED),
            "mirrors[0].scrub = 'Scrub': cannot be",
        ),
    ],
)
def test_what_a_managed_mesh_cannot_guard_is_refused(program: Callable[[], None], words: str) -> None:
    assert words in str(refused(program, ValidationError, outputs=ADDRESS).error)


def test_what_a_managed_mesh_cannot_guard_is_taken_with_a_waiver() -> None:
    waivers: dict[str, Any] = {
        "unbounded_life": Waiver(reason="v2 answers from memory"),
        "scrub": Waiver(reason="v2 logs no headers"),
    }
    recording = record(lambda: staging(in_cluster(**waivers), version=MANAGED))
    outputs = recording.one("trafficmirror:index:MirroredService").outputs
    assert outputs is not None
    (shown,) = outputs["mirrors"]
    assert shown["guards"] == {"brakes": "by DestinationRule", "life": "none", "scrub": "none", "mark": "none"}
    assert set(shown["waivers"]) == {"life", "scrub"}


def test_a_receiver_in_a_managed_mesh_says_that_copies_cannot_be_paired() -> None:
    recording = record(lambda: receiving(version=MANAGED))
    assert not recording.of_type(ENVOY_FILTER)
    told = [line.message for line in recording.logs if line.severity == "WARNING" and "x-request-id" in line.message]
    assert len(told) == 1


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
        (lambda: staging(port=9000), "must be served by the gateway internal-gateway/internal-gateway on port 9000"),
        (lambda: staging(gateway=None), "gateway = None"),
        (lambda: staging(primary=[PRIMARY, V2]), "primary = '(list)': must be one Destination"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_registered(program: Callable[[], None], words: str) -> None:
    refusal = refused(program, ValidationError, outputs=ADDRESS)
    assert words in str(refusal.error)
    assert isinstance(refusal.error, pulumi.RunError), "the engine would print a traceback"
    assert not refusal.recording.of_type("trafficmirror:index:MirroredService")


def receiving(contract: MirrorContract = CONTRACT, version: str = "1.31.0", **changes: Any) -> None:
    handle = mesh(version=version)
    server = receiver_server(CONTRACT, "mirror-server")
    values: dict[str, Any] = {"namespace": "hello", "service": PRIMARY, **changes}
    values.setdefault("gateway", MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server])))
    receiver = MirrorReceiver("greeter", MirrorReceiverArgs(mesh=handle, contract=contract, **values))
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
        "greeter-authorization",
        "greeter-rate-limit",
    }
    route = recording.one(VIRTUAL_SERVICE)
    assert {"greeter-authorization", "greeter-rate-limit"} <= recording.names(route.depends_on), "no copy comes before"
    assert route.input("spec.hosts") == [
        "grpc-hello.staging.example",
        "grpc-hello.staging.example-shadow",
    ]


def test_the_receiver_lets_through_as_many_copies_a_second_as_it_is_told() -> None:
    patches = record(lambda: receiving(max_per_second=50)).one(ENVOY_FILTER, "greeter-rate-limit")
    (limit,) = patches.input("spec.configPatches.1.patch.value.typed_per_filter_config").values()
    assert limit["token_bucket"] == {"max_tokens": 50, "tokens_per_fill": 50, "fill_interval": "1s"}
    waived = record(lambda: receiving(max_per_second=Waiver(reason="the service has a limit of its own")))
    assert [each.name for each in waived.of_type(ENVOY_FILTER)] == ["greeter-envoy-filter"]
    notes = waived.one(VIRTUAL_SERVICE).input("metadata.annotations")
    assert notes["pulumi-traffic-mirror/waiver.testing.max-per-second"] == "the service has a limit of its own"
    for wrong in (0, 1_000_001, True, "50"):
        assert "max_per_second = " in str(
            refused(partial(receiving, max_per_second=wrong), ValidationError, outputs=ADDRESS).error
        )


def test_the_receiver_says_what_a_mesh_or_gateway_cannot_keep() -> None:
    managed = record(lambda: receiving(version="1.28.3-asm.4"))
    assert not managed.of_type(ENVOY_FILTER)
    assert any("bounds copies a second (1000)" in line.message for line in managed.logs)
    unknown = record(lambda: receiving(gateway=EXISTING, address="10.9.8.7"))
    assert not unknown.of_type(AUTHORIZATION)
    assert any("Give the GatewayRef their labels" in line.message for line in unknown.logs)
    named = replace(EXISTING, labels={"app": "edge"})
    policy = record(lambda: receiving(gateway=named, address="10.9.8.7")).one(AUTHORIZATION)
    assert policy.input("spec.selector.matchLabels") == {"app": "edge"}


EXISTING = GatewayRef(name="edge", namespace="ingress")


@pytest.mark.parametrize("late", [False, True])
def test_the_receiver_takes_a_gateway_that_exists(late: bool) -> None:
    def program() -> None:
        address = pulumi.Output.from_input("10.9.8.7") if late else "10.9.8.7"
        receiving(gateway=EXISTING, address=address)

    recording = record(program)
    assert MirrorOffer.accept(recording.exports["receiver"], CONTRACT, now=NOW).address == "10.9.8.7"
    assert recording.one(VIRTUAL_SERVICE).input("spec.gateways") == ["ingress/edge"]
    assert {each.input("metadata.namespace") for each in recording.of_type(ENVOY_FILTER)} == {"ingress"}, (
        "beside the gateway's pods"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (lambda: {"gateway": EXISTING}, "address = None: must be given for a GatewayRef"),
        (lambda: {"gateway": EXISTING, "address": "127.0.0.1"}, "address = '127.0.0.1': must be reachable"),
        (
            lambda: {"gateway": EXISTING, "address": pulumi.Output.from_input(None)},
            "address = None: must be a non-empty text",
        ),
        (lambda: {"address": "10.9.8.7"}, "address = '10.9.8.7': must be left out for a MeshGateway"),
    ],
)
def test_an_address_belongs_to_a_gateway_that_exists(changes: Callable[[], dict[str, Any]], words: str) -> None:
    refusal = refused(lambda: receiving(**changes()), ValidationError, outputs=ADDRESS)
    assert words in str(refusal.error)


def test_a_gateway_that_does_not_accept_the_contract_is_refused() -> None:
    other = MirrorContract(hosts=["second.staging.example"])
    refusal = refused(lambda: receiving(other), ValidationError, outputs=ADDRESS)
    assert "gateway.servers" in str(refusal.error)
    assert "second.staging.example-shadow" in str(refusal.error)
