"""How long and how much memory a comparison of 100,000 pairs takes.

Run it with ``python -m tests.bench.bench_diff``; it fails when it takes more than 60 s or 500 MiB.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from pulumi_traffic_mirror.operations.diff import DiffJob, Source, diff
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingStore, RecordingWriter, Side

MAX_SECONDS = 60.0
MAX_MIB = 500.0

_START = datetime(2026, 1, 1, tzinfo=UTC)
_HEADERS = (("content-type", "application/json"), ("server", "envoy"), ("cache-control", "no-store"), ("x-pod", "v1"))


def _exchanges(pairs: int, seed: int, *, planted: bool) -> Iterator[Exchange]:
    """Answers of about 2 KiB of JSON: 12 items, three noisy fields, and one that a mirror with a fault changes."""
    noise, fixed = random.Random(seed), random.Random(7)  # noqa: S311 -- test data
    side = Side.MIRROR if planted else Side.PRIMARY
    for number in range(pairs):
        items = [
            {
                "sku": f"sku-{fixed.randrange(10**6)}",
                "name": "x" * 60,
                "price": fixed.randrange(10**4) / 100,
                "stock": 3,
            }
            for _ in range(12)
        ]
        document = {
            "order": number,
            "items": items,
            "total": -1 if planted and number % 50 == 0 else sum(round(item["price"] * 100) for item in items),
            "served_at": noise.random(),
            "trace": f"{noise.getrandbits(64):016x}",
            "node": noise.choice("abc"),
        }
        body = json.dumps(document).encode()
        yield Exchange(
            request_id=f"{number:032x}",
            side=side,
            source="bench",
            started_at=_START + timedelta(milliseconds=number),
            method="GET",
            scheme="http",
            authority="shop.example",
            path=f"/orders/{number}",
            status=200,
            duration_us=1_000 + number % 500,
            response=Part(headers=(*_HEADERS, ("date", str(noise.random()))), body=body, body_size=len(body)),
        )


def _record(directory: Path, name: str, exchanges: Iterator[Exchange]) -> str:
    path = str(directory / name)
    writer = RecordingWriter(RecordingStore.open(path), instance="bench")
    while chunk := list(islice(exchanges, 256)):
        writer.write(chunk)
    writer.close()
    return path


def _compare(directory: Path) -> None:
    started = time.monotonic()
    result = diff(
        DiffJob(
            primary=Source(recording=str(directory / "primary"), side=Side.PRIMARY),
            mirror=Source(recording=str(directory / "mirror"), side=Side.MIRROR),
            baseline=[Source(recording=str(directory / "baseline"), side=Side.PRIMARY)],
        )
    )
    seconds = time.monotonic() - started
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    findings = [field.field for field in result.findings]
    print(f"{result.pairs} pairs + {result.baseline_pairs} baseline pairs: {seconds:.1f} s, {mib:.0f} MiB, {findings}")
    if findings != ["body $.total"] or seconds > MAX_SECONDS or mib > MAX_MIB:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--baseline", type=int, default=5_000, help="Pairs that show the natural variation.")
    parser.add_argument("--compare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compare:
        _compare(arguments.compare)
        return
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        _record(directory, "primary", _exchanges(arguments.pairs, 1, planted=False))
        _record(directory, "mirror", _exchanges(arguments.pairs, 2, planted=True))
        _record(directory, "baseline", _exchanges(arguments.baseline, 3, planted=False))
        # A process of its own, so that its memory is that of the comparison alone.
        ended = subprocess.run([sys.executable, "-m", __spec__.name, "--compare", folder], check=False)
        sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
