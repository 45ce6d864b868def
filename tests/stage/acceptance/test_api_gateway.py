"""The components in the Gateway API, both clusters: a gateway, a service and a receiver each, by HTTP and by gRPC."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import ExistingIstio, IstioCharts
from pulumi_traffic_mirror.model import Match, MirrorContract, MirrorOffer, Protocol, RouteApi
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles

from .declared import cluster, declare
from .lab import Lab, settled
from .overlays import define_gateway_api, dump
from .proxies import Proxy
from .terms import CLIENT_CREDENTIAL, NAMESPACE, SAY_HELLO, SERVER_CREDENTIAL, STAGING, TESTING, echo, greeter

pytestmark = pytest.mark.stage

SOURCE = "overlays"
NAME = "native-gateway"
PORTS = {Protocol.HTTP: 8180, Protocol.GRPC: 8181}
HOSTS = {protocol: f"{protocol.port_name}-component.staging.example" for protocol in PORTS}
CONTRACTS = {
    protocol: MirrorContract(
        hosts=[HOSTS[protocol]],
        port=port,
        protocol=protocol,
        receiver=f"native-{protocol.port_name}",
        mirror_host=f"native-{protocol.port_name}.testing.example",
    )
    for protocol, port in PORTS.items()
}
PRIMARIES = {Protocol.HTTP: echo("v1", Protocol.HTTP), Protocol.GRPC: greeter()}
BESIDE = {Protocol.HTTP: echo("v3", Protocol.HTTP), Protocol.GRPC: greeter("v2")}
MATCHES = {Protocol.HTTP: Match(path_prefixes=["/api"]), Protocol.GRPC: Match(rpc_methods=[SAY_HELLO])}
CALLS = 100


def mesh_of(lab: Lab) -> tm.MeshHandle:
    charts = IstioCharts.in_directory(str(lab.stage.charts))
    return ExistingIstio(cluster=cluster(), version=lab.stage.istio_version, charts=charts).handle


def sender(lab: Lab) -> None:
    """A gateway of the Gateway API, and a service behind it for each protocol, with a mirror here and one there."""
    mesh = mesh_of(lab)
    servers = [tm.client_server([HOSTS[protocol]], port, protocol) for protocol, port in PORTS.items()]
    args = lab.meshes.gateway(mesh, servers, CLIENT_CREDENTIAL, gateway_name=NAME, api=RouteApi.GATEWAY)
    gateway = tm.MeshGateway("native", args)
    for protocol, port in PORTS.items():
        match = MATCHES[protocol]
        offer = dict(MirrorOffer.of(CONTRACTS[protocol], lab.stage.gateway_addresses[TESTING]).to_json())
        across = tm.CrossClusterMirror(
            percent=100, contract=CONTRACTS[protocol], client_credential=CLIENT_CREDENTIAL, offer=offer, match=match
        )
        args = tm.MirroredServiceArgs(
            mesh=mesh,
            gateway=gateway,
            primary=PRIMARIES[protocol],
            mirrors=[tm.InClusterMirror(percent=100, service=BESIDE[protocol], match=match), across],
            hosts=[HOSTS[protocol]],
            namespace=NAMESPACE,
            port=port,
            protocol=protocol,
            api=RouteApi.GATEWAY,
        )
        tm.MirroredService(f"native-{protocol.port_name}", args)


def receiver(lab: Lab) -> None:
    """A gateway of the Gateway API that takes the mirrors of both, over mutual TLS."""
    mesh = mesh_of(lab)
    servers = [tm.receiver_server(contract, SERVER_CREDENTIAL) for contract in CONTRACTS.values()]
    names = [str(contract.mirror_host) for contract in CONTRACTS.values()]
    args = lab.meshes.gateway(mesh, servers, SERVER_CREDENTIAL, *names, gateway_name=NAME, api=RouteApi.GATEWAY)
    gateway = tm.MeshGateway("native", args)
    for protocol, contract in CONTRACTS.items():
        args = tm.MirrorReceiverArgs(
            mesh=mesh,
            gateway=gateway,
            contract=contract,
            namespace=NAMESPACE,
            service=PRIMARIES[protocol],
            api=RouteApi.GATEWAY,
        )
        tm.MirrorReceiver(f"native-{protocol.port_name}", args)


def removed(lab: Lab, role: str, steps: tuple[Mapping[str, Any], ...]) -> None:
    """Take everything away again, what was made last first."""
    for step in reversed(steps):
        if "chart" in step:
            lab.stage.run_in_fabric(
                [
                    *("helm", f"--kubeconfig={lab.stage.kubeconfigs[role]}", f"--namespace={step['namespace']}"),
                    *("uninstall", "--wait", "--ignore-not-found", str(step["name"])),
                ],
                timeout=90,
            )
        else:
            place = step["metadata"].get("namespace", "")
            lab.outpost.ask("delete", role, step["apiVersion"], step["kind"], place, step["metadata"]["name"])


@pytest.fixture(scope="module", autouse=True)
def _components(lab: Lab, oracle_files: OracleFiles) -> Iterator[None]:
    """What the components declare in both clusters; the receiving one first."""
    with ExitStack() as end:
        for role, program in ((TESTING, receiver), (STAGING, sender)):
            define_gateway_api(lab, role, oracle_files)
            steps = declare(lambda p=program: p(lab), gateway_address=lab.stage.gateway_addresses[role]).steps
            end.callback(removed, lab, role, steps)
            lab.meshes.install(role, steps)
        proxy = Proxy(outpost=lab.outpost, role=STAGING, namespace=NAME, selector=f"istio={NAME}")
        wanted = [each.cluster_name for each in BESIDE.values()] + [
            str(each.mirror_host) for each in CONTRACTS.values()
        ]
        wait_until(
            lambda: all(words in dump(proxy) for words in wanted), what="the gateway has both services", timeout=60
        )
        yield


def job_of(lab: Lab, protocol: Protocol, **values: Any) -> dict[str, Any]:
    common = {"authority": f"{HOSTS[protocol]}:{PORTS[protocol]}", "headers": {}}
    grpc = {"protocol": "grpc", "rpc": SAY_HELLO, "kind": "unary", "messages": 1, "message_bytes": 0}
    http = {"protocol": "http1", "method": "GET", "path": "/api/7", "body_bytes": 0}
    given = {**common, **(grpc if protocol is Protocol.GRPC else http), **values}
    return lab.job_to(f"{lab.stage.gateway_addresses[STAGING]}:{PORTS[protocol]}", CALLS, **given)


def arrived(lab: Lab, protocol: Protocol, run: str, *, complete: int) -> tuple[int, int]:
    """How many different calls of a run came to the mirror in the cluster, and to that in the other one."""
    if protocol is Protocol.GRPC:
        here = settled(lambda: lab.greeted(STAGING, "v2", run), complete=complete or 1).calls
        return here, settled(lambda: lab.greeted(TESTING, "v1", run), complete=complete or 1).calls
    here = settled(lambda: lab.seen(STAGING, "v3", run), complete=complete or 1)["calls"]
    return here, settled(lambda: lab.seen(TESTING, "v1", run), complete=complete or 1)["calls"]


@pytest.mark.parametrize("protocol", list(PORTS))
def test_a_service_of_the_gateway_api_is_mirrored_here_and_there(lab: Lab, case: Any, protocol: Protocol) -> None:
    wanted = f"{CALLS} answered, {CALLS} copies here and there without the credential, 0 of what is marked"
    note = case(f"api=gateway, {protocol.port_name}", SOURCE, wanted)
    result = lab.run_job(job_of(lab, protocol, headers={"authorization": "Bearer of-nobody"}), inside=False)
    marked = lab.run_job(job_of(lab, protocol, headers={"x-traffic-mirror": "mirror"}), inside=False)
    seen = arrived(lab, protocol, result["run"], complete=CALLS)
    left = arrived(lab, protocol, marked["run"], complete=0)
    note(f"{seen[0]} and {seen[1]}; {left[0]} and {left[1]} of marked ones", "the servers' own records")
    assert (result["versions"], marked["good"]) == ({"v1": CALLS}, CALLS), (result["failures"], marked["failures"])
    assert (seen, left) == ((CALLS, CALLS), (0, 0))
    if protocol is Protocol.GRPC:
        for role, version in ((STAGING, "v2"), (TESTING, "v1")):
            copies = lab.greeted(role, version, result["run"])
            assert (copies.marks, copies.credentials, copies.repeats) == ({"mirror": CALLS}, {}, 0)
        return
    for role, version in ((STAGING, "v3"), (TESTING, "v1")):
        for record in lab.records(role, version, result["run"]):
            head = dict(record["headers"])
            assert head["x-traffic-mirror"] == "mirror"
            assert "authorization" not in head
            assert record["authority"] == f"{HOSTS[protocol]}:{PORTS[protocol]}"


def test_writes_and_other_paths_are_not_mirrored(lab: Lab, case: Any) -> None:
    note = case("api=gateway, what does not match", SOURCE, "answered, 0 copies")
    posted = lab.run_job(job_of(lab, Protocol.HTTP, method="POST"), inside=False)
    elsewhere = lab.run_job(job_of(lab, Protocol.HTTP, path="/apiary"), inside=False)
    left = [arrived(lab, Protocol.HTTP, each["run"], complete=0) for each in (posted, elsewhere)]
    note(str(left), "the servers' own records")
    assert (posted["good"], elsewhere["good"]) == (CALLS, CALLS)
    assert left == [(0, 0), (0, 0)]
