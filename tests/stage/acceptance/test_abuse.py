"""Clients and neighbours that mean harm: nothing reaches what it should not, and no process dies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Match, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, settled
from .terms import CONTRACTS, GATEWAY, PORTS, SAY_HELLO, STAGING, TESTING, echo, greeter

pytestmark = pytest.mark.stage

SOURCE = "abuse"
HTTP = Protocol.HTTP
PORT = PORTS[HTTP]
RECORDS = "the servers' own records"
BODIES = 10


@pytest.fixture(autouse=True)
def _unharmed(lab: Lab) -> Iterator[None]:
    """Every container and every program of the stage lives on."""
    before = restarts(lab)
    yield
    assert restarts(lab) == before
    assert [process.name for process in lab.stage.processes.recorded() if not process.running()] == []


def restarts(lab: Lab) -> dict[str, int]:
    found: dict[str, int] = {}
    for role in (STAGING, TESTING):
        for namespace in ("hello", GATEWAY.namespace, "istio-system"):
            for pod in lab.outpost.ask("find", role, "v1", "Pod", namespace, ""):
                for status in pod["status"].get("containerStatuses", []):
                    found[f"{role} {pod['metadata']['name']} {status['name']}"] = status["restartCount"]
    return found


def inside(**changes: Any) -> tm.InClusterMirror:
    return tm.InClusterMirror(**{"percent": 100, "service": echo("v2", HTTP), **changes})


@pytest.mark.parametrize("value", ["mirror", "anything", ""])
def test_client_sets_the_mark(lab: Lab, case: Any, value: str) -> None:
    note = case(f"Client sets the mark to {value!r}", SOURCE, "the primary answers, nothing is mirrored")
    with lab.route(inside(), lab.in_testing(HTTP), protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 50, headers={"x-traffic-mirror": value})
        counts = {
            role: settled(lambda role=role, v=v: lab.seen(role, v, result["run"]), complete=1)["calls"]
            for role, v in ((STAGING, "v2"), (TESTING, "v1"))
        }
    note(f"{result['good']} answered, copies {counts}", f"client; {RECORDS}")
    assert result["versions"] == {"v1": 50}
    assert counts == {STAGING: 0, TESTING: 0}


def test_client_uses_the_suffixed_host(lab: Lab, case: Any) -> None:
    note = case("Client calls <host>-shadow", SOURCE, "404, nothing arrives anywhere")
    with lab.route(inside(), lab.in_testing(HTTP), protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 50, authority=f"{route.host}-shadow:{PORT}")
        counts = everywhere(lab, result["run"])
    note(f"{result['statuses']}, {counts}", f"client; {RECORDS}")
    assert result["statuses"] == {"404": 50}
    assert set(counts.values()) == {0}


def everywhere(lab: Lab, run: str) -> dict[str, int]:
    """Return how many requests of a run each server has seen."""
    places = ((STAGING, "v1"), (STAGING, "v2"), (TESTING, "v1"))
    settled(lambda: lab.seen(STAGING, "v2", run), complete=1)
    return {f"{role} {version}": lab.seen(role, version, run)["requests"] for role, version in places}


def test_a_mirror_of_a_mirror_never_starts(lab: Lab, case: Any) -> None:
    """Staging mirrors to its own gateway: each copy meets the same route again."""
    note = case("Loop", SOURCE, "100 calls become 100 copies and not one more")
    loop = lab.outside(HTTP, address=lab.stage.gateway_addresses[STAGING])
    with lab.route(loop, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = lab.call(route, 100)
        wait_until(
            lambda: lab.seen(STAGING, "v1", result["run"])["requests"] >= 200, what="every copy has arrived", timeout=10
        )
        counters = lab.gateway.counters(loop.destination(route.primary).cluster_name)
        seen = settled(lambda: lab.seen(STAGING, "v1", result["run"]), complete=201)
    note(f"{seen['marks']}", f"{RECORDS}; rq_total at the gateway")
    assert result["good"] == 100
    assert seen["marks"] == {"": 100, "mirror": 100}
    assert counters.total == 100


@pytest.fixture(scope="module")
def certificate(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key that testing's gateway accepts, as staging's gateway has them."""
    file = tmp_path_factory.mktemp("certificate") / "client.pem"
    file.touch(mode=0o600)
    file.write_bytes(b"".join(lab.meshes.issue("mirror-client")))
    return file


@pytest.mark.parametrize(
    "way", ["plain text", "TLS without a certificate", "TLS with another's certificate", "TLS with a wrong name"]
)
def test_stranger_calls_testing(lab: Lab, case: Any, certificate: Path, tmp_path: Path, way: str) -> None:
    note = case(f"Stranger at testing's gateway, {way}", SOURCE, "refused, nothing arrives")
    contract = CONTRACTS[HTTP]
    tls: dict[str, Any] = {"name": str(contract.mirror_host)}
    if "another" in way:
        foreign = tmp_path / "foreign.pem"
        foreign.write_bytes(b"".join(lab.meshes.issue("mirror-client", own=False)))
        tls["certificate"] = str(foreign)
    if "wrong name" in way:
        tls = {"name": "other.testing.example", "certificate": str(certificate)}
    result = to_testing(lab, str(contract.hosts[0]), None if way == "plain text" else tls)
    seen = settled(lambda: lab.seen(TESTING, "v1", result["run"]), complete=1)
    note(f"{result['statuses']}, {seen['requests']} arrived", "client; testing's own record")
    assert all(status.startswith(("closed", "error")) for status in result["statuses"]), result
    assert seen["requests"] == 0


@pytest.mark.parametrize(("mark", "status"), [(None, "200"), ("mirror", "200"), ("foreign", "508"), ("", "508")])
def test_partner_calls_testing(lab: Lab, case: Any, certificate: Path, mark: str | None, status: str) -> None:
    """Whoever has the certificate gets what a copy gets: scrubbed, marked, and ended if it has been mirrored."""
    arrive = 5 if status == "200" else 0
    note = case(f"Partner at testing's gateway, mark {mark!r}", SOURCE, f"{status}, {arrive} of 5 arrive, scrubbed")
    contract = CONTRACTS[HTTP]
    tls = {"name": str(contract.mirror_host), "certificate": str(certificate)}
    header = "" if mark is None else f"x-traffic-mirror: {mark}\r\n"
    result = to_testing(lab, str(contract.hosts[0]), tls, f"authorization: Bearer made-up\r\n{header}")
    seen = settled(lambda: lab.seen(TESTING, "v1", result["run"]), complete=arrive or 1)
    records = lab.records(TESTING, "v1", result["run"])
    note(f"{result['statuses']}, {seen['requests']} arrived", "client; testing's own record")
    assert result["statuses"] == {status: 5}, result["text"]
    assert seen["requests"] == arrive
    assert all(dict(record["headers"])["x-traffic-mirror"] == "mirror" for record in records)
    assert not any("authorization" in dict(record["headers"]) for record in records)


def to_testing(lab: Lab, host: str, tls: dict[str, Any] | None, headers: str = "") -> dict[str, Any]:
    """Send five requests to testing's gateway."""
    request = f"GET / HTTP/1.1\r\nhost: {host}:{PORT}\r\nx-call: CALL\r\n{headers}connection: close\r\n\r\n"
    job = lab.job_to(f"{lab.stage.gateway_addresses[TESTING]}:{PORT}", 5, protocol="raw", bytes=request, tls=tls)
    return lab.run_job(job, inside=False)


@pytest.mark.parametrize("protocol", ["http1", "http2", "grpc"])
def test_oversized_headers(lab: Lab, case: Any, protocol: str) -> None:
    note = case(f"Headers of 100 KiB, {protocol}", SOURCE, "refused, nothing arrives")
    mesh_protocol = Protocol.GRPC if protocol == "grpc" else HTTP
    match = Match(rpc_methods=[SAY_HELLO]) if protocol == "grpc" else None
    mirrors = [tm.InClusterMirror(percent=100, service=echo("v2", mesh_protocol), match=match)]
    with lab.route(*mirrors, protocol=mesh_protocol, primary=echo("v1", mesh_protocol)) as route:
        headers = {f"x-filler-{number}": "x" * 4000 for number in range(25)}
        result = lab.call(route, 20, headers=headers, protocol=protocol)
        counts = everywhere(lab, result["run"])
        normal = lab.call(route, 20, protocol=protocol)
    note(f"{result['statuses']}, {counts}", f"client; {RECORDS}")
    assert result["good"] == 0
    assert set(counts.values()) == {0}
    assert normal["good"] == 20


def test_bodies_of_20_mib(lab: Lab, case: Any) -> None:
    note = case("Bodies of 20 MiB", SOURCE, "all answered, whole at the primary, memory back within 10 s")
    match = Match(http_methods=["POST"])
    mirrors = [inside(match=match), lab.in_testing(HTTP, match=match)]
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        memory = lab.gateway.memory_mib()
        result = lab.call(route, BODIES, concurrency=4, method="POST", body_bytes=20 << 20, timeout=60)
        originals = lab.records(STAGING, "v1", result["run"])
        copies = settled(lambda: lab.seen(TESTING, "v1", result["run"]), complete=BODIES)
        wait_until(lambda: lab.gateway.memory_mib() <= memory + 20, what="memory is back", timeout=10)
        after = lab.gateway.memory_mib()
    note(
        f"{result['good']} of {BODIES}, {copies['complete']} whole copies; memory {memory:.1f} -> {after:.1f} MiB",
        f"client; {RECORDS}; the gateway's admin page",
    )
    assert result["good"] == BODIES, result["failures"]
    assert [record["body_bytes"] for record in originals] == [20 << 20] * BODIES


FOREIGN_AUTHORITIES = {
    "another host": "host: other.example:PORT\r\n",
    "a host below it": "host: other.HOST:PORT\r\n",
    "an empty host": "host:\r\n",
    "no host": "",
}


def test_authorities_that_are_not_the_host(lab: Lab, case: Any) -> None:
    note = case("An authority that is not the host's", SOURCE, "refused, nothing arrives anywhere")
    with lab.route(inside(), lab.in_testing(HTTP), protocol=HTTP, primary=echo("v1", HTTP)) as route:
        gateway = f"{lab.stage.gateway_addresses[STAGING]}:{PORT}"
        statuses: dict[str, str] = {}
        runs: set[str] = set()
        for name, field in FOREIGN_AUTHORITIES.items():
            header = field.replace("HOST", route.host).replace("PORT", str(PORT))
            request = f"GET / HTTP/1.1\r\n{header}x-call: CALL\r\nconnection: close\r\n\r\n"
            result = lab.run_job(lab.job_to(gateway, 1, timeout=5, protocol="raw", bytes=request), inside=False)
            statuses[name] = ",".join(result["statuses"])
            runs.add(result["run"])
        control = lab.call(route, 20)
        settled(lambda: lab.seen(TESTING, "v1", control["run"]), complete=20)
        places = ((STAGING, "v1"), (STAGING, "v2"), (TESTING, "v1"))
        records = [record for role, version in places for record in lab.records(role, version, "")]
    note(f"{statuses}", f"client; {RECORDS}")
    assert control["good"] == 20
    assert not any("200" in status for status in statuses.values())
    assert [record for record in records if record["call"].rpartition("-")[0] in runs] == []


def test_greeter_is_reached_after_all_that(lab: Lab, case: Any) -> None:
    note = case("After the abuse", SOURCE, "500 of 500 calls are answered and mirrored to testing")
    match = Match(rpc_methods=[SAY_HELLO])
    with lab.route(lab.in_testing(Protocol.GRPC, match=match), protocol=Protocol.GRPC, primary=greeter()) as route:
        result = lab.call(route, 500)
        copies = settled(lambda: lab.greeted(TESTING, "v1", result["run"]), complete=500)
    note(f"{result['good']} and {copies.calls}", "client; pod log")
    assert result["versions"] == {"v1": 500}
    assert copies.calls == 500
