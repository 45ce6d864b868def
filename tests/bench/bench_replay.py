"""How well a replay keeps the time, and how much memory it needs: ``python -m tests.bench.bench_replay``.

Bounds: at the original timing of 200 requests per second the 99th percentile of the send-time error is at most 20 ms;
a recording of 2 GiB in one file is replayed by a process that never holds more than 256 MiB. A process that does
nothing but wake up at the same moments runs beside the first: if even that one is late, the machine is too busy to
tell, which is said and fails nothing.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.model import Waiver
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingStore, RecordingWriter, RollLimits, Side
from pulumi_traffic_mirror.operations.recording.quantiles import Quantiles
from pulumi_traffic_mirror.operations.replay import Pace, ReplayGuard, ReplayJob, Target, replay
from tests.support.loopback_service import serving

RATE: Final = 200
SECONDS: Final = 20
MAX_LATE_MS: Final = 20.0
MAX_MIB: Final = 256.0
BODY_BYTES: Final = 64 * 1024

_MEBI: Final = 1024 * 1024
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def exchanges(count: int, *, body_bytes: int) -> Iterator[Exchange]:
    """Requests at an even rate; bodies are random, so that they take their size on disk."""
    for number in range(count):
        body = os.urandom(body_bytes)
        yield Exchange(
            request_id=f"{number:032x}",
            side=Side.PRIMARY,
            source="bench",
            started_at=_START + timedelta(seconds=number / RATE),
            method="POST",
            scheme="http",
            authority="bench.example",
            path=f"/things/{number}",
            status=200,
            request=Part(headers=(("content-type", "application/octet-stream"),), body=body, body_size=len(body)),
        )


def record(path: Path, rows: Iterator[Exchange]) -> None:
    """Write one file, however large."""
    limits = RollLimits(max_bytes=1 << 50, max_seconds=1e9)
    writer = RecordingWriter(RecordingStore.open(str(path)), instance="bench", limits=limits)
    while chunk := list(islice(rows, 64)):
        writer.write(chunk)
    writer.close()


async def serve() -> None:
    """Answer everything, in a process of its own; prints the port and ends with standard input."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()

    async with serving(answer) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def send(recording: Path, port: int, *, as_fast_as_possible: bool) -> None:
    """Replay, in a process of its own, and print the report with the memory it took."""
    job = ReplayJob(
        recording=str(recording),
        target=Target(url=f"http://127.0.0.1:{port}"),
        pace=Pace(rate=100_000) if as_fast_as_possible else Pace(),
        guard=ReplayGuard(waiver=Waiver(reason="a bench on loopback")),
        max_in_flight=16 if as_fast_as_possible else 256,
    )
    report = asdict(asyncio.run(replay(job)))
    report["mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(report))


async def wake() -> None:
    """Wake up at the moments of the timed replay, do nothing, and print how late that was."""
    quantiles, origin = Quantiles(), time.perf_counter() + 0.2
    for number in range(RATE * SECONDS):
        moment = origin + number / RATE
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        quantiles.add((time.perf_counter() - moment) * 1e6)
    print((quantiles.at(0.99) or 0.0) / 1000)


def replayed(recording: Path, *flags: str) -> dict[str, Any]:
    """Replay to a service, both as processes of their own."""
    module = [sys.executable, "-m", __spec__.name]
    with subprocess.Popen([*module, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        port = service.stdout.readline().strip()
        command = [*module, "--send", str(recording), "--port", port, *flags]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        service.communicate()
    return json.loads(ended.stdout)


def main() -> int:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="Size of the large recording.")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--wake", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--fast", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return 0
    if arguments.wake:
        asyncio.run(wake())
        return 0
    if arguments.send:
        send(arguments.send, arguments.port, as_fast_as_possible=arguments.fast)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder) / "timed", exchanges(RATE * SECONDS, body_bytes=2048))
        waking = [sys.executable, "-m", __spec__.name, "--wake"]
        with subprocess.Popen(waking, stdout=subprocess.PIPE, text=True) as beside:
            timed = replayed(Path(folder) / "timed")
            floor_ms = float(beside.communicate()[0])
        late = timed["lateness"]
        print(
            f"{timed['completed']} of {RATE * SECONDS} answered at {RATE}/s, sent late by p50 {late['p50_ms']} ms, "
            f"p99 {late['p99_ms']} ms, max {late['max_ms']} ms (bound: p99 {MAX_LATE_MS:g} ms); "
            f"doing nothing: p99 {floor_ms:.1f} ms"
        )
        count = arguments.mib * _MEBI // BODY_BYTES
        record(Path(folder) / "large", exchanges(count, body_bytes=BODY_BYTES))
        size = max(file.stat().st_size for file in (Path(folder) / "large").rglob("*.parquet"))
        large = replayed(Path(folder) / "large", "--fast")
        print(
            f"a file of {size / _MEBI:,.0f} MiB: {large['completed']} of {count} answered in "
            f"{large['elapsed_seconds']:.0f} s, {large['mib']:.0f} MiB (bound {MAX_MIB:g} MiB)"
        )
    whole = timed["completed"] == RATE * SECONDS and large["completed"] == count
    in_time = late["p99_ms"] <= MAX_LATE_MS
    if not in_time and floor_ms > MAX_LATE_MS / 4:
        print("the machine is too busy to tell whether the time is kept")
        in_time = True
    return 0 if whole and in_time and large["mib"] <= MAX_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
