"""Mirrors that lead in a circle, and hosts with two owners, are refused when the component is made."""

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from pulumi_traffic_mirror.clusters import ClusterHandle
from pulumi_traffic_mirror.mesh import ExistingIstio, MeshGateway, MeshGatewayArgs, MeshHandle
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
    GatewayHosts,
    GatewayRef,
    Match,
    MirrorContract,
    MirrorOffer,
    Protocol,
    ValidationError,
    client_server,
    receiver_server,
)
from tests.support.handles import mesh
from tests.support.recording import Recording, refused, run_program

HOST = "grpc-hello.staging.example"
GREETER = Destination("greeter.hello.svc.cluster.local", 8000)
MATCH = Match(rpc_methods=["helloworld.Greeter/SayHello"])
ADDRESS = {"kubernetes:core/v1:Service": {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}}
EDGE = "internal-gateway/internal-gateway"


def contract(receiver: str, host: str = HOST) -> MirrorContract:
    return MirrorContract(hosts=[host], receiver=receiver)


def offer(of: MirrorContract, **more: Any) -> dict[str, Any]:
    return {**MirrorOffer.of(of, "10.1.2.3").to_json(), **more}


def service(
    handle: MeshHandle,
    *to: MirrorContract,
    name: str = "",
    gateway: MeshGateway | GatewayRef | None = None,
    host: str = HOST,
    given: pulumi.Input[Any] = None,
    primary: Destination = GREETER,
    **arguments: Any,
) -> MirroredService:
    mirrors = [
        CrossClusterMirror(
            percent=100,
            name=each.receiver,
            contract=each,
            offer=given or offer(each),
            match=MATCH,
            client_credential="mirror-client",
        )
        for each in to
    ]
    return MirroredService(
        name or f"{handle.cluster.name}-service",
        MirroredServiceArgs(
            mesh=handle,
            gateway=gateway or GatewayRef(name="internal-gateway", namespace="internal-gateway"),
            hosts=[host],
            namespace="hello",
            primary=primary,
            mirrors=mirrors,
            **arguments,
        ),
    )


def receiver(handle: MeshHandle, of: MirrorContract, gateway_name: str = "internal-gateway") -> MirrorReceiver:
    name = handle.cluster.name
    servers = [receiver_server(of, "mirror-server")]
    gateway = MeshGateway(
        f"{name}-{gateway_name}", MeshGatewayArgs(mesh=handle, servers=servers, gateway_name=gateway_name)
    )
    return MirrorReceiver(
        f"{name}-receiver",
        MirrorReceiverArgs(mesh=handle, gateway=gateway, contract=of, namespace="hello", service=GREETER),
    )


def run(program: Callable[[], object], *, preview: bool = False) -> Recording:
    tops = ["staging", "testing", "third"]
    return run_program(program, outputs=ADDRESS, top_level=tops, preview=preview)


def refusal(program: Callable[[], object], *, preview: bool = False) -> str:
    refused_program = refused(program, ValidationError, outputs=ADDRESS, preview=preview)
    assert isinstance(refused_program.error, pulumi.RunError), "the engine would print a traceback"
    return str(refused_program.error)


def test_two_clusters_that_mirror_to_each_other_are_refused_with_the_path() -> None:
    def program() -> None:
        service(mesh("staging"), contract("testing"))
        service(mesh("testing"), contract("staging"))

    text = refusal(program)
    for place in (f"staging {EDGE} {HOST}", f"testing {EDGE} {HOST}", "-(mirrored, authority preserved)->"):
        assert place in text
    assert "must not lead in a circle" in text


def test_a_circle_of_three_clusters_is_refused() -> None:
    def program() -> None:
        for start, end in (("staging", "testing"), ("testing", "third"), ("third", "staging")):
            service(mesh(start), contract(end))

    text = refusal(program)
    assert all(f"{name} {EDGE} {HOST}" in text for name in ("staging", "testing", "third"))


def test_a_chain_is_not_refused() -> None:
    def program() -> None:
        service(mesh("staging"), contract("testing"), contract("third"))
        service(mesh("testing"), contract("third"))

    assert len(run(program).of_type(MirroredService.TYPE)) == 2


def test_other_hosts_lead_nowhere() -> None:
    def program() -> None:
        service(mesh("staging"), contract("testing"))
        back = "other.testing.example"
        service(mesh("testing"), contract("staging", back), host=back)

    assert len(run(program).of_type(MirroredService.TYPE)) == 2


def test_a_gateway_of_its_own_for_mirrors_breaks_the_circle() -> None:
    """Each cluster's clients and mirrors enter by different gateways, so no copy meets a mirrored route."""

    def program() -> None:
        staging, testing = mesh("staging"), mesh("testing")
        there, back = contract("testing"), contract("staging")
        at_testing = receiver(testing, there, "mirrors")
        at_staging = receiver(staging, back, "mirrors")
        service(staging, there, given=at_testing.offer)
        service(testing, back, given=at_staging.offer)

    assert len(run(program).of_type(MirroredService.TYPE)) == 2


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_an_offer_that_leads_back_is_refused(late: bool, preview: bool) -> None:
    """The other stack's offer tells where its own mirrors lead."""
    onward = [{"gateway": EDGE, "host": HOST, "contract": "0" * 64, "receiver": "staging"}]
    value = offer(contract("testing"), onward=onward)

    def program() -> None:
        service(mesh("staging"), contract("testing"), given=pulumi.Output.from_input(value) if late else value)

    text = refusal(program, preview=preview)
    assert f"testing {EDGE} {HOST}" in text
    assert "must not lead in a circle" in text


@pytest.mark.parametrize(
    "onward",
    [
        [],
        "none",
        ["none"],
        [{"gateway": EDGE}],
        [{"gateway": EDGE, "host": HOST, "contract": "0" * 64, "receiver": "third"}],
        [{"gateway": EDGE, "host": "other.testing.example", "contract": "0" * 64, "receiver": "staging"}],
    ],
)
def test_an_offer_that_leads_elsewhere_is_accepted(onward: object) -> None:
    given = offer(contract("testing"), onward=onward)
    assert run(lambda: service(mesh("staging"), contract("testing"), given=given)).one(MirroredService.TYPE)


def test_an_offer_tells_what_its_gateway_mirrors_on() -> None:
    other = "other.testing.example"
    onward = contract("third", other)

    def program() -> None:
        testing = mesh("testing")
        of = contract("testing")
        servers = [receiver_server(of, "mirror-server"), receiver_server(onward, "mirror-server")]
        gateway = MeshGateway("edge", MeshGatewayArgs(mesh=testing, servers=servers))
        args = MirrorReceiverArgs(mesh=testing, gateway=gateway, contract=of, namespace="hello", service=GREETER)
        pulumi.export("receiver", MirrorReceiver("receiver", args).offer)
        service(testing, onward, gateway=gateway.ref, host=other)

    told = run(program).exports["receiver"]["onward"]
    assert told == [{"gateway": EDGE, "host": other, "contract": onward.digest, "receiver": "third"}]


def test_two_owners_of_one_host_at_one_gateway_are_refused() -> None:
    def program() -> None:
        handle = mesh("staging")
        service(handle, contract("testing"))
        service(handle, contract("third"), name="again")

    text = refusal(program)
    assert "hosts = 'grpc-hello.staging.example': must be routed by one component" in text
    assert "'staging-service' routes it already" in text


def test_two_owners_of_one_name_inside_the_mesh_are_refused() -> None:
    """Callers there use the primary's own name, and a sidecar takes only one of two VirtualServices for it."""

    def program(**arguments: Any) -> None:
        handle, other = mesh("staging"), "other.staging.example"
        service(handle, contract("testing"))
        service(handle, contract("third", other), name="again", host=other, **arguments)

    text = refusal(program)
    assert "primary.host = 'greeter.hello.svc.cluster.local': must be routed inside the mesh by one component" in text
    assert "'staging-service' routes it already" in text
    assert len(run(lambda: program(govern_mesh=False)).of_type(MirroredService.TYPE)) == 2


def test_clusters_of_one_name_are_kept_apart() -> None:
    class Region(pulumi.ComponentResource):
        def __init__(self, name: str) -> None:
            super().__init__("test:index:Region", name)
            provider = Provider(f"{name}-cluster", kubeconfig="none", opts=pulumi.ResourceOptions(parent=self))
            cluster = ClusterHandle(name="cluster", provider=provider)
            handle = ExistingIstio(cluster=cluster, version="1.31.0").handle
            service(handle, contract("testing"), name=name)
            self.register_outputs({})

    def program() -> None:
        Region("one")
        Region("two")

    assert len(run(program).of_type(MirroredService.TYPE)) == 2


def test_each_program_starts_with_no_mirrors() -> None:
    for _ in range(2):
        assert run(lambda: service(mesh("staging"), contract("testing"))).one(MirroredService.TYPE)


def test_clients_and_mirrors_of_two_hosts_share_a_gateway() -> None:
    def program() -> None:
        handle = mesh("staging")
        hosts = [HOST, "second.staging.example"]
        gateway = MeshGateway("edge", MeshGatewayArgs(mesh=handle, servers=[client_server(hosts)]))
        for index, host in enumerate(hosts):
            primary = Destination(f"service-{index}.hello.svc.cluster.local", 8000)
            to = contract("testing", host)
            service(handle, to, gateway=gateway, host=host, name=f"service-{index}", primary=primary)

    assert len(run(program).of_type(MirroredService.TYPE)) == 2


def test_the_gateway_of_another_cluster_is_refused() -> None:
    def program(receives: bool) -> None:
        here, there, of = mesh("staging"), mesh("testing"), contract("testing")
        servers = [receiver_server(of, "mirror-server") if receives else client_server([HOST])]
        gateway = MeshGateway("edge", MeshGatewayArgs(mesh=there, servers=servers))
        if receives:
            args = MirrorReceiverArgs(mesh=here, gateway=gateway, contract=of, namespace="hello", service=GREETER)
            MirrorReceiver("receiver", args)
        else:
            service(here, of, gateway=gateway)

    for receives in (False, True):
        text = refusal(lambda receives=receives: program(receives))
        assert f"gateway = '{EDGE} in testing': must be a gateway of the cluster 'staging'" in text


def overlay(handle: MeshHandle, to: MirrorContract, *, host: str = HOST, given: pulumi.Input[Any] = None) -> None:
    mirror = CrossClusterMirror(
        percent=100,
        name=to.receiver,
        contract=to,
        offer=given or offer(to),
        match=MATCH,
        client_credential="mirror-client",
    )
    on = [GatewayHosts(hosts=[host])]
    args = MirrorOverlayArgs(mesh=handle, on=on, mirrors=[mirror], protocol=Protocol.GRPC)
    MirrorOverlay(f"{handle.cluster.name}-overlay", args)


def overlay_first() -> None:
    overlay(mesh("staging"), contract("testing"))
    service(mesh("testing"), contract("staging"))


def overlay_last() -> None:
    service(mesh("testing"), contract("staging"))
    overlay(mesh("staging"), contract("testing"))


def overlays_alone() -> None:
    overlay(mesh("staging"), contract("testing"))
    overlay(mesh("testing"), contract("staging"))


@pytest.mark.parametrize("program", [overlay_first, overlay_last, overlays_alone])
def test_a_circle_through_an_overlay_is_refused_with_the_path(program: Callable[[], None]) -> None:
    text = refusal(program)
    assert f"staging gateways {HOST} -(mirrored" in text or f"-> staging gateways {HOST}" in text
    assert "must not lead in a circle" in text


def test_an_offer_that_leads_back_to_an_overlay_is_refused() -> None:
    onward = [{"gateway": EDGE, "host": HOST, "contract": "0" * 64, "receiver": "staging"}]
    value = offer(contract("testing"), onward=onward)
    text = refusal(lambda: overlay(mesh("staging"), contract("testing"), given=value))
    assert f"testing {EDGE} {HOST}" in text
    assert "must not lead in a circle" in text


@pytest.mark.parametrize(
    ("receiver_name", "host"), [("third", HOST), ("staging", "other.testing.example")], ids=["cluster", "host"]
)
def test_an_offer_that_leads_elsewhere_than_to_an_overlay_is_accepted(receiver_name: str, host: str) -> None:
    onward = [{"gateway": EDGE, "host": host, "contract": "0" * 64, "receiver": receiver_name}]
    value = offer(contract("testing"), onward=onward)
    assert run(lambda: overlay(mesh("staging"), contract("testing"), given=value)).one(MirrorOverlay.TYPE)


def test_overlays_in_a_chain_are_not_refused() -> None:
    def program() -> None:
        overlay(mesh("staging"), contract("testing"))
        overlay(mesh("testing"), contract("third"))
        back = "other.testing.example"
        service(mesh("third"), contract("staging", back), host=back)

    assert len(run(program).of_type(MirrorOverlay.TYPE)) == 2
