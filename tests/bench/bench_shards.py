"""How comparisons divide: pairs per second and memory by number of processes, and pairing beside DuckDB's own join.

Run it with ``python -m tests.bench.bench_shards --pairs 5000000 --folder FOLDER`` for ten million exchanges (20 GiB
of disk with what is cut meanwhile); ``--write-only`` ends once they are written, and what is there is used again.
``--processes 2`` leaves out the comparison in one. It prints how far it is and the figures of one run, and fails only
where the sums differ.
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
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from hashlib import shake_256
from pathlib import Path
from typing import Any

import duckdb

from pulumi_traffic_mirror.operations.diff import DiffJob, Source
from pulumi_traffic_mirror.operations.diff.columns import Requests, column, joined, rows_at
from pulumi_traffic_mirror.operations.diff.corpus import Corpus, open_corpus
from pulumi_traffic_mirror.operations.diff.pairing import PairCounts, Selection, selected
from pulumi_traffic_mirror.operations.diff.run import count
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingReader, RecordingStore, Side
from pulumi_traffic_mirror.operations.recording.arrow import pa, pc
from pulumi_traffic_mirror.operations.recording.buckets import Shard, pair_keys
from pulumi_traffic_mirror.operations.recording.compacting import compact
from pulumi_traffic_mirror.operations.recording.schema import SCHEMA, to_batch
from pulumi_traffic_mirror.operations.recording.writing import parquet_writer

_ROWS = 16_384
"""Of one row group."""

_GROUPS = 32
"""Row groups of one file."""

_TOLD_GROUPS = 32
"""Row groups after which it is told how far the writing is."""

_PAIRED_BY = ("request_id", "method", "path")

_HEADERS = (("content-type", "application/json"), ("server", "envoy"), ("cache-control", "no-store"))


def _write(folder: Path, side: Side, pairs: int) -> None:
    """Write a recording: about 1 KiB a row, of which compression leaves 550 bytes."""
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
        if first and number % (_TOLD_GROUPS) == 0:
            print(f"write {side}: {first:,} of {pairs:,}", flush=True)
        rows = range(first, min(first + _ROWS, pairs))
        if number % _GROUPS == 0:
            file = store.create(f"day=2026-01-01/{number // _GROUPS:06d}.parquet")
            writer = parquet_writer(file.stream)
        bodies = _bodies(rows, side)
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


def _bodies(rows: range, side: Side) -> list[bytes]:
    """Return JSON with nothing that compresses well, the same on both sides but for one total in a thousand."""
    totals = (-1 if side is Side.MIRROR and row % 1_000 == 0 else row for row in rows)
    # Pages are compressed by themselves, so row groups may repeat what is in others.
    return [
        b'{"order": %d, "total": %d, "at": "%s", "noise": "%s"}' % (row, total, side.value.encode(), noise)
        for row, total, noise in zip(rows, totals, _noises(), strict=False)
    ]


@cache
def _noises() -> list[bytes]:
    return [shake_256(number.to_bytes(8)).hexdigest(520).encode() for number in range(_ROWS)]


def _job(folder: Path) -> DiffJob:
    primary = Source(recording=str(folder / "primary"), side=Side.PRIMARY)
    mirror = Source(recording=str(folder / "mirror"), side=Side.MIRROR)
    return DiffJob(primary=primary, mirror=mirror, ignore=["body $.at"])


def _pair(corpus: Corpus, *, with_bodies: bool) -> tuple[int, int]:
    """Bring the sides of each request together, in buckets; and their bodies, whose bytes are summed up.

    Reads what that needs, as DuckDB does. A comparison reads the rest of the answers in the same go.
    """
    counts, size = PairCounts(), 0
    columns = ("side", "source", *_PAIRED_BY, "started_at", *(("response_body",) if with_bodies else ()))
    readers = {url: RecordingReader(store=RecordingStore.open(url)) for url in corpus.groups}
    for number in corpus.parts():
        sides: dict[str, list[Any]] = {role: [] for role in corpus.choice.sources}
        for url, group in corpus.part(number):
            table = readers[url].table(group, columns=columns)
            for role, source in corpus.choice.sources.items():
                if source.recording == url:
                    rows = selected(table, source, Selection())
                    sides[role].append(rows.append_column("pair_key", pair_keys(rows.column("request_id"))))
        primary, mirror = (joined(sides[role]) for role in ("primary", "mirror"))
        places = Requests(primary).pairs_with(mirror, counts)
        if with_bodies:
            for rows, which in ((primary, places.primary), (mirror, places.other)):
                size += pc.sum(pc.binary_length(column(rows_at(rows, which), "response_body"))).as_py() or 0
    return counts.paired, size


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
    by = ", ".join(_PAIRED_BY)
    query = f"SELECT {wanted} FROM read_parquet({places[0]}) p JOIN read_parquet({places[1]}) m USING ({by})"  # noqa: S608 -- own names
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


def _make(folder: Path, pairs: int) -> None:
    """Write what is not there yet: the corpus as recorders do, and in buckets."""
    for side in (Side.PRIMARY, Side.MIRROR):
        plain, cut = folder / "plain" / side.value, folder / "buckets" / side.value
        if not plain.exists():
            _timed(f"write {side}", lambda plain=plain, side=side: _write(plain, side, pairs))
        if not cut.exists():
            source, target = RecordingReader.open(str(plain)), RecordingStore.open(str(cut))
            _timed(f"compact {side}", lambda source=source, target=target: compact(source, target))
    size = sum(file.stat().st_size for file in (folder / "plain").rglob("*.parquet")) / 2**30
    print(f"{2 * pairs:,} exchanges, {size:.2f} GiB on disk; load {os.getloadavg()[0]:.1f}", flush=True)


def _compare(folder: Path, several: Sequence[int]) -> bool:
    """Compare in so many processes, and return whether all sums are the same."""
    sums: set[int] = set()
    for name, place in (("cut by shuffle", folder / "plain"), ("in buckets", folder / "buckets")):
        seconds: dict[int, float] = {}
        for processes in several:
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
        if {1, 2} <= seconds.keys():
            print(f"{name}: efficiency of 2 processes {seconds[1] / seconds[2] / 2:.2f}")
    return len(sums) == 1


def _compare_joins(folder: Path) -> bool:
    """Pair as DuckDB joins, and return whether both found the same."""
    corpus, same = open_corpus(_job(folder / "buckets"), Shard()), True
    bytes_ = "sum(octet_length(p.response_body) + octet_length(m.response_body))"
    for name, wanted in (("identifiers", "count(*), 0"), ("bodies", f"count(*), {bytes_}")):
        is_whole = name == "bodies"
        own, found = _timed(f"pairing {name}, 1 process", lambda whole=is_whole: _pair(corpus, with_bodies=whole))
        other, expected = _timed(
            f"DuckDB's join of {name}, 1 thread", lambda wanted=wanted: _join(folder / "plain", wanted)
        )
        print(f"pairing {name}: {own / other:.2f} times DuckDB's join")
        same &= found == tuple(map(int, expected))
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="Where the corpus stays; default a temporary folder.")
    parser.add_argument("--write-only", action="store_true", help="Write the corpus and end.")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="How many compare at once.")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        _count(arguments.folder, arguments.count)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.folder or Path(temporary)
        _make(folder, arguments.pairs)
        if not arguments.write_only and not (_compare(folder, arguments.processes) and _compare_joins(folder)):
            sys.exit("the sums or pairs differ")


if __name__ == "__main__":
    main()
