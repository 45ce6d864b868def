"""Figures of what-if: requests through two states of a mesh of a hundred and of a thousand routes, and of sampling.

Run ``python -m tests.bench.bench_what_if``; prints seconds on the clock and of processors, the programs' own included,
memory, and the ratio of the two. It needs istiod in memory and Envoy:
``python -m pulumi_traffic_mirror.rehearsal.toolchain``.
"""

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pulumi_traffic_mirror.cli.programs import envoy_program, open_oracle
from pulumi_traffic_mirror.operations.manifests import load
from pulumi_traffic_mirror.operations.recording import Part, RecordingReader, RecordingStore, RecordingWriter
from pulumi_traffic_mirror.operations.recording.sampling import sample
from pulumi_traffic_mirror.operations.whatif import read_requests, read_state, what_if
from tests.support.shop import HOST, START, deployment, exchange, record, service, shop, to, written

Result = TypeVar("Result")


def mesh(routes: int, weight: int) -> list[Any]:
    """A route with a mirror for each of so many services."""
    names = [f"s{number}" for number in range(routes)]
    entries = [
        {
            "name": name,
            "match": [{"uri": {"prefix": f"/{name}/"}}],
            "route": [to(name, weight), to("cart", 100 - weight)],
            "mirrors": [{**to("next"), "percentage": {"value": 5.0}}],
        }
        for name in names
    ]
    more = [
        each for name in names for each in (service(name, "shop", {"app": name}), deployment(name, "shop", app=name))
    ]
    return shop(*entries, {"route": [to("cart")]}, more=more)


class Taken(NamedTuple):
    """Seconds that something took."""

    clock: float
    processors: float

    def __str__(self) -> str:
        return f"{self.clock:.1f} s ({self.processors:.1f} s of processors)"


def timed(work: Callable[[], Result]) -> tuple[Result, Taken]:
    begin, used = time.perf_counter(), sum(os.times()[:4])
    result = work()
    return result, Taken(time.perf_counter() - begin, sum(os.times()[:4]) - used)


def compare(folder: Path, routes: int, requests: int) -> tuple[Taken, Taken]:
    """What loading and comparing took."""
    folder.mkdir()
    states = [written(folder / name, mesh(routes, weight)) for name, weight in (("before", 90), ("after", 80))]
    paths = [f"/s{number % routes}/orders/{number}" for number in range(requests)]
    recording = record(folder / "recording", *(exchange(number, path) for number, path in enumerate(paths)))

    def loading() -> Any:
        with open_oracle() as oracle:
            return [read_state(load(path.name, [path])[0], oracle) for path in states]

    (before, after), loaded = timed(loading)
    recorded = read_requests(str(recording))
    result, compared = timed(lambda: asyncio.run(what_if(envoy_program(), before, after, recorded)))
    print(f"{routes} routes, {requests} requests: load {loaded}, compare {compared}; {result.headline}", flush=True)
    return loaded, compared


def choose(folder: Path, exchanges: int) -> None:
    """Print the seconds of a sample."""
    folder.mkdir()
    writer = RecordingWriter(RecordingStore.open(str(folder)), instance="t", now=lambda: START)
    paths, statuses = ("/orders/%d", "/cart/%d?x=1", "/users/%d/orders"), (200, 200, 200, 404)
    for first in range(0, exchanges, 10_000):
        some = range(first, min(exchanges, first + 10_000))
        writer.write([_exchange(number, paths[number % 3] % number, statuses[number // 3 % 4]) for number in some])
    writer.close()
    found, seconds = timed(lambda: sample(RecordingReader.open(str(folder))))
    print(f"sample {len(found.places)} of {found.exchanges} exchanges: {seconds}")


def _exchange(number: int, path: str, status: int) -> Any:
    headers = (
        ("user-agent", f"curl/{number % 30}"),
        ("x-request-id", f"{number:032x}"),
        ("accept", "*/*"),
        ("content-type", ("application/json", "text/html")[number % 2]),
        ("x-forwarded-for", f"10.{number % 256}.{number // 256 % 256}.1"),
        ("x-tenant", f"t{number % 15}"),
        ("cookie", "REDACTED"),
        ("host", HOST),
    )
    return exchange(number, path, status=status, request=Part(headers=headers))


def _ratio(many: Taken, few: Taken) -> float:
    return many.processors / few.processors


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--routes", type=int, default=1_000)
    parser.add_argument("--exchanges", type=int, default=1_000_000, help="of the recording that is sampled; 0 for none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        few = compare(Path(name) / "few", given.routes // 10, given.requests)
        many = compare(Path(name) / "many", given.routes, given.requests)
        print(f"ten times as many routes: load x{_ratio(many[0], few[0]):.1f}, compare x{_ratio(many[1], few[1]):.2f}")
        own, others = (
            resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        print(f"memory: {own} MiB, the largest program beside it {others} MiB")
        if given.exchanges:
            choose(Path(name) / "exchanges", given.exchanges)
    return 0


if __name__ == "__main__":
    sys.exit(main())
