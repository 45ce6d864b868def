"""How comparisons divide: pairs per second and memory by number of processes, and pairing beside DuckDB's own join.

Run it with ``python -m tests.bench.bench_shards --pairs 5000000`` for ten million exchanges; the corpus is written once
into ``--folder`` and used again. It prints figures of one run and fails only where the sums differ.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import shake_256
from pathlib import Path
from typing import Any

import duckdb

from pulumi_traffic_mirror.operations.diff import DiffJob, Source
from pulumi_traffic_mirror.operations.diff.columns import Requests, joined
from pulumi_traffic_mirror.operations.diff.corpus import Corpus, open_corpus
from pulumi_traffic_mirror.operations.diff.pairing import PairCounts
from pulumi_traffic_mirror.operations.diff.run import count
from pulumi_traffic_mirror.operations.diff.tallies import Tallies
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingReader, RecordingStore, Side
from pulumi_traffic_mirror.operations.recording.arrow import pa
from pulumi_traffic_mirror.operations.recording.buckets import Shard
from pulumi_traffic_mirror.operations.recording.compacting import compact
from pulumi_traffic_mirror.operations.recording.schema import SCHEMA, to_batch
from pulumi_traffic_mirror.operations.recording.writing import parquet_writer

_ROWS = 16_384
"""Of one row group."""

_GROUPS = 32
"""Row groups of one file."""

_HEADERS = (("content-type", "application/json"), ("server", "envoy"), ("cache-control", "no-store"))


def _write(folder: Path, side: Side, pairs: int) -> None:
    """Write a recording: about 1 KiB a row, of which compression leaves 500 bytes."""
    one = Exchange(
        request_id="",
        side=side,
        source="bench",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        method="GET",
        scheme="http",
        authority="shop.example",
        path="/",
        status=200,
        request=Part(headers=(("user-agent", "bench"), ("accept", "*/*"))),
        response=Part(headers=_HEADERS),
    )
    template: Any = pa.Table.from_batches([to_batch([replace(one)])])
    store = RecordingStore.open(str(folder))
    start = int(one.started_at.timestamp() * 1_000_000)
    file: Any = None
    writer: Any = None
    for number, first in enumerate(range(0, pairs, _ROWS)):
        rows = range(first, min(first + _ROWS, pairs))
        if number % _GROUPS == 0:
            file = store.create(f"day=2026-01-01/{number // _GROUPS:06d}.parquet")
            writer = parquet_writer(file.stream)
        bodies = [_body(row, side) for row in rows]
        columns: dict[str, Any] = {
            "request_id": [f"{row:08x}-0000-4000-8000-{row * 2654435761 % 2**48:012x}" for row in rows],
            "started_at": [start + row * 1_000 for row in rows],
            "path": [f"/{('orders', 'carts', 'users')[row % 3]}/{row}" for row in rows],
            "duration_us": [1_000 + row % 500 for row in rows],
            "response_body": bodies,
            "response_body_size": [len(body) for body in bodies],
        }
        table = template.take(pa.array([0] * len(rows)))
        for name, values in columns.items():
            field = SCHEMA.field(name)
            table = table.set_column(SCHEMA.get_field_index(name), field, pa.array(values, field.type))
        writer.write_table(table, row_group_size=len(rows))
        if number % _GROUPS == _GROUPS - 1 or rows.stop == pairs:
            writer.close()
            file.commit()


def _body(row: int, side: Side) -> bytes:
    total = -1 if side is Side.MIRROR and row % 1_000 == 0 else row
    # The same on both sides, and nothing that compresses well.
    noise = shake_256(row.to_bytes(8)).hexdigest(450)
    return json.dumps({"order": row, "total": total, "at": side.value, "noise": noise}).encode()


def _job(folder: Path) -> DiffJob:
    primary = Source(recording=str(folder / "primary"), side=Side.PRIMARY)
    mirror = Source(recording=str(folder / "mirror"), side=Side.MIRROR)
    return DiffJob(primary=primary, mirror=mirror, ignore=["body $.at"])


def _pair(corpus: Corpus) -> int:
    """Only bring the sides of each request together, in buckets."""
    counts, tallies = PairCounts(), Tallies()
    for number in corpus.parts():
        sides: dict[str, list[Any]] = {"primary": [], "mirror": []}
        for role, rows in corpus.rows(corpus.part(number), tallies):
            sides[role].append(rows)
        Requests(joined(sides["primary"])).pairs_with(joined(sides["mirror"]), counts)
    return counts.paired


def _timed(what: str, work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    found = work()
    seconds = time.monotonic() - started
    print(f"{what}: {seconds:.1f} s", flush=True)
    return seconds, found


def _join(folder: Path, wanted: str) -> Any:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    places = [f"'{folder}/{side}/**/*.parquet'" for side in ("primary", "mirror")]
    query = f"SELECT {wanted} FROM read_parquet({places[0]}) p JOIN read_parquet({places[1]}) m USING (request_id)"  # noqa: S608 -- own names
    return connection.execute(query).fetchone()


def _count(folder: Path, processes: int) -> None:
    """Compare in a process of its own, so that its memory is that of the comparison alone."""
    started = time.monotonic()
    tallies = count(_job(folder), processes=processes)
    seconds = time.monotonic() - started
    # Not this process's own ru_maxrss, which begins with that of whoever started it.
    own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert own is not None
    used = max(int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
    print(
        json.dumps({"seconds": seconds, "mib": used, "sum": hash(tallies.to_bytes()), "pairs": tallies.counts.paired})
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        _count(arguments.folder, arguments.count)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        plain, cut = folder / "plain", folder / "buckets"
        for side in (Side.PRIMARY, Side.MIRROR):
            if not (plain / side.value).exists():
                _timed(f"write {side.value}", lambda side=side: _write(plain / side.value, side, arguments.pairs))
            if not (cut / side.value).exists():
                source, target = (
                    RecordingReader.open(str(plain / side.value)),
                    RecordingStore.open(str(cut / side.value)),
                )
                _timed(f"compact {side.value}", lambda source=source, target=target: compact(source, target))
        size = sum(file.stat().st_size for file in plain.rglob("*.parquet")) / 2**30
        print(f"{2 * arguments.pairs:,} exchanges, {size:.2f} GiB on disk; load {os.getloadavg()[0]:.1f}")
        sums: set[int] = set()
        for name, place in (("cut by shuffle", plain), ("in buckets", cut)):
            seconds: dict[int, float] = {}
            for processes in (1, 2):
                command = [sys.executable, "-m", __spec__.name, "--folder", str(place), "--count", str(processes)]
                done = subprocess.run(
                    command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}
                )
                found = json.loads(done.stdout)
                seconds[processes] = found["seconds"]
                sums.add(found["sum"])
                rate = found["pairs"] / found["seconds"]
                print(
                    f"{name}, {processes} process(es): {found['seconds']:.1f} s, {rate:,.0f} pairs/s, "
                    f"{found['mib']:.0f} MiB in the largest",
                    flush=True,
                )
            print(f"{name}: efficiency of 2 processes {seconds[1] / seconds[2] / 2:.2f}")
        own, paired = _timed("pairing alone, in buckets, 1 process", lambda: _pair(open_corpus(_job(cut), Shard())))
        bodies = "sum(octet_length(p.response_body) + octet_length(m.response_body)), count(*)"
        joined, (_, pairs) = _timed("DuckDB's join with the bodies, 1 thread", lambda: _join(plain, bodies))
        ids, _ = _timed("DuckDB's join of the identifiers, 1 thread", lambda: _join(plain, "count(*)"))
        print(f"pairing: {own / joined:.2f} times DuckDB's join with the bodies, {own / ids:.2f} times that without")
        if len(sums) != 1 or paired != pairs:
            sys.exit("the sums differ")


if __name__ == "__main__":
    main()
