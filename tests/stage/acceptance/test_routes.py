"""Routes with several mirrors, matches, hosts and methods; what mirrors carry and what they do not."""

import json
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import HeaderMatch, HeaderTest, Match, Protocol, Waiver

from .lab import Lab, calls_of, settled
from .report import band
from .terms import PORTS, SAY_HELLO, STAGING, TESTING, echo, greeter

pytestmark = pytest.mark.stage

SOURCE = "own"
HTTP, GRPC = Protocol.HTTP, Protocol.GRPC
CREDENTIALS = {
    "authorization": "Bearer made-up",
    "cookie": "session=made-up",
    "x-api-key": "made-up",
    "proxy-authorization": "Basic made-up",
}


def inside(version: str, **changes: Any) -> tm.InClusterMirror:
    return tm.InClusterMirror(**{"percent": 100, "service": echo(version, HTTP), **changes})


def identifiers(records: list[dict[str, Any]]) -> dict[str, str]:
    """Return the proxies' identifier of each call."""
    return {record["call"]: dict(record["headers"])["x-request-id"] for record in records}


def called(records: list[dict[str, Any]]) -> set[str]:
    return {record["call"] for record in records}


def test_two_mirrors_with_different_shares(lab: Lab, case: Any) -> None:
    note = case("Two mirrors, 50 and 10 per cent", SOURCE, "each in its band; the 10 per cent are among the 50")
    mirrors = [inside("v2", percent=50), lab.in_testing(HTTP, percent=10)]
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 500)
        settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=500)
        v2, testing = (
            called(lab.records(role, version, result["run"])) for role, version in ((STAGING, "v2"), (TESTING, "v1"))
        )
    note(f"{len(v2)} and {len(testing)}", "the servers' own records")
    assert result["versions"] == {"v1": 500}
    for found, percent in ((v2, 50), (testing, 10)):
        least, most = band(500, percent)
        assert least <= len(found) <= most
    assert testing <= v2


def test_two_mirrors_with_equal_shares_get_the_same_requests(lab: Lab, case: Any) -> None:
    note = case("Two mirrors, 30 per cent each", SOURCE, "both get the same requests")
    mirrors = [inside("v2", percent=30), inside("v3", percent=30)]
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 500)
        settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=500)
        v2, v3 = (called(lab.records(STAGING, version, result["run"])) for version in ("v2", "v3"))
    note(f"{len(v2)}, the same", "the servers' own records")
    assert v2 == v3
    assert band(500, 30)[0] <= len(v2) <= band(500, 30)[1]


@pytest.mark.parametrize(
    ("headers", "reached"),
    [
        ({}, set()),
        ({"x-tenant": "blue"}, {"v2"}),
        ({"x-tenant": "green"}, set()),
        ({"x-beta": "anything"}, {"v3"}),
        ({"x-tenant": "blue", "x-beta": "1"}, {"v2", "v3"}),
    ],
)
def test_matches_of_two_mirrors(lab: Lab, case: Any, headers: dict[str, str], reached: set[str]) -> None:
    note = case(f"Two matches, {headers or 'no header'}", SOURCE, f"mirrored to {sorted(reached) or 'nobody'}")
    tenant = Match(http_methods=["GET"], headers=[HeaderMatch(name="x-tenant", value="blue")])
    beta = Match(http_methods=["GET"], headers=[HeaderMatch(name="x-beta", test=HeaderTest.PRESENT)])
    mirrors = [inside("v2", match=tenant), inside("v3", match=beta)]
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 50, headers=headers)
        counts = {
            version: settled(
                lambda version=version: lab.seen(STAGING, version, result["run"]),
                complete=50 if version in reached else 1,
            )["calls"]
            for version in ("v2", "v3")
        }
    note(str(counts), "the servers' own records")
    assert result["versions"] == {"v1": 50}
    assert counts == {version: 50 if version in reached else 0 for version in ("v2", "v3")}


@pytest.mark.parametrize(("test", "value"), [(HeaderTest.PREFIX, "blu"), (HeaderTest.REGEX, "b.*e")])
def test_header_tests(lab: Lab, case: Any, test: HeaderTest, value: str) -> None:
    note = case(f"Header {test.value}", SOURCE, "only the matching half is mirrored")
    match = Match(headers=[HeaderMatch(name="x-tenant", test=test, value=value)])
    with lab.route(inside("v2", match=match), protocol=HTTP, primary=echo("v1", HTTP)) as route:
        hit = lab.call(route, 50, headers={"x-tenant": "blue"})
        miss = lab.call(route, 50, headers={"x-tenant": "green"})
        hits = settled(lambda: lab.seen(STAGING, "v2", hit["run"]), complete=50)
        misses = lab.seen(STAGING, "v2", miss["run"])
    note(f"{hits['calls']} and {misses['calls']}", "the server's own record")
    assert (hits["calls"], misses["calls"]) == (50, 0)


def test_methods_with_side_effects_are_not_mirrored(lab: Lab, case: Any) -> None:
    note = case("HTTP methods", SOURCE, "GET, HEAD and OPTIONS are mirrored; POST, PUT, PATCH, DELETE are not")
    counts: dict[str, int] = {}
    with lab.route(inside("v2"), protocol=HTTP, primary=echo("v1", HTTP)) as route:
        results = {
            method: lab.call(route, 20, method=method)
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GET")
        }
        for method, result in results.items():
            wanted = 20 if method in {"GET", "HEAD", "OPTIONS"} else 0
            run = result["run"]
            counts[method] = settled(lambda run=run: lab.seen(STAGING, "v2", run), complete=wanted)["calls"]
    note(str(counts), "the server's own record")
    assert {method: result["good"] for method, result in results.items()} == dict.fromkeys(results, 20)
    assert counts == {"GET": 20, "HEAD": 20, "OPTIONS": 20, "POST": 0, "PUT": 0, "PATCH": 0, "DELETE": 0}


def test_several_hosts(lab: Lab, case: Any) -> None:
    note = case("Three hosts", SOURCE, "each is mirrored to testing under its own name")
    with lab.route(lab.in_testing(HTTP), protocol=HTTP, primary=echo("v1", HTTP), hosts=3) as route:
        found: dict[str, dict[str, int]] = {}
        for host in route.model.hosts:
            result = lab.call(route, 50, authority=f"{host}:{PORTS[HTTP]}")
            seen = settled(lambda run=result["run"]: lab.seen(TESTING, "v1", run), complete=50)
            found[f"{host}:{PORTS[HTTP]}"] = seen["authorities"]
    note(f"50 of 50 for each of {len(found)}", "the server's own record in testing")
    assert found == {authority: {authority: 50} for authority in found}
    assert len(found) == 3


@pytest.mark.parametrize("via", ["sidecar", "gateway"])
def test_mirrors_carry_no_credentials(lab: Lab, case: Any, via: str) -> None:
    note = case(f"Scrub, {via}", SOURCE, "primary gets the credentials, mirrors get none, a mark, and no peer metadata")
    mirrors: list[Any] = [inside("v2")]
    if via == "gateway":
        mirrors.append(lab.in_testing(HTTP))
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP), via=via) as route:
        result = lab.call(route, 20, headers=CREDENTIALS)
        places = [(STAGING, "v2"), *([(TESTING, "v1")] if via == "gateway" else [])]
        for role, version in places:
            settled(lambda role=role, version=version: lab.seen(role, version, result["run"]), complete=20)
        found = {role: lab.records(role, version, result["run"]) for role, version in places}
        copies = [record for records in found.values() for record in records]
        originals = lab.records(STAGING, "v1", result["run"])
    note(f"{len(copies)} copies", "the servers' own records")
    assert len(originals) == 20
    assert len(copies) == 20 * len(places)
    for record in originals:
        assert CREDENTIALS.items() <= dict(record["headers"]).items()
        assert "x-traffic-mirror" not in dict(record["headers"])
    for record in copies:
        names = dict(record["headers"])
        assert names["x-traffic-mirror"] == "mirror"
        assert not {*CREDENTIALS, "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"} & names.keys()
    # The copy is found beside its primary by the identifier that both carry, in the other cluster too.
    assert {role: identifiers(records) for role, records in found.items()} == dict.fromkeys(
        found, identifiers(originals)
    )


@pytest.mark.parametrize("via", ["sidecar", "gateway"])
def test_primary_is_told_the_same(lab: Lab, case: Any, via: str) -> None:
    note = case(f"The primary's own cluster, {via}", SOURCE, "its settings are the same with and without mirrors")
    match = Match(rpc_methods=[SAY_HELLO])
    mirrors: list[Any] = [tm.InClusterMirror(percent=100, service=greeter("v2"), match=match)]
    if via == "gateway":
        mirrors.append(lab.in_testing(GRPC, match=match))
    proxy = lab.gateway if via == "gateway" else lab.caller
    cluster = greeter().cluster_name
    with lab.route(protocol=GRPC, primary=greeter(), via=via):
        without = proxy.settings(cluster)
    with lab.route(*mirrors, protocol=GRPC, primary=greeter(), via=via) as route:
        beside = proxy.settings(cluster)
        bounded = [proxy.settings(mirror.destination(route.primary).cluster_name) for mirror in mirrors]
    note(f"{len(json.dumps(beside))} characters, the same", f"configuration dump of the {via}")
    assert len(without) == 1
    assert beside == without
    assert all("max_stream_duration" in json.dumps(settings) for settings in bounded)
    assert "max_stream_duration" not in json.dumps(beside)


def test_http2_to_testing(lab: Lab, case: Any) -> None:
    note = case("HTTP/2 to testing", SOURCE, "500 of 500 arrive as HTTP/2")
    protocol = Protocol.HTTP2
    with lab.route(lab.in_testing(protocol), protocol=protocol, primary=echo("v1", protocol)) as route:
        result = lab.call(route, 500)
        seen = settled(lambda: lab.seen(TESTING, "v1", result["run"]), complete=500)
        protocols = {record["protocol"] for record in lab.records(TESTING, "v1", result["run"])}
    note(f"{seen['calls']} of 500, {protocols}", "the server's own record in testing")
    assert result["versions"] == {"v1": 500}
    assert seen["calls"] == seen["requests"] == 500
    assert protocols == {"http2"}


def test_subset_of_one_service(lab: Lab, case: Any) -> None:
    """Primary and mirror behind one Service, told apart by labels: callers that the route governs reach v1 only."""
    note = case("Subsets of one Service", SOURCE, "v1 answers all, v2 gets a mirror of all")
    shared = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "greeter-all", "namespace": "hello"},
        "spec": {
            "selector": {"app": "greeter"},
            "ports": [{"name": "grpc", "port": PORTS[GRPC], "targetPort": 8000, "appProtocol": "grpc"}],
        },
    }
    primary = tm.Destination("greeter-all.hello.svc.cluster.local", PORTS[GRPC], "v1")
    waiver = Waiver(reason="every caller of the Service is governed by this route")
    mirror = tm.InClusterMirror(percent=100, subset="v2", shared_service=waiver, match=Match(rpc_methods=[SAY_HELLO]))
    counts: dict[str, Any] = {}
    with lab.applied(STAGING, [shared]):
        for via in ("gateway", "sidecar"):
            with lab.route(mirror, protocol=GRPC, primary=primary, via=via) as route:
                result = lab.call(route, 200)
                copies = settled(lambda run=result["run"]: lab.greeted(STAGING, "v2", run), complete=200)
                counts[via] = (result["versions"], copies.calls)
    note(str(counts), "client; pod log")
    assert counts == {via: ({"v1": 200}, 200) for via in ("gateway", "sidecar")}
    assert greeter().host != primary.host


@pytest.mark.parametrize(("via", "copies"), [("sidecar", 0), ("gateway", 200)])
def test_a_headless_mirror(lab: Lab, case: Any, via: str, copies: int) -> None:
    """The rule mirror-target-headless says so: a copy of a sidecar has no address that its caller connected to."""
    note = case(f"Mirror to a headless Service, {via}", SOURCE, f"{copies} of 200 copies, every call answered")
    port = {"name": "http-8080", "port": PORTS[HTTP], "targetPort": 8000, "appProtocol": "http"}
    headless = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "echo-headless", "namespace": "hello"},
        "spec": {"clusterIP": "None", "selector": {"app": "echo-v2"}, "ports": [port]},
    }
    target = tm.Destination("echo-headless.hello.svc.cluster.local", PORTS[HTTP])
    with (
        lab.applied(STAGING, [headless]),
        lab.route(
            tm.InClusterMirror(percent=100, service=target), protocol=HTTP, primary=echo("v1", HTTP), via=via
        ) as route,
    ):
        result = lab.call(route, 200)
        found = settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=200)
    note(f"{calls_of(found)} of 200 copies", "the server's own records")
    assert result["versions"] == {"v1": 200}
    assert calls_of(found) == copies
