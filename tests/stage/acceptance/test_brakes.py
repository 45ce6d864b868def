"""Every brake by itself, the others opened wide: what it alone holds back, on mirrors in the cluster and across."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Brakes, Match, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, Mirror, Route
from .terms import NAMESPACE, OUTSIDE, PORTS, SAY_HELLO, STAGING, echo, service

pytestmark = pytest.mark.stage

SOURCE: Final = "brakes"
WIDE: Final = Brakes(
    max_connections=1_000,
    max_pending_requests=1_000,
    max_requests=1_000,
    connect_timeout_seconds=60,
    max_duration_seconds=300,
    consecutive_errors=1_000,
    keepalive_seconds=300,
    keepalive_timeout_seconds=60,
)
"""Brakes that hold nothing back within a case."""

ENDS_SECONDS: Final = 15.0
"""Until a copy counts as held for good; far less than `WIDE` would hold it."""

NAME: Final = "outside"


class Place:
    """A mirror of one kind; either leads to the server outside the clusters, which can misbehave on the wire."""

    def __init__(self, lab: Lab, kind: str) -> None:
        self.kind = kind
        self._lab = lab

    def braked(self, protocol: Protocol, **brakes: Any) -> AbstractContextManager[Route]:
        """Put a route with such a mirror in place, every brake but the given ones opened wide."""
        values = {
            "brakes": replace(WIDE, **brakes),
            "match": Match(rpc_methods=[SAY_HELLO]) if protocol is Protocol.GRPC else None,
        }
        across = self.kind == "across"
        mirror: Mirror = (
            self._lab.outside(protocol, **values)
            if across
            else tm.InClusterMirror(percent=100, service=service(NAME, protocol), **values)
        )
        return self._lab.route(mirror, protocol=protocol, primary=echo("v1", protocol))


def cluster_of(route: Route) -> str:
    """Return the name of the mirror's cluster in the gateway."""
    (mirror,) = route.model.mirrors
    return mirror.destination(route.primary).cluster_name


def objects() -> list[dict[str, Any]]:
    """A Service of the cluster whose one endpoint is the server outside."""
    ports = [{"name": protocol.port_name, "port": port} for protocol, port in PORTS.items()]
    meta = {"name": NAME, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [OUTSIDE]}],
            "ports": ports,
        },
    ]


@pytest.fixture(scope="module", params=["in the cluster", "across"])
def place(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Place]:
    """Both kinds of mirror, one after the other."""
    with lab.applied(STAGING, objects()):
        yield Place(lab, request.param)


def burst(lab: Lab, route: Route, count: int = 40) -> dict[str, Any]:
    """Make calls all at once; every client is answered by the primary."""
    result = lab.call(route, count, concurrency=count)
    assert result["versions"] == {"v1": count}, result["failures"]
    return result


def await_nothing_held(lab: Lab, cluster: str) -> None:
    wait_until(lambda: lab.gateway.counters(cluster).active == 0, what="no copy is in flight", timeout=ENDS_SECONDS)


def test_requests_in_flight(lab: Lab, place: Place, case: Any) -> None:
    note = case(f"Brake: requests in flight, {place.kind}", SOURCE, "5 of 40 copies that hang are sent")
    with place.braked(Protocol.GRPC, max_requests=5) as route, lab.outside_server.misbehaving("hang"):
        result = burst(lab, route)
        held, seen = lab.gateway.counters(cluster_of(route)).active, lab.outside_server.seen(result["run"])["calls"]
    note(f"{held} held, {seen} sent", "rq_active at the gateway; the mirror's own record")
    assert (held, seen) == (5, 5)


def test_connections_and_waiting_requests(lab: Lab, place: Place, case: Any) -> None:
    note = case(f"Brake: connections, pending, {place.kind}", SOURCE, "of 40 copies few are sent over few connections")
    with (
        place.braked(Protocol.HTTP, max_connections=2, max_pending_requests=3) as route,
        lab.outside_server.misbehaving("delay", seconds=1),
    ):
        before = lab.gateway.connections(cluster_of(route))
        result = burst(lab, route)
        await_nothing_held(lab, cluster_of(route))
        opened = lab.gateway.connections(cluster_of(route)) - before
        seen = lab.outside_server.seen(result["run"])["calls"]
    note(f"{opened} connections, {seen} sent", "cx_total at the gateway; the mirror's own record")
    # Each of the gateway's threads may open one connection beyond the bound, and let one request wait.
    assert 1 <= opened <= 4
    assert opened <= seen <= 10


def test_time_to_connect(lab: Lab, place: Place, case: Any) -> None:
    note = case(f"Brake: time to connect, {place.kind}", SOURCE, "copies wait 0.5 s for a connection, not longer")
    with place.braked(Protocol.HTTP, connect_timeout_seconds=0.5) as route, lab.outside_server.dropped():
        before = lab.gateway.counters(cluster_of(route))
        burst(lab, route)
        wait_until(
            lambda: lab.gateway.counters(cluster_of(route)).since(before).connect_failures > 0,
            what="a connect is given up",
            timeout=ENDS_SECONDS,
        )
        await_nothing_held(lab, cluster_of(route))
        failed = lab.gateway.counters(cluster_of(route)).since(before).connect_failures
    note(f"{failed} connects given up, 0 in flight", "cx_connect_fail and rq_active at the gateway")


def test_errors_in_a_row(lab: Lab, place: Place, case: Any) -> None:
    note = case(f"Brake: ejection, {place.kind}", SOURCE, "after 3 errors in a row most of 40 copies are kept back")
    with (
        place.braked(Protocol.HTTP, consecutive_errors=3, ejection_seconds=3) as route,
        lab.outside_server.misbehaving("status", status=503),
    ):
        result = lab.call(route, 40, rate=40)
        seen = lab.outside_server.seen(result["run"])["calls"]
        ejected = lab.gateway.ejected([cluster_of(route)])
    note(f"{seen} sent, {ejected} endpoint ejected", "the mirror's own record; the gateway's clusters page")
    assert result["versions"] == {"v1": 40}
    assert 3 <= seen <= 10
    assert ejected == 1


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_keep_alive(lab: Lab, place: Place, case: Any, protocol: Protocol) -> None:
    note = case(f"Brake: keep-alive, {protocol.value}, {place.kind}", SOURCE, "copies on a dead link are let go")
    with (
        place.braked(protocol, keepalive_seconds=1, keepalive_timeout_seconds=0.5) as route,
        lab.outside_server.misbehaving("hang"),
    ):
        burst(lab, route, 10)
        held = lab.gateway.counters(cluster_of(route)).active
        with lab.outside_server.dropped():
            await_nothing_held(lab, cluster_of(route))
    note(f"{held} held, then 0", "rq_active at the gateway")
    assert held == 10


@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_life(lab: Lab, place: Place, case: Any, protocol: Protocol) -> None:
    note = case(f"Brake: life, {protocol.value}, {place.kind}", SOURCE, "copies that hang end after 2 s")
    with place.braked(protocol, max_duration_seconds=2) as route, lab.outside_server.misbehaving("hang"):
        burst(lab, route, 10)
        held = lab.gateway.counters(cluster_of(route)).active
        await_nothing_held(lab, cluster_of(route))
    note(f"{held} held, then 0", "rq_active at the gateway")
    assert held == 10
