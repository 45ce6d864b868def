"""Requests through a real Envoy by what istiod gives a waypoint: scrub, mark, guard and brakes of an overlay there."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from pulumi_traffic_mirror.model import (
    Brakes,
    Destination,
    InClusterMirror,
    Match,
    OverlayRoute,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.operations.oracle import Oracle
from tests.support.overlaid_envoy import Server
from tests.support.waypoint_envoy import Waypoint, running_waypoint
from tests.unit.model.samples import NEW, Object, plain
from tests.unit.oracle.test_waypoint_overlays import ORDERS, at_waypoint, routed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NEXT = Destination("next.labs.svc.cluster.local", 80)
CHAIN = f"inbound-vip|80|http|{ORDERS}"
VERSIONS = (CHAIN, "outbound|80||orders-v2.shop.svc.cluster.local")
AIM = "x-traffic-mirror-to-shop.shop.next"


def overlay(**brakes: Any) -> list[Object]:
    mirror = InClusterMirror(
        percent=100, service=NEXT, name="next", match=Match(path_prefixes=["/api"]), brakes=Brakes(**brakes)
    )
    on = [WaypointService(ORDERS, 80)]
    route = OverlayRoute(name="shop", namespace="shop", on=on, istio=NEW, mirrors=[mirror])
    return plain([*render.overlay_destination_rules(route).values(), *render.overlay_filters(route).values()])


def rendered(oracle: Oracle, **brakes: Any) -> Mapping[str, Any]:
    return at_waypoint(oracle, *routed(), *overlay(**brakes), rendered=True)["rendered"]


async def asked(waypoint: Waypoint, path: str, method: str = "GET", **headers: str) -> str:
    """The version that answered."""
    given = {"host": "orders.shop", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.request(method, f"{waypoint.proxy.url}{path}", headers=given)
    return answer.text if answer.status_code == 200 else str(answer.status_code)


async def settled(waypoint: Waypoint) -> None:
    """Wait until no copy is under way: the proxy has begun each before it answers its request."""
    async with asyncio.timeout(10):
        while any((await waypoint.proxy.stats("cluster.*upstream_rq_(pending_)?active")).values()):
            await asyncio.sleep(0.01)


async def counted(waypoint: Waypoint, what: str) -> int:
    """A counter of the mirror's cluster."""
    return sum((await waypoint.proxy.stats(f"cluster.*next.*upstream_rq_{what}$")).values())


@pytest.mark.asyncio
async def test_a_waypoint_copies_what_the_overlay_names_without_credentials_and_marked(
    oracle: Oracle, envoy: Path, tmp_path: Path
) -> None:
    servers = {name: Server(name) for name in (*VERSIONS, NEXT.cluster_name)}
    handlers = {name: each.serve for name, each in servers.items()}
    async with running_waypoint(envoy, tmp_path, rendered(oracle), CHAIN, handlers) as waypoint:
        answers = [await asked(waypoint, f"/api/{number}", authorization="made-up") for number in range(100)]
        assert set(answers) == set(VERSIONS), "the owner's weights choose among both"
        assert await asked(waypoint, "/api/write", "POST") in VERSIONS
        assert await asked(waypoint, "/api/copy", x_traffic_mirror="mirror") in VERSIONS
        assert await asked(waypoint, "/cart") == CHAIN
        assert await asked(waypoint, "/cart", **{AIM: NEXT.cluster_name}) == CHAIN
        await settled(waypoint)
    copies = servers[NEXT.cluster_name].heads
    assert sorted(line for line, _ in copies) == sorted(f"GET /api/{number} HTTP/1.1" for number in range(100))
    for _, headers in copies:
        assert headers["x-traffic-mirror"] == "mirror"
        assert not {"authorization", AIM} & headers.keys()
    primaries = [headers for name in VERSIONS for line, headers in servers[name].heads if "/api/1 " in line]
    assert [headers["authorization"] for headers in primaries] == ["made-up"]


@pytest.mark.asyncio
async def test_a_mirror_that_hangs_is_bounded_at_a_waypoint(oracle: Oracle, envoy: Path, tmp_path: Path) -> None:
    silent = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await silent.wait()

    servers = {name: Server(name) for name in VERSIONS}
    handlers = {**{name: each.serve for name, each in servers.items()}, NEXT.cluster_name: hang}
    given = rendered(oracle, max_connections=2, max_pending_requests=1, max_requests=2, max_duration_seconds=1.0)
    async with running_waypoint(envoy, tmp_path, given, CHAIN, handlers) as waypoint:
        for number in range(20):
            assert await asked(waypoint, f"/api/{number}") in VERSIONS, "clients wait for no copy"
        assert await counted(waypoint, "pending_overflow") > 0, "the limits hold"
        assert await counted(waypoint, "active") <= 2
        await settled(waypoint)
        assert await counted(waypoint, "max_duration_reached") > 0, "the bound on a copy's life holds"


@pytest.mark.asyncio
async def test_a_proxy_that_has_no_destination_rule_yet_takes_the_filter(
    oracle: Oracle, envoy: Path, tmp_path: Path
) -> None:
    """Whichever comes first, and where the rule is out of reach: Envoy refuses none of its clusters."""
    filters = [each for each in overlay() if each["kind"] == "EnvoyFilter"]
    given = at_waypoint(oracle, *routed(), *filters, rendered=True)["rendered"]
    servers = {name: Server(name) for name in (*VERSIONS, NEXT.cluster_name)}
    handlers = {name: each.serve for name, each in servers.items()}
    async with running_waypoint(envoy, tmp_path, given, CHAIN, handlers) as waypoint:
        assert await asked(waypoint, "/api/1") in VERSIONS
        await settled(waypoint)
    assert [line for line, _ in servers[NEXT.cluster_name].heads] == ["GET /api/1 HTTP/1.1"]
