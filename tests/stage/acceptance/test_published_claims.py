"""What the published recipe for a staging environment with real traffic claims, with and without ``-shadow``.

Testing is configured once; only staging's istiod changes between the two modes.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import ExistingIstio
from pulumi_traffic_mirror.mesh.revision import SHADOW_SWITCH
from pulumi_traffic_mirror.model import Match, MirrorContract, Protocol, Waiver
from pulumi_traffic_mirror.operations.verify.access_log import of_run, read_access_log
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .declared import cluster, declare
from .lab import Lab, calls_of, settled
from .proxies import gateway_of
from .terms import (
    CONTRACTS,
    GATEWAY,
    NAMESPACE,
    PORTS,
    SAY_HELLO,
    SERVER_CREDENTIAL,
    STAGING,
    TESTING,
    echo,
    greeter,
)

pytestmark = pytest.mark.stage

SOURCE = "the published recipe"
ENVOY = "Envoy, test/integration/shadow_policy_integration_test.cc"
GRPC = Protocol.GRPC
MATCH = Match(rpc_methods=[SAY_HELLO])
PORT = PORTS[GRPC]


@pytest.fixture(scope="module", params=["preserved", "suffixed"])
def mode(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """What staging's istiod does to the authority of mirrors; afterwards it is as before."""
    if request.param == "preserved":
        yield request.param
        return
    lab.meshes.install_istiod(STAGING, {SHADOW_SWITCH: "false"})
    lab.suffixed = True
    try:
        yield request.param
    finally:
        lab.suffixed = False
        lab.meshes.install_istiod(STAGING, {})


def v2(**changes: Any) -> tm.InClusterMirror:
    return tm.InClusterMirror(**{"percent": 100, "service": greeter("v2"), "match": MATCH, **changes})


def mirrored_authority(mode: str, host: str, port: int | None) -> str:
    suffix = "-shadow" if mode == "suffixed" else ""
    return f"{host}{suffix}" + (f":{port}" if port else "")


def access_log(lab: Lab, run: str, complete: int) -> list[str]:
    """Return the lines of testing's gateway about a run; it writes them every ten seconds."""
    found: list[str] = []

    def written() -> bool:
        lines = lab.outpost.ask("log", TESTING, GATEWAY.namespace, "istio=internal-gateway", "istio-proxy", 120)
        found[:] = [line for line in lines if f'"{run} grpc-python' in line]
        return len(found) >= complete

    wait_until(written, what=f"testing's gateway has logged {complete} requests", timeout=20)
    return found


def test_in_cluster(lab: Lab, case: Any, mode: str) -> None:
    note = case(f"B1 {mode}", SOURCE, "one call: v1 and v2 log it, the client gets v1's answer with its pod and IP")
    with lab.route(v2(), protocol=GRPC, primary=greeter()) as route:
        result = lab.call(route, 1)
        copies = settled(lambda: lab.greeted(STAGING, "v2", result["run"]), complete=1)
        originals = lab.greeted(STAGING, "v1", result["run"])
    pods = lab.outpost.ask("find", STAGING, "v1", "Pod", NAMESPACE, "app=greeter,version=v1")
    note(f"v1: {originals.calls}, v2: {copies.calls}", "pod logs; the answer's text")
    assert (originals.calls, copies.calls) == (1, 1)
    assert f"from v1 pod {pods[0]['metadata']['name']} ip {pods[0]['status']['podIP']}" in result["text"]


def test_cross_cluster(lab: Lab, case: Any, mode: str) -> None:
    note = case(f"B2, B3 {mode}", SOURCE, "500 calls answered by staging, all logged in testing, its authority as set")
    with lab.route(lab.in_testing(GRPC, match=MATCH), protocol=GRPC, primary=greeter()) as route:
        result = lab.call(route, 500)
        copies = settled(lambda: lab.greeted(TESTING, "v1", result["run"]), complete=500)
        assert copies.calls == 500, (
            result,
            lab.gateway.counters(lab.in_testing(GRPC).destination(greeter()).cluster_name),
        )
        authority = mirrored_authority(mode, route.host, PORT)
        at_gateway = sum(f'"{authority}"' in line for line in access_log(lab, result["run"], 500))
    note(f"{copies.calls} of 500, {at_gateway} with authority {authority}", "pod log; access log of testing's gateway")
    assert result["versions"] == {"v1": 500}, result["failures"]
    assert at_gateway == 500
    assert copies.authorities == {authority: 500}
    assert copies.marks == {"mirror": 500}


@pytest.mark.parametrize("port", [PORT, None])
def test_suffix(lab: Lab, case: Any, mode: str, port: int | None) -> None:
    """Without a scrub Istio's own list of mirrors is in force, so istiod alone decides."""
    number = "E24" if mode == "preserved" else ("E23" if port else "E22")
    name = f"{number} {mode}, {'with' if port else 'without'} a port"
    note = case(name, ENVOY, "the suffix comes before the port, or not at all")
    mirror = v2(scrub=Waiver(reason="shows what Istio itself renders"))
    with lab.route(mirror, protocol=GRPC, primary=greeter()) as route:
        result = lab.call(route, 100, authority=f"{route.host}:{port}" if port else route.host)
        copies = settled(lambda: lab.greeted(STAGING, "v2", result["run"]), complete=100)
    authority = mirrored_authority(mode, route.host, port)
    note(f"{copies.authorities}", "pod log")
    assert copies.authorities == {authority: 100}


def test_route_for_the_targets_own_name(lab: Lab, case: Any, mode: str) -> None:
    note = case(f"B4 {mode}", SOURCE, "a route in testing for the mirror target's own name gets nothing")
    contract = CONTRACTS[GRPC]
    own_name = MirrorContract(
        hosts=[str(contract.mirror_host)], port=PORT, receiver="own-name", mirror_host="unused.testing.example"
    )

    def program() -> None:
        mesh = ExistingIstio(cluster=cluster(), version=lab.stage.istio_version).handle
        servers = [tm.receiver_server(own_name, SERVER_CREDENTIAL)]
        leads_nowhere = tm.Waiver(reason="the fabric of this machine leads nowhere else")
        args = tm.MeshGatewayArgs(mesh=mesh, servers=servers, internal_by_itself=leads_nowhere)
        gateway = tm.MeshGateway("gateway", args)
        args = tm.MirrorReceiverArgs(
            mesh=mesh, gateway=gateway, contract=own_name, namespace=NAMESPACE, service=echo("v1", GRPC)
        )
        tm.MirrorReceiver("own-name", args)

    routing = [obj for obj in declare(program).objects if obj["kind"] in {"VirtualService", "DestinationRule"}]
    with lab.applied(TESTING, routing):
        gateway = gateway_of(lab.outpost, TESTING)
        wait_until(
            lambda: all("hello.own-name.mirror" in found for found in gateway.routes()),
            what="testing's gateway has the route",
            timeout=20,
        )
        with lab.route(lab.in_testing(GRPC, match=MATCH), protocol=GRPC, primary=greeter()) as route:
            result = lab.call(route, 100)
            copies = settled(lambda: lab.greeted(TESTING, "v1", result["run"]), complete=100)
            by_own_name = lab.seen(TESTING, "v1", result["run"])
            _without_receiver(lab, route, note)
    assert copies.calls == 100
    assert by_own_name["calls"] == 0


def _without_receiver(lab: Lab, route: Any, note: Any) -> None:
    """Take the receiver's route away: what is left, the route for the target's own name, still gets nothing."""
    receiver = lab.outpost.ask("find", TESTING, "networking.istio.io/v1", "VirtualService", NAMESPACE, "")
    kept = next(obj for obj in receiver if obj["metadata"]["name"] == "receiver-grpc")
    metadata = {key: kept["metadata"][key] for key in ("name", "namespace", "annotations")}
    kept = {key: kept[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
    gateway = gateway_of(lab.outpost, TESTING)
    lab.outpost.ask("delete", TESTING, kept["apiVersion"], kept["kind"], NAMESPACE, "receiver-grpc")
    try:
        wait_until(
            lambda: all("hello.receiver-grpc.mirror" not in found for found in gateway.routes()),
            what="the receiver's route is gone",
            timeout=20,
        )
        result = lab.call(route, 100)
        run = result["run"]
        seen = settled(lambda: lab.seen(TESTING, "v1", run), complete=1)
        greeted = lab.greeted(TESTING, "v1", run)
        answers = dict(Counter(line.answer for line in of_run(read_access_log(access_log(lab, run, 1)), run)))
    finally:
        lab.outpost.ask("apply", TESTING, kept)
        wait_until(
            lambda: all("hello.receiver-grpc.mirror" in found for found in gateway.routes()),
            what="the receiver's route is back",
            timeout=20,
        )
    note(f"0 by its own name; without the receiver's route {answers}", "records, access log of testing's gateway")
    assert result["versions"] == {"v1": 100}
    assert calls_of(seen) == calls_of(greeted) == 0
    # How many arrive is for the brakes to say: to them each such answer is an error, so they let go of the receiver.
    assert answers
    assert all("route_not_found" in what for what in answers), answers
