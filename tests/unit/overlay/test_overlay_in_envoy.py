"""Rendered patches of an overlay in a real proxy: who gets copies, and what they carry."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    HeaderMatch,
    HeaderTest,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    OverlayRoute,
    Waiver,
    WaypointService,
)
from tests.support.overlaid_envoy import Overlaid, Routes, overlaid

HOST = "shop.example.com"
NEXT = Destination("orders-next.labs.svc.cluster.local", 80)
OTHER = Destination("orders-other.labs.svc.cluster.local", 80)
CLUSTERS = ("one", "two", "three", NEXT.cluster_name, OTHER.cluster_name)
REASON = Waiver(reason="a server that only counts what it gets")
ROUTES: Routes = (
    {
        "name": "orders",
        "match": {"path_separated_prefix": "/api/orders"},
        "route": {"weighted_clusters": {"clusters": [{"name": "one", "weight": 90}, {"name": "two", "weight": 10}]}},
    },
    {"name": "moved", "match": {"path": "/old"}, "redirect": {"path_redirect": "/api/orders"}},
    {"name": "cart", "match": {"prefix": "/cart"}, "route": {"cluster": "three", "prefix_rewrite": "/v2/cart"}},
    {
        "name": "mirrored",
        "match": {"prefix": "/own"},
        "route": {"cluster": "one", "request_mirror_policies": [{"cluster": "two"}]},
    },
    {"name": "rest", "match": {"prefix": "/"}, "route": {"cluster": "three"}},
)


def mirror(**values: Any) -> InClusterMirror:
    return InClusterMirror(**{"percent": 100, "service": NEXT, "name": "next", **values})


def overlay(*mirrors: InClusterMirror, **values: Any) -> OverlayRoute:
    given = {
        "name": "shop",
        "namespace": "web",
        "on": [GatewayHosts(hosts=[HOST])],
        "istio": IstioBehaviour(version=IstioVersion(1, 31)),
        "mirrors": mirrors or [mirror()],
        **values,
    }
    return OverlayRoute(**given)


async def ask(running: Overlaid, path: str, method: str = "GET", host: str = HOST, **headers: str) -> str:
    """The primary that answered."""
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.request(method, f"{running.proxy.url}{path}", headers=given)
    return answer.text if answer.status_code == 200 else str(answer.status_code)


async def settled(running: Overlaid) -> None:
    """Wait until no copy is under way: the proxy has begun each before it answers its request."""
    async with asyncio.timeout(10):
        while any((await running.proxy.stats("cluster.outbound.*upstream_rq_(pending_)?active")).values()):
            await asyncio.sleep(0.01)


def paths(running: Overlaid, cluster: str = NEXT.cluster_name) -> list[str]:
    return [line.split()[1] for line, _ in running.copies(cluster)]


def where(value: str, test: HeaderTest = HeaderTest.EXACT) -> dict[str, Any]:
    return {"match": Match(headers=[HeaderMatch(name="x-t", test=test, value=value)])}


Case = tuple[dict[str, Any], dict[str, Any], bool]
CASES: list[Case] = [
    # the mirror's fields, the request, whether it is copied
    ({}, {"path": "/api/orders"}, True),
    ({}, {"path": "/cart/7?x=1"}, True),
    ({}, {"path": "/api/orders", "method": "POST"}, False),
    ({}, {"path": "/api/orders", "method": "HEAD"}, True),
    ({}, {"path": "/api/orders", "method": "OPTIONS"}, True),
    ({"side_effects": REASON}, {"path": "/api/orders", "method": "POST"}, True),
    ({}, {"path": "/api/orders", "x_traffic_mirror": "mirror"}, False),
    ({}, {"path": "/api/orders", "x_traffic_mirror": ""}, False),
    ({}, {"path": "/api/orders", "host": f"{HOST}:8443"}, True),
    ({}, {"path": "/old"}, False),
    ({"match": Match(path_prefixes=["/api/orders"])}, {"path": "/api/orders/7?q=1"}, True),
    ({"match": Match(path_prefixes=["/api/orders"])}, {"path": "/api/orders?q=1"}, True),
    ({"match": Match(path_prefixes=["/api/orders"])}, {"path": "/api/orders-old"}, False),
    ({"match": Match(path_prefixes=["/api/orders"])}, {"path": "/cart"}, False),
    ({"match": Match(path_prefixes=["/api/orders"])}, {"path": "/cart/../api/orders/7"}, True),
    ({"match": Match(path_prefixes=["/cart"])}, {"path": "/cart/7"}, True),
    ({"match": Match(exact_paths=["/cart"])}, {"path": "/cart?x=1"}, True),
    ({"match": Match(exact_paths=["/cart"])}, {"path": "/cart/7"}, False),
    ({"match": Match(path_prefixes=["/it's%20(50%25)%"])}, {"path": "/it's%20(50%25)%/x"}, True),
    ({"match": Match(path_prefixes=["/it's%20(50%25)%"])}, {"path": "/it's"}, False),
    (
        where("a 'b' 50% )"),
        {"path": "/", "x_t": "a 'b' 50% )"},
        True,
    ),
    (where("a"), {"path": "/"}, False),
    (where("a"), {"path": "/", "x_t": "ab"}, False),
    (
        where("a", HeaderTest.PREFIX),
        {"path": "/", "x_t": "ab"},
        True,
    ),
    (where("", HeaderTest.PRESENT), {"path": "/", "x_t": ""}, True),
    (where("", HeaderTest.PRESENT), {"path": "/"}, False),
    (
        where("b.*e|red", HeaderTest.REGEX),
        {"path": "/", "x_t": "blue"},
        True,
    ),
    (
        where("b.*e|red", HeaderTest.REGEX),
        {"path": "/", "x_t": "a red"},
        False,
    ),
    (
        where(r"\d+%", HeaderTest.REGEX),
        {"path": "/", "x_t": "50%"},
        True,
    ),
    ({"percent": 0}, {"path": "/api/orders"}, False),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("fields", "request_", "copied"), CASES)
async def test_a_request_is_copied_as_the_match_says(
    tmp_path: Path, envoy: Path, fields: dict[str, Any], request_: dict[str, Any], copied: bool
) -> None:
    route = overlay(mirror(**fields), InClusterMirror(service=OTHER, name="other", percent=0))
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        answered = await ask(running, **request_)
        await settled(running)
        assert len(paths(running)) == copied
    assert answered in ("one", "two", "three", "301", "")


@pytest.mark.asyncio
async def test_a_copy_carries_no_credential_and_no_aim_but_the_mark(tmp_path: Path, envoy: Path) -> None:
    route = overlay()
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        await ask(running, "/cart/7", authorization="Bearer made-up", cookie="made-up", x_kept="yes")
        await settled(running)
        line, headers = next(each for each in running.copies(NEXT.cluster_name) if "cart" in each[0])
        (_, primary) = next(each for each in running.copies("three") if "cart" in each[0])
    assert line.startswith("GET /v2/cart/7 ")
    assert headers["host"] == HOST
    assert headers["x-traffic-mirror"] == "mirror"
    assert headers["x-kept"] == "yes"
    assert not {"authorization", "cookie", route.aim_header(route.mirrors[0], 0)} & headers.keys()
    assert primary["authorization"] == "Bearer made-up"
    assert "x-traffic-mirror" not in primary
    assert primary[route.aim_header(route.mirrors[0], 0)] == NEXT.cluster_name


@pytest.mark.asyncio
async def test_a_client_cannot_aim(tmp_path: Path, envoy: Path) -> None:
    route = overlay(mirror(match=Match(path_prefixes=["/api"])))
    forged = {route.aim_header(route.mirrors[0], 0): OTHER.cluster_name}
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        await ask(running, "/api/orders", **forged)
        await ask(running, "/cart", **forged)
        await settled(running)
        assert paths(running) == ["/api/orders"]
        assert paths(running, OTHER.cluster_name) == []
        assert all(forged.keys().isdisjoint(headers) for line, headers in running.copies("three") if "cart" in line)


@pytest.mark.asyncio
async def test_the_owner_s_own_mirror_stays(tmp_path: Path, envoy: Path) -> None:
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, overlay(), CLUSTERS) as running:
        await ask(running, "/own/7")
        await settled(running)
        assert "/own/7" in paths(running)
        assert "/own/7" in paths(running, "two")


@pytest.mark.asyncio
async def test_only_named_routes_are_mirrored(tmp_path: Path, envoy: Path) -> None:
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, overlay(routes=["cart"]), CLUSTERS) as running:
        await ask(running, "/cart/7")
        await ask(running, "/api/orders")
        await settled(running)
        assert paths(running) == ["/v2/cart/7"]


@pytest.mark.asyncio
async def test_hosts_that_share_their_routes_get_one_copy_each(tmp_path: Path, envoy: Path) -> None:
    """Istio serves hosts with equal routes by one virtual host; another host in it is not mirrored."""
    route = overlay(on=[GatewayHosts(hosts=[HOST, "b.example.com"])])
    shared = {f"{HOST},b.example.com,c.example.com": ROUTES}
    async with overlaid(envoy, tmp_path, shared, route, CLUSTERS) as running:
        for host in (HOST, "b.example.com", "c.example.com"):
            await ask(running, f"/{host}", host=host)
        await settled(running)
        assert sorted(paths(running)) == ["/b.example.com", f"/{HOST}"]


@pytest.mark.asyncio
async def test_a_wildcard_s_other_hosts_are_not_mirrored(tmp_path: Path, envoy: Path) -> None:
    route = overlay(on=[GatewayHosts(hosts=[HOST], domain="*.example.com")])
    async with overlaid(envoy, tmp_path, {"*.example.com": ROUTES}, route, CLUSTERS) as running:
        await ask(running, "/mine")
        await ask(running, "/theirs", host="other.example.com")
        await settled(running)
        assert paths(running) == ["/mine"]


@pytest.mark.asyncio
async def test_two_mirrors_and_two_overlays_go_each_to_its_own(tmp_path: Path, envoy: Path) -> None:
    route = overlay(
        mirror(match=Match(path_prefixes=["/api"])),
        InClusterMirror(percent=100, service=OTHER, name="other", match=Match(path_prefixes=["/api", "/cart"])),
    )
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        await ask(running, "/api/orders")
        await ask(running, "/cart")
        await settled(running)
        assert paths(running) == ["/api/orders"]
        assert paths(running, OTHER.cluster_name) == ["/api/orders", "/v2/cart"]
        assert all("x-traffic-mirror-to" not in "".join(headers) for _, headers in running.copies(OTHER.cluster_name))


@pytest.mark.asyncio
async def test_at_a_waypoint_every_route_is_mirrored_but_those_with_mirrors_of_their_own(
    tmp_path: Path, envoy: Path
) -> None:
    """Without ztunnel: the connection manager that istiod would patch, reached over a socket of the machine."""
    on = [WaypointService("orders.shop.svc.cluster.local", 80)]
    route = overlay(mirror(match=Match(path_prefixes=["/api", "/cart", "/own"])), on=on)
    header = route.aim_header(route.mirrors[0], 0)
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        assert await ask(running, "/api/orders/7") in ("one", "two")
        assert await ask(running, "/cart/1") == "three"
        await ask(running, "/api/orders", "POST")
        await ask(running, "/api/orders", x_traffic_mirror="mirror")
        await ask(running, "/rest", **{header.replace("-", "_"): NEXT.cluster_name})
        assert await ask(running, "/own/1") == "one"
        assert await ask(running, "/old") == "301"
        await settled(running)
        assert sorted(paths(running)) == ["/api/orders/7", "/v2/cart/1"]
        assert paths(running, "two")[-1:] == ["/own/1"]
        assert all("x-traffic-mirror" in head and header not in head for _, head in running.copies(NEXT.cluster_name))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "held"),
    [({}, lambda server: server.frames == b""), ({"websockets": REASON}, lambda server: server.frames == b"typed")],
)
async def test_frames_of_a_websocket_are_copied_only_where_that_is_waived(
    tmp_path: Path, envoy: Path, fields: dict[str, Any], held: Callable[[Any], bool]
) -> None:
    route = overlay(mirror(**fields))
    async with overlaid(envoy, tmp_path, {HOST: ROUTES}, route, CLUSTERS) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.proxy.port)
        writer.write(
            f"GET /chat HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"typed")
        primary, copied = running.servers["three"], running.servers[NEXT.cluster_name]
        async with asyncio.timeout(10):
            while primary.frames != b"typed" or (fields and copied.frames != b"typed"):
                await asyncio.sleep(0.01)
        writer.close()
        await settled(running)
        assert held(copied)
        assert ("/chat" in paths(running)) == bool(fields)
