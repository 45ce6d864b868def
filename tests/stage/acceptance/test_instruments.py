"""What the cases measure with, measured: bands, reports, and the peers on the loopback interface. Needs no stage."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .peers import SOURCE
from .report import band, merge, read
from .table import table
from .trials import Trial

pytestmark = pytest.mark.slow

PROTOCOLS = ["http1", "http2", "grpc", "websocket"]


@pytest.mark.parametrize(("percent", "wanted"), [(0, (0, 0)), (100, (500, 500)), (50, (217, 283)), (10, (31, 71))])
def test_band_is_exact_at_both_ends(percent: float, wanted: tuple[int, int]) -> None:
    assert band(500, percent) == wanted


def test_report_keeps_cases_that_were_not_run(tmp_path: Path) -> None:
    file = tmp_path / "acceptance.json"
    entry = {"source": "s", "wanted": "w", "figure": "1 | 2", "evidence": "e"}
    merge(file, [{"case": "A", "result": "passed", **entry}, {"case": "B", "result": "failed", **entry}])
    merge(file, [{"case": "B", "result": "passed", **entry}])
    found = {item["case"]: item["result"] for item in read(file)}
    assert found == {"A": "passed", "B": "passed"}
    assert "1 \\| 2" in table(read(file))


GOOD_TRIAL = Trial(
    without_mirror=0.002,
    with_fault={"good": 1000, "calls": 1000, "median": 0.003, "failures": {}},
    held=256,
    memory_before=9.0,
    memory_after=28.9,
    idle_after=9.9,
    copies_after=9.9,
)


def test_a_trial_holds_within_its_bounds() -> None:
    GOOD_TRIAL.check()


@pytest.mark.parametrize(
    "change",
    [
        {"with_fault": {**GOOD_TRIAL.with_fault, "good": 999}},
        {"with_fault": {**GOOD_TRIAL.with_fault, "median": 0.0031}},
        {"memory_after": 29.1},
        {"idle_after": 10.1},
        {"idle_after": float("inf")},
        {"copies_after": 10.1},
    ],
)
def test_a_trial_fails_beyond_its_bounds(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        replace(GOOD_TRIAL, **change).check()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def post(port: int, path: str, content: dict[str, Any] | None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/{path}", data, timeout=20) as answer:
        return json.load(answer)


def answers(port: int) -> bool:
    try:
        post(port, "", None)
    except OSError:
        return False
    return True


class Peer:
    """An echo server on the loopback interface."""

    def __init__(self, port: int, control: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.control = control

    def ask(self, path: str, order: dict[str, Any] | None = None) -> Any:
        return post(self.control, path, order)

    def answers(self) -> bool:
        return answers(self.control)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    port, control = free_ports(2)
    settings = {"ECHO_ADDRESS": "127.0.0.1", "ECHO_PORTS": str(port), "CONTROL_PORT": str(control)}
    command = [sys.executable, str(SOURCE / "echo.py")]
    with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL) as process:
        found = Peer(port, control)
        try:
            wait_until(found.answers, what="the echo server answers", timeout=20)
            yield found
        finally:
            process.terminate()


def job_of(peer: Peer, protocol: str, run: str, **changes: Any) -> dict[str, Any]:
    return {
        **{"protocol": protocol, "address": peer.address, "run": run, "count": 20, "concurrency": 4, "rate": 0},
        **{"timeout": 2, "authority": "h.example:8000", "path": "/", "method": "GET", "headers": {}, "body_bytes": 0},
        **{"rpc": "helloworld.Greeter/SayHello", "kind": "unary", "messages": 1, "message_bytes": 0},
        **changes,
    }


def call(peer: Peer, tmp_path: Path, protocol: str, run: str, **changes: Any) -> dict[str, Any]:
    job = job_of(peer, protocol, run, **changes)
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job))
    command = [sys.executable, str(SOURCE / "caller.py"), str(file)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_call_is_counted_once(peer: Peer, tmp_path: Path, protocol: str) -> None:
    result = call(peer, tmp_path, protocol, f"count-{protocol}")
    seen = peer.ask(f"seen?run=count-{protocol}")
    assert (result["good"], seen["calls"], seen["requests"], seen["complete"]) == (20, 20, 20, 20)
    assert seen["authorities"] == {"h.example:8000": 20}


def test_jobs_side_by_side_are_each_done(peer: Peer) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, str(SOURCE / "caller.py"), "serve"]
    with subprocess.Popen(command, env={**os.environ, "CONTROL_PORT": str(port)}) as process:
        try:
            wait_until(lambda: answers(port), what="the caller answers", timeout=20)
            jobs = {f"beside-{protocol}": job_of(peer, protocol, f"beside-{protocol}") for protocol in PROTOCOLS}
            with ThreadPoolExecutor(len(jobs)) as pool:
                results = dict(zip(jobs, pool.map(lambda job: post(port, "", job), jobs.values()), strict=True))
        finally:
            process.terminate()
    assert {run: result["good"] for run, result in results.items()} == dict.fromkeys(jobs, 20)
    assert {run: peer.ask(f"seen?run={run}")["calls"] for run in jobs} == dict.fromkeys(jobs, 20)


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("status", {"503": 2}),
        ("reset", {"error ReadError": 2}),
        ("hang", {"error ReadTimeout": 2}),
        ("early", {"200": 2}),
    ],
)
def test_server_misbehaves_as_told(peer: Peer, tmp_path: Path, mode: str, status: dict[str, int]) -> None:
    peer.ask("mode", {"name": mode})
    result = call(peer, tmp_path, "http1", f"mode-{mode}", count=2, timeout=0.5)
    peer.ask("mode", {"name": "ok"})
    assert result["statuses"] == status
    assert peer.ask(f"seen?run=mode-{mode}")["calls"] == 2


def test_raw_bytes_arrive_as_they_are(peer: Peer, tmp_path: Path) -> None:
    request = "GET /x HTTP/1.1\r\nhost: a\r\nx-call: CALL\r\nconnection: close\r\n\r\n"
    result = call(peer, tmp_path, "raw", "raw", count=1, bytes=request)
    assert result["statuses"] == {"200": 1}
    assert [(r["path"], r["authority"]) for r in peer.ask("records?run=raw")] == [("/x", "a")]
