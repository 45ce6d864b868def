"""A fault while load runs: what clients notice of it, what it leaves behind, and how soon copies flow again."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from pulumi_traffic_mirror.model import Destination, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, Mirror, Route
from .terms import greeter

CALLS: Final = 1000
RATE: Final = 200
"""Calls per second."""

RECOVERY_SECONDS: Final = 10.0
"""Within this time after a fault nothing may be left of it, and copies flow again."""

MEMORY_MIB: Final = 20.0
"""What the proxy may hold beyond what it held before."""

SLOWER: Final = 1.5
"""What the median of the primary may grow to, as a multiple of that without a mirror."""

PATIENCE_SECONDS: Final = 45.0
"""How long a recovery that is too slow is watched, so that the report can say how slow."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a fault under load."""

    without_mirror: float
    """Median of the same calls without a mirror, in seconds: see :func:`run_trial`."""
    with_fault: dict[str, Any]
    held: int
    """Copies in flight when the fault ended."""
    memory_before: float
    memory_after: float
    """MiB in use by the proxy."""
    idle_after: float
    """Seconds from the end of fault and load, whichever was later, until nothing was in flight and memory was back."""
    copies_after: float
    """Seconds from the end of the fault until copies arrived."""

    @property
    def slower(self) -> float:
        """Median with the fault, as a multiple of that without a mirror."""
        return float(self.with_fault["median"] / self.without_mirror)

    def __str__(self) -> str:
        return (
            f"{self.with_fault['good']} of {self.with_fault['calls']} answered; median "
            f"{self.without_mirror * 1000:.1f} -> {self.with_fault['median'] * 1000:.1f} ms; "
            f"{self.held} copies held, none after {self.idle_after:.1f} s; memory {self.memory_before:.1f} -> "
            f"{self.memory_after:.1f} MiB; copies again after {self.copies_after:.1f} s"
        )

    def check(self) -> None:
        """Fail unless clients noticed nothing and nothing is left."""
        self.check_all_but_time()
        assert self.slower <= SLOWER, str(self)

    def check_all_but_time(self) -> None:
        """Fail unless all calls were answered and nothing is left."""
        assert self.with_fault["good"] == self.with_fault["calls"], self.with_fault["failures"]
        assert self.idle_after <= RECOVERY_SECONDS, str(self)
        assert self.memory_after - self.memory_before <= MEMORY_MIB, str(self)
        assert self.copies_after <= RECOVERY_SECONDS, str(self)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A mirror that something happens to, and where its copies are counted."""

    mirror: Mirror
    seen: Callable[[str], int]
    """Returns how many copies of a run the mirror has seen."""
    protocol: Protocol = Protocol.GRPC
    primary: Destination = greeter()  # noqa: RUF009 - frozen


@dataclass(frozen=True, kw_only=True)
class Track:
    """Two routes to one primary, one with a mirror, both in place for as long as faults are tried."""

    subject: Subject
    plain: Route
    mirrored: Route


@contextmanager
def track(lab: Lab, subject: Subject) -> Iterator[Track]:
    """Put both routes in place."""
    with (
        lab.route(protocol=subject.protocol, primary=subject.primary) as plain,
        lab.route(subject.mirror, protocol=subject.protocol, primary=subject.primary) as mirrored,
    ):
        yield Track(subject=subject, plain=plain, mirrored=mirrored)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is broken: either as long as the load lasts, or by a call while it runs, which mends it too."""

    whole: Callable[[], AbstractContextManager[None]] = nullcontext
    during: Callable[[], None] | None = None


def run_trial(lab: Lab, place: Track, fault: Fault, *, calls: int = CALLS, attempts: int = 3, **changes: Any) -> Trial:
    """Let load run, and break something.

    The median is held against that of calls without a mirror, right before or right after, whichever is slower: other
    work on the machine makes slow seconds. What is broken by a call makes such work itself, when pods start; it is held
    against calls without a mirror that run beside. Slow seconds that fall on the fault alone are tried again.

    Args:
        lab: The clusters.
        place: The routes.
        fault: What is broken.
        calls: Calls of the load.
        attempts: How often it is tried until the median is as it must be, at least 1.
        changes: Changes of the load, see :meth:`Lab.job`.
    """
    load = {"rate": RATE, "concurrency": 256, **changes}
    trial = _try(lab, place, fault, calls, load)
    for _ in range(attempts - 1):
        if trial.slower > SLOWER:
            trial.check_all_but_time()
            trial = _try(lab, place, fault, calls, load)
    return trial


def _try(lab: Lab, place: Track, fault: Fault, calls: int, load: dict[str, Any]) -> Trial:
    subject, route = place.subject, place.mirrored
    plain = lab.job(place.plain, calls // 4, **load)
    medians = [] if fault.during else [_median(lab, plain)]
    await_copies(lab, route, subject)
    cluster = subject.mirror.destination(route.primary).cluster_name
    memory = lab.gateway.memory_mib()
    with fault.whole():
        job, ended, copies = lab.job(route, calls, **load), 0.0, 0.0
        if fault.during:
            beside = {**plain, "rate": RATE / 4}
            result, median, ended, copies = _under_load(lab, job, beside, place, fault.during)
            medians.append(median)
        else:
            result = lab.run_job(job, inside=False)
        held = lab.gateway.counters(cluster).active
    load_ended = time.monotonic()
    if not fault.during:
        ended, copies = load_ended, await_copies(lab, route, subject)
    idle, memory_after = _await_idle(lab, cluster, memory)
    if not fault.during:
        medians.append(_median(lab, plain))
    return Trial(
        without_mirror=max(medians),
        with_fault=result,
        held=held,
        memory_before=memory,
        memory_after=memory_after,
        idle_after=idle - load_ended,
        copies_after=copies - ended,
    )


def _median(lab: Lab, job: dict[str, Any]) -> float:
    return float(lab.run_job(job, inside=False)["median"])


def _under_load(
    lab: Lab, job: dict[str, Any], plain: dict[str, Any], place: Track, during: Callable[[], None]
) -> tuple[dict[str, Any], float, float, float]:
    """Return the load's result, the median of the calls beside it, when ``during`` had ended, and when copies came."""
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(lab.run_job, job, inside=False)
        beside = pool.submit(_median, lab, plain)
        wait_until(lambda: place.subject.seen(job["run"]) >= RATE // 4, what="load runs", timeout=10)
        during()
        ended = time.monotonic()
        copies = await_copies(lab, place.mirrored, place.subject)
        return running.result(timeout=120), beside.result(timeout=120), ended, copies


def await_copies(lab: Lab, route: Route, subject: Subject) -> float:
    """Make calls until copies of them arrive; return when they did."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        run = lab.call(route, 10, rate=RATE)["run"]
        now = time.monotonic()
        while time.monotonic() < now + 0.5:
            if subject.seen(run):
                return time.monotonic()
            time.sleep(0.05)
    return float("inf")


def _await_idle(lab: Lab, cluster: str, memory: float) -> tuple[float, float]:
    """Wait until no copy is in flight and memory is back; return when, and the memory."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        held = lab.gateway.memory_mib()
        if lab.gateway.counters(cluster).active == 0 and held - memory <= MEMORY_MIB:
            return time.monotonic(), held
        time.sleep(0.1)
    return float("inf"), lab.gateway.memory_mib()
