"""Envoy's own cases for mirrors, those that a client or a server can see."""

from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Brakes, Match, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, settled
from .terms import SAY_HELLO, STAGING, echo, service

pytestmark = pytest.mark.stage

SOURCE = "Envoy, test/integration/shadow_policy_integration_test.cc"
HTTP = Protocol.HTTP
V1 = echo("v1", HTTP)


def inside(version: str, **changes: Any) -> tm.InClusterMirror:
    return tm.InClusterMirror(**{"percent": 100, "service": echo(version, HTTP), **changes})


def cluster_of(version: str) -> str:
    return echo(version, HTTP).cluster_name


def test_two_mirrors_reuse_their_connections(lab: Lab, case: Any) -> None:
    note = case("E1", SOURCE, "two mirrors get 500 calls each over connections that are reused")
    with lab.route(inside("v2"), inside("v3"), protocol=HTTP, primary=V1) as route:
        result = lab.call(route, 500, concurrency=8)
        copies = {v: settled(lambda v=v: lab.seen(STAGING, v, result["run"]), complete=500) for v in ("v2", "v3")}
        connections = {v: lab.gateway.connections(cluster_of(v)) for v in ("v2", "v3")}
    note(
        f"calls {[seen['calls'] for seen in copies.values()]}, connections {list(connections.values())}",
        "the servers' own records; cx_total of both clusters at the gateway",
    )
    assert result["versions"] == {"v1": 500}
    assert [(seen["calls"], seen["requests"]) for seen in copies.values()] == [(500, 500)] * 2
    # As many as were in flight at most, and as many again for those that the server closed meanwhile.
    assert all(count <= Brakes().max_connections for count in connections.values())


@pytest.mark.parametrize("protocol", [HTTP, Protocol.GRPC])
def test_client_does_not_notice_a_mirror_that_resets(lab: Lab, case: Any, protocol: Protocol) -> None:
    note = case(f"E5 {protocol.value}", SOURCE, "the mirror resets every request; all clients are answered")
    match = Match(rpc_methods=[SAY_HELLO]) if protocol is Protocol.GRPC else None
    mirror = lab.outside(protocol, match=match)
    with (
        lab.route(mirror, protocol=protocol, primary=echo("v1", protocol)) as route,
        lab.outside_server.misbehaving("reset"),
    ):
        result = lab.call(route, 200, rate=100)
        copies = lab.outside_server.seen(result["run"])
    note(f"{result['good']} of 200 answered, {copies['calls']} copies reset", "client; the mirror's own record")
    assert result["versions"] == {"v1": 200}, result["failures"]
    assert copies["calls"] > 0


def test_primary_times_out_and_so_does_its_mirror(lab: Lab, case: Any) -> None:
    note = case("E6", SOURCE, "primary and mirror hang: the client gets 504, nothing stays in flight")
    with (
        lab.route(inside("v2"), protocol=HTTP, primary=V1, timeout_seconds=0.5) as route,
        lab.misbehaving(STAGING, "v1", "hang"),
        lab.misbehaving(STAGING, "v2", "hang"),
    ):
        # All at once: after the first time-outs the brakes hold further copies back.
        result = lab.call(route, 20, timeout=5, concurrency=20)
        copies = settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=20)
        wait_until(lambda: lab.gateway.counters(cluster_of("v2")).active == 0, what="no copy is in flight", timeout=10)
    note(f"{result['statuses']}, {copies['calls']} copies, 0 in flight", "client; rq_active at the gateway")
    assert result["statuses"] == {"504": 20}
    assert copies["calls"] == 20


def test_primary_times_out_and_the_mirror_completes(lab: Lab, case: Any) -> None:
    note = case("E7", SOURCE, "the client gets 504, every mirrored request completes")
    with (
        lab.route(inside("v2"), protocol=HTTP, primary=V1, timeout_seconds=0.5) as route,
        lab.misbehaving(STAGING, "v1", "hang"),
    ):
        before = lab.gateway.counters(cluster_of("v2"))
        result = lab.call(route, 20, timeout=5)
        copies = settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=20)
        grown = lab.gateway.counters(cluster_of("v2")).since(before)
    note(f"{result['statuses']}, {grown.success} copies answered", "client; rq_success of the mirror at the gateway")
    assert result["statuses"] == {"504": 20}
    assert copies["complete"] == grown.success == 20
    assert grown.timeout == 0


def test_only_the_mirror_times_out(lab: Lab, case: Any) -> None:
    note = case("E8", SOURCE, "the client gets 200, the mirror's own time-out counter rises")
    with (
        lab.route(inside("v2"), protocol=HTTP, primary=V1, timeout_seconds=0.5) as route,
        lab.misbehaving(STAGING, "v2", "hang"),
    ):
        before = lab.gateway.counters(cluster_of("v2"))
        result = lab.call(route, 20)
        wait_until(
            lambda: lab.gateway.counters(cluster_of("v2")).since(before).timeout >= 20,
            what="20 copies have timed out",
            timeout=10,
        )
        grown = lab.gateway.counters(cluster_of("v2")).since(before)
    note(f"{result['good']} of 20 answered, {grown.timeout} time-outs", "client; rq_timeout at the gateway")
    assert result["versions"] == {"v1": 20}
    assert (grown.total, grown.timeout) == (20, 20)


def test_brakes_alone_end_a_mirror_that_hangs(lab: Lab, case: Any) -> None:
    note = case("E8 without a time-out", SOURCE, "the bound on a mirror's life ends it; the primary has none")
    brakes = Brakes(max_duration_seconds=1)
    with (
        lab.route(inside("v2", brakes=brakes), protocol=HTTP, primary=V1) as route,
        lab.misbehaving(STAGING, "v2", "hang"),
    ):
        result = lab.call(route, 20)
        cluster = cluster_of("v2")
        held = lab.gateway.counters(cluster).active
        wait_until(lambda: lab.gateway.counters(cluster).active == 0, what="no copy is in flight", timeout=10)
    note(f"{result['good']} of 20 answered, {held} copies held, then 0", "client; rq_active at the gateway")
    assert result["versions"] == {"v1": 20}


@pytest.mark.parametrize("side", ["primary", "mirror"])
def test_local_reply_on_one_side(lab: Lab, case: Any, side: str) -> None:
    """A Service without pods makes the proxy answer by itself."""
    number = {"primary": "E18", "mirror": "E19"}[side]
    note = case(number, SOURCE, f"the proxy answers for the {side}; the other side is not touched by it")
    nobody = service("nobody", HTTP)
    empty = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "nobody", "namespace": "hello"},
        "spec": {"selector": {"app": "nobody"}, "ports": [{"name": "http", "port": nobody.port}]},
    }
    mirror = inside("v2") if side == "primary" else tm.InClusterMirror(percent=100, service=nobody)
    with (
        lab.applied(STAGING, [empty]),
        lab.route(mirror, protocol=HTTP, primary=nobody if side == "primary" else V1) as route,
    ):
        result = lab.call(route, 20)
        copies = settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=20)
    note(f"{result['statuses']}, {copies['calls']} copies at v2", "client; the mirror's own record")
    assert result["statuses"] == ({"503": 20} if side == "primary" else {"200": 20})
