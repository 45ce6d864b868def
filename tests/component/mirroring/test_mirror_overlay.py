"""MirrorOverlay: what it registers, in which order, and what it refuses."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest

from pulumi_traffic_mirror.mesh import MeshGateway, MeshGatewayArgs
from pulumi_traffic_mirror.mirroring import (
    CrossClusterMirror,
    MirroredService,
    MirroredServiceArgs,
    MirrorOverlay,
    MirrorOverlayArgs,
    MirrorReceiver,
    MirrorReceiverArgs,
)
from pulumi_traffic_mirror.model import (
    Destination,
    Expiry,
    GatewayHosts,
    GatewayRef,
    InClusterMirror,
    MeshService,
    MirrorContract,
    MirrorOffer,
    Protocol,
    ValidationError,
    Waiver,
    WaypointService,
    client_server,
    receiver_server,
)
from tests.component.mirroring.test_mirrored_service import ADDRESS, ENVOY_FILTER, SERVICE_ENTRY, record
from tests.support.handles import mesh
from tests.support.recording import Recording, refused

HOST = "shop.example.com"
ORDERS = "orders.shop.svc.cluster.local"
NEXT = Destination("orders-next.labs.svc.cluster.local", 80)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONTRACT = MirrorContract(hosts=[HOST], protocol=Protocol.HTTP)
OFFER = dict(MirrorOffer.of(CONTRACT, "10.1.2.3").to_json())
OVERLAY = "trafficmirror:index:MirrorOverlay"


def mirror(**values: Any) -> InClusterMirror:
    return InClusterMirror(**{"percent": 100, "service": NEXT, "name": "next", **values})


def across(offer: Any = OFFER, **values: Any) -> CrossClusterMirror:
    return CrossClusterMirror(
        **{"percent": 100, "contract": CONTRACT, "offer": offer, "client_credential": "mirror-client", **values}
    )


def overlay(*mirrors: Any, name: str = "shop", version: str = "1.31.0", handle: Any = None, **values: Any) -> None:
    given = {"on": [GatewayHosts(hosts=[HOST])], "namespace": "web", "now": NOW, **values}
    MirrorOverlay(name, MirrorOverlayArgs(mesh=handle or mesh(version=version), mirrors=mirrors, **given))


@pytest.mark.parametrize("preview", [False, True])
def test_it_registers_mirrors_and_no_route(preview: bool) -> None:
    places = [GatewayHosts(hosts=[HOST]), MeshService(ORDERS, 80), WaypointService(ORDERS, 8080)]
    recording = record(lambda: overlay(mirror(), across(), on=places), preview=preview)
    children = recording.children_of(recording.one(OVERLAY))
    assert {(child.type.rsplit(":", 1)[1], child.name) for child in children} == {
        ("EnvoyFilter", "shop-envoy-filter"),
        ("EnvoyFilter", "shop-envoy-filter-shop-waypoint"),
        ("DestinationRule", "shop-next-destination-rule"),
        ("DestinationRule", "shop-testing-destination-rule"),
        ("ServiceEntry", "shop-testing-service-entry"),
    }
    assert {child.provider for child in children} == {recording.one("pulumi:providers:kubernetes").urn}


def test_the_patches_come_after_all_that_they_need() -> None:
    """A patch before its brakes would send unbounded copies; Pulumi takes it away first, too."""
    recording = record(lambda: overlay(mirror(), across()))
    needs = recording.names(recording.one(ENVOY_FILTER).depends_on)
    assert {"shop-next-destination-rule", "shop-testing-destination-rule", "shop-testing-service-entry"} <= needs


def test_the_offer_s_address_becomes_the_endpoint() -> None:
    recording = record(lambda: overlay(across(pulumi.Output.from_input(OFFER))))
    entry = recording.one(SERVICE_ENTRY)
    assert entry.input("spec.endpoints.0.address") == "10.1.2.3"
    assert entry.input("spec.exportTo") == ["*"]


def test_a_change_of_percent_changes_the_patches_alone() -> None:
    before, after = (record(lambda share=share: overlay(mirror(percent=share), across())) for share in (10, 25))
    changed = {old.name for old, new in zip(before.resources, after.resources, strict=True) if old.inputs != new.inputs}
    assert changed == {"shop-envoy-filter"}


def test_outputs_show_what_is_mirrored_and_what_is_waived() -> None:
    given = mirror(side_effects=Waiver(reason="orders-next has no database"), expires=Expiry.parse("2027-01-31"))
    outputs = record(lambda: overlay(given)).one(OVERLAY).outputs
    assert outputs is not None
    (shown,) = outputs["mirrors"]
    assert shown == {
        "name": "next",
        "percent": 100,
        "destination": NEXT.cluster_name,
        "guards": {
            "brakes": "by DestinationRule and EnvoyFilter",
            "life": "by EnvoyFilter",
            "scrub": "at source",
            "mark": "at source",
        },
        "waivers": {"side-effects": "orders-next has no database"},
        "expires": "2027-01-31T23:59:59Z",
    }


def test_nothing_is_said_to_be_scrubbed_that_is_not() -> None:
    outputs = record(lambda: overlay(mirror(scrub=Waiver(reason="the mirror needs the session")))).one(OVERLAY).outputs
    assert outputs is not None
    kept = outputs["mirrors"][0]["guards"]
    assert (kept["scrub"], kept["mark"]) == ("none", "none")


def test_two_overlays_may_hang_on_one_host() -> None:
    def program() -> None:
        handle = mesh()
        overlay(mirror(), name="one", handle=handle)
        other = mirror(service=Destination("orders-other.labs.svc.cluster.local", 80))
        overlay(other, name="two", handle=handle)

    names = {each.input("metadata.name") for each in record(program).of_type(ENVOY_FILTER)}
    assert names == {"web-one-overlay", "web-two-overlay"}


def both(order: Callable[[Callable[[], None], Callable[[], None]], None], **on: Any) -> None:
    """An overlay and a mirrored service of one host, in the order that is asked for."""
    handle = mesh()
    server = client_server([HOST], 8000, Protocol.HTTP)
    gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server]))
    service = MirroredServiceArgs(
        mesh=handle,
        gateway=gateway,
        hosts=[HOST],
        protocol=Protocol.HTTP,
        primary=Destination(ORDERS, 80),
        now=NOW,
    )
    order(lambda: overlay(mirror(), handle=handle, **on), lambda: (MirroredService("orders", service), None)[1])


def first(one: Callable[[], None], two: Callable[[], None]) -> None:
    one()
    two()


def last(one: Callable[[], None], two: Callable[[], None]) -> None:
    two()
    one()


@pytest.mark.parametrize("order", [first, last])
@pytest.mark.parametrize("on", [{}, {"on": [MeshService(ORDERS, 80)]}])
def test_an_overlay_on_what_this_program_routes_is_refused(order: Any, on: dict[str, Any]) -> None:
    refusal = refused(lambda: both(order, **on), ValidationError, outputs=ADDRESS)
    assert "must be routed by somebody else where an overlay ('shop') hangs on it, and 'orders'" in str(refusal.error)


def test_an_overlay_of_a_host_that_this_program_receives_copies_of_is_refused() -> None:
    def program() -> None:
        handle = mesh()
        server = receiver_server(CONTRACT, "mirror-server")
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server]))
        service = Destination(ORDERS, 80)
        args = MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=CONTRACT, service=service, namespace="shop")
        MirrorReceiver("orders", args)
        overlay(mirror(), handle=handle)

    assert "'orders' of this program routes it" in str(refused(program, ValidationError, outputs=ADDRESS).error)


def test_an_offer_tells_where_an_overlay_leads_on() -> None:
    """The other side finds a circle by it."""

    def program() -> None:
        handle = mesh()
        overlay(across(), handle=handle)
        received = MirrorContract(hosts=["other.example.com"], protocol=Protocol.HTTP)
        server = receiver_server(received, "mirror-server")
        gateway = MeshGateway("gateway", MeshGatewayArgs(mesh=handle, servers=[server]))
        service = Destination(ORDERS, 80)
        args = MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=received, service=service, namespace="shop")
        pulumi.export("receiver", MirrorReceiver("orders", args).offer)

    (onward,) = record(program).exports["receiver"]["onward"]
    assert (onward["host"], onward["contract"]) == (HOST, CONTRACT.digest)


def edge(handle: Any) -> MeshGateway:
    server = client_server([HOST], 8000, Protocol.HTTP)
    return MeshGateway("edge", MeshGatewayArgs(mesh=handle, servers=[server], gateway_name="edge"))


def test_patches_for_a_gateway_of_this_program_wait_for_it_and_reach_its_pods_alone() -> None:
    def program() -> None:
        handle = mesh()
        overlay(mirror(), handle=handle, gateway=edge(handle))

    recording = record(program)
    found = recording.one(ENVOY_FILTER)
    assert found.input("metadata.namespace") == "edge"
    assert found.input("spec.workloadSelector.labels") == {"istio": "edge"}
    assert "edge-gateway" in recording.names(found.depends_on)


def test_patches_for_a_gateway_that_exists_reach_the_pods_with_its_labels() -> None:
    known = GatewayRef(name="edge", namespace="web-edge", labels={"app": "edge"})
    found = record(lambda: overlay(mirror(), gateway=known)).one(ENVOY_FILTER)
    assert found.input("metadata.namespace") == "web-edge"
    assert found.input("spec.workloadSelector.labels") == {"app": "edge"}


def test_the_gateway_of_another_cluster_is_refused() -> None:
    refusal = refused(
        lambda: overlay(mirror(), handle=mesh("staging"), gateway=edge(mesh("testing"))),
        ValidationError,
        outputs=ADDRESS,
    )
    assert "must be a gateway of the cluster 'staging'" in str(refusal.error)


def ended() -> dict[str, Any]:
    return dict(MirrorOffer.of(CONTRACT, "10.1.2.3", Expiry.parse("2026-11-22")).to_json())


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda: overlay(mirror(expires=Expiry.parse("2026-11-22"))), "mirrors[0].expires"),
        (lambda: overlay(mirror(), version="1.27.0"), "istio.version = '1.27.0': must be at least 1.28"),
        (lambda: overlay(mirror(), on=[]), "on = []"),
        (lambda: overlay(mirror(), on=HOST), "on = 'shop.example.com'"),
        (lambda: overlay(mirror(), on=[HOST]), "on[0] = 'shop.example.com'"),
        (lambda: overlay(mirror(), protocol="TCP"), "protocol = 'TCP'"),
        (lambda: overlay(across({})), "mirrors[0].offer"),
        (lambda: overlay(across(ended())), "mirrors[0].offer.expires"),
        (lambda: MirrorOverlay("shop", {"on": []}), "args"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_refused_before_anything_is_registered(program: Callable[[], None], words: str) -> None:
    refusal = refused(program, ValidationError, outputs=ADDRESS)
    assert words in str(refusal.error)
    assert isinstance(refusal.error, pulumi.RunError), "the engine would print a traceback"
    assert not refusal.recording.of_type(OVERLAY)


def test_registrations_of_one_overlay_do_not_depend_on_another() -> None:
    def program() -> None:
        handle = mesh()
        for number in range(3):
            target = Destination(f"next-{number}.labs.svc.cluster.local", 80)
            overlay(mirror(service=target), name=f"shop-{number}", handle=handle)

    recording: Recording = record(program)
    for each in recording.of_type(ENVOY_FILTER):
        others = {name for name in recording.names(each.depends_on) if not name.startswith(each.name[:6])}
        assert not {name for name in others if name.startswith("shop-")}
