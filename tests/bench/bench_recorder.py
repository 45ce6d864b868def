"""What recording costs: ``python -m tests.bench.bench_recorder`` (needs an Envoy; without one it says so).

1,000 requests per second with bodies of 2 KiB in both directions go through a real Envoy with the rendered filter to
the collector as a process. Bounds: 1 % of exchanges not recorded, one core for the collector, 10 % more CPU per
request at the gateway when one in twenty requests is recorded, and 25 % more when the access log tells the heads of
all. What recording all of them by the filter costs there, whole and without bodies, is printed.
A gateway that records and one that does not run at the same time, and the median of their ratios counts: on a shared
machine absolute times say little.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from pulumi_traffic_mirror.model.recording import RecorderSettings
from tests.support.loopback_envoy import Proxy, bootstrap, find_envoy, recorder_filter, running_envoy
from tests.support.loopback_service import free_port

RATE: Final = 1_000
ROUND_SECONDS: Final = 4
ROUNDS: Final = 5
BODY: Final = b"x" * 2048
CONNECTIONS: Final = 16

MAX_MISSING: Final = 0.01
MAX_CORES: Final = 1.0
MAX_RATIO: Final = 1.10
MAX_LOGGED: Final = 1.25
SAMPLE_PERCENT: Final = 5.0


@dataclass(frozen=True)
class Recorded:
    """What a gateway records: a share of its requests, none at 0, with or without bodies."""

    percent: float
    bodies: bool = True
    by_log: bool = False

    def __str__(self) -> str:
        what = "whole" if self.bodies else "heads by the access log" if self.by_log else "without bodies"
        return f"{self.percent:g} % {what}" if self.percent else "nothing"


NOTHING: Final = Recorded(0.0)
SAMPLED: Final = Recorded(SAMPLE_PERCENT)
WHOLE: Final = Recorded(100.0)
LOGGED: Final = Recorded(100.0, bodies=False, by_log=True)
KINDS: Final = (SAMPLED, Recorded(SAMPLE_PERCENT, bodies=False), LOGGED, Recorded(100.0, bodies=False), WHOLE)
HEADERS: Final = ("accept", "accept-encoding", "accept-language", "user-agent", "referer", "cache-control")
"""What the access log is asked for beside what it needs."""


@dataclass(frozen=True)
class Result:
    """What was measured."""

    sent: int
    recorded: int
    seconds: float
    collector_cores: float
    ratios: Mapping[Recorded, float]
    """CPU per request of a gateway that records, to that of one that does not, at the same time."""


class Load:
    """Clients that keep a rate over a few connections."""

    def __init__(self, port: int, *, rate: float) -> None:
        self._port = port
        self._rate = rate
        self.sent = 0

    async def run(self, seconds: float) -> None:
        await asyncio.gather(*(self._client(number, seconds) for number in range(CONNECTIONS)))

    async def _client(self, number: int, seconds: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        started = time.perf_counter() + number / self._rate
        turn = 0
        while (due := started + turn * CONNECTIONS / self._rate) - started < seconds:
            await asyncio.sleep(due - time.perf_counter())
            head = f"POST /bench HTTP/1.1\r\nhost: bench\r\nx-request-id: {uuid.uuid4()}\r\n"
            writer.write(f"{head}content-type: text/plain\r\ncontent-length: {len(BODY)}\r\n\r\n".encode() + BODY)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            await reader.readexactly(len(BODY))
            self.sent += 1
            turn += 1
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def collector(folder: Path) -> AsyncIterator[tuple[int, int, psutil.Process]]:
    """The collector as a process of its own; gives its two ports and the process."""
    port, http_port = free_port(), free_port()
    settings = {"url": str(folder / "out"), "port": port, "http_port": http_port}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pulumi_traffic_mirror.operations.recording", str(folder / "settings.json")]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    await process.stderr.readline()
    try:
        yield port, http_port, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.communicate()


def upstream() -> dict[str, Any]:
    """An Envoy that answers at once with 2 KiB."""
    config = bootstrap(recorder_filter(), collector_port=1, upstream_port=None, h2=False)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = manager["http_filters"][1:]
    answer = {"status": 200, "body": {"inline_string": BODY.decode()}}
    manager["route_config"]["virtual_hosts"][0]["routes"] = [{"match": {"prefix": "/"}, "direct_response": answer}]
    return config


def gateway(recorded: Recorded, *, collector_port: int, upstream_port: int) -> dict[str, Any]:
    """A gateway that records."""
    heads = RecorderSettings(body_kib=0, access_log_headers=HEADERS).logged_headers if recorded.by_log else None
    recorder = recorder_filter(sample_percent=recorded.percent or 100.0, bodies=recorded.bodies, logged_headers=heads)
    config = bootstrap(recorder, collector_port=collector_port, upstream_port=upstream_port, h2=False)
    if not recorded.percent:
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = manager["http_filters"][1:]
    return config


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def ratio(plain: Proxy, recording: Proxy) -> float:
    """CPU per request of one gateway to that of the other, half of the load each."""
    both = [(psutil.Process(proxy.pid), Load(proxy.port, rate=RATE / 2)) for proxy in (plain, recording)]
    before = [cpu(process) for process, _ in both]
    await asyncio.gather(*(load.run(ROUND_SECONDS) for _, load in both))
    one, other = ((cpu(process) - was) / load.sent for (process, load), was in zip(both, before, strict=True))
    return other / one


async def measure(binary: Path) -> Result:
    """Start everything, and measure the collector alone and the gateways side by side."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, http_port, recorder = await stack.enter_async_context(collector(folder))
        (folder / "upstream").mkdir()
        answering = await stack.enter_async_context(running_envoy(binary, folder / "upstream", upstream()))
        proxies: dict[Recorded, Proxy] = {}
        for number, kind in enumerate((NOTHING, *KINDS)):
            own = folder / str(number)
            own.mkdir()
            config = gateway(kind, collector_port=port, upstream_port=answering.port)
            proxies[kind] = await stack.enter_async_context(running_envoy(binary, own, config))
        load, before = Load(proxies[WHOLE].port, rate=RATE), cpu(recorder)
        started = time.perf_counter()
        await load.run(2 * ROUND_SECONDS)
        seconds = time.perf_counter() - started
        await asyncio.sleep(3)
        cores = (cpu(recorder) - before) / seconds
        recorded = counter(http_port, "recorded")
        found: dict[Recorded, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(ROUNDS):
            for kind in KINDS:
                found[kind].append(await ratio(proxies[NOTHING], proxies[kind]))
    return Result(
        sent=load.sent,
        recorded=recorded,
        seconds=seconds,
        collector_cores=cores,
        ratios={kind: statistics.median(ratios) for kind, ratios in found.items()},
    )


def counter(http_port: int, name: str) -> int:
    """Read one of the collector's counters."""
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics", timeout=10) as metrics:
        lines = dict(line.rsplit(" ", 1) for line in metrics.read().decode().splitlines() if line[0] != "#")
    return int(lines[f"traffic_recorder_{name}_total"])


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    binary = find_envoy()
    if binary is None:
        print("no Envoy here: not measured")
        return 0
    result = asyncio.run(measure(binary))
    missing, sampled = 1 - result.recorded / result.sent, result.ratios[SAMPLED]
    print(
        f"{result.sent / result.seconds:,.0f} requests/s of 2 KiB, {missing:.2%} not recorded (bound {MAX_MISSING:.0%})"
    )
    print(f"collector: {result.collector_cores:.2f} cores (bound {MAX_CORES:g})")
    print(f"gateway, CPU per request (bound x{MAX_RATIO:g} with {SAMPLED}, x{MAX_LOGGED:g} with {LOGGED}):")
    for kind, ratio_of_kind in result.ratios.items():
        print(f"  {kind!s:31} x{ratio_of_kind:.2f}")
    cheap = sampled <= MAX_RATIO and result.ratios[LOGGED] <= MAX_LOGGED
    return 0 if missing <= MAX_MISSING and result.collector_cores <= MAX_CORES and cheap else 1


if __name__ == "__main__":
    sys.exit(main())
