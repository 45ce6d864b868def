"""Whether a step of a ramp may stay: what was measured on it, against what was measured before. Pure."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Final

from ...model import JsonObject, JsonValue
from ...model.checks import bounded
from ..verify.shares import interval

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was seen while one percentage was in force."""

    percent: float
    """The share that was in force."""

    calls: int
    """Calls that were made, or seen."""

    failed: int
    """Calls that were not answered."""

    p95_seconds: float
    """95th percentile of the time until an answer; 0 where traffic was watched, which tells no times."""

    seconds: float
    """How long calls were made."""

    copies: int = 0
    """Copies that the proxy sent."""

    copy_errors: int = 0
    """Copies that ended with a server error or a lost connection."""

    copies_unanswered: int = 0
    """Copies that were sent and ended without an answer, which is in no counter of errors."""

    in_flight: int = 0
    """Copies in flight when the calls ended."""

    memory_bytes: int = 0
    """Memory that the busiest gateway's proxy has allocated; 0 where it is not known."""

    arrived: bool = True
    """Whether copies arrive as they should."""

    trouble: str = ""
    """Why they do not."""

    report: JsonObject = field(default_factory=dict[str, JsonValue])
    """The whole report of the verification that this was read from."""

    def to_json(self) -> JsonObject:
        """For the state file."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Bounds that a step must keep.

    Raises:
        ValidationError: A value is out of its range.
    """

    failure_increase_percent: float = 0.1
    """Failed calls that are too many, in per cent points above the run before the step, 0 to 100. A step fails when
    its failures are surely above that, by the exact interval."""

    latency_ratio: float = 1.5
    """p95 of the primary at most this many times that before the step, 1 to 100."""

    latency_floor_seconds: float = 0.025
    """Differences of p95 below this are noise, 0 to 60 s."""

    copy_error_percent: float = 1.0
    """Copies that end with an error or without an answer, in per cent, 0 to 100."""

    in_flight_seconds: float = 1.0
    """Copies in flight at the end, as seconds' worth of copies: the time that a mirror takes for one, 0.01 to 3600."""

    memory_growth_bytes: int = 64 * MEBIBYTE
    """Memory that the proxy may have more than before the ramp, 1 MiB to 64 GiB."""

    def __post_init__(self) -> None:
        bounded(self.failure_increase_percent, "failure_increase_percent", 0, 100, "per cent")
        bounded(self.latency_ratio, "latency_ratio", 1, 100)
        bounded(self.latency_floor_seconds, "latency_floor_seconds", 0, 60, "seconds")
        bounded(self.copy_error_percent, "copy_error_percent", 0, 100, "per cent")
        bounded(self.in_flight_seconds, "in_flight_seconds", 0.01, 3600, "seconds")
        bounded(self.memory_growth_bytes, "memory_growth_bytes", MEBIBYTE, 65_536 * MEBIBYTE, "bytes")


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """How one gate stands."""

    name: str
    passes: bool
    detail: str
    """What was measured against what."""

    def to_json(self) -> JsonObject:
        """For the state file."""
        return asdict(self)


def judge_step(before: Measurement, first: Measurement, now: Measurement, gates: Gates) -> tuple[GateResult, ...]:
    """Hold a step against the one before it. Without calls nothing passes.

    Args:
        before: Measured on the last good step.
        first: Measured before the ramp began, for what grows slowly.
        now: Measured on the step.
        gates: The bounds.
    """
    if now.calls <= 0 or before.calls <= 0:
        return (GateResult(name="calls", passes=False, detail="no call was made, so nothing can be told"),)
    return tuple(_gates(before, first, now, gates))


def _gates(before: Measurement, first: Measurement, now: Measurement, gates: Gates) -> Iterator[GateResult]:
    allowed = 100 * before.failed / before.calls + gates.failure_increase_percent
    yield GateResult(
        name="primary success",
        passes=interval(now.failed, now.calls).low <= allowed,
        detail=f"{now.failed:,} of {now.calls:,} calls failed, surely no more than {allowed:.2g} % may",
    )
    bound = max(before.p95_seconds * gates.latency_ratio, before.p95_seconds + gates.latency_floor_seconds)
    timed = f"p95 {1000 * now.p95_seconds:.1f} ms, {1000 * before.p95_seconds:.1f} ms before, at most"
    watched = not now.p95_seconds and not before.p95_seconds
    yield GateResult(
        name="primary latency",
        passes=now.p95_seconds <= bound,
        detail="not measured: no call was made or answered" if watched else f"{timed} {1000 * bound:.1f} ms",
    )
    bad = now.copy_errors + now.copies_unanswered
    errors = 100 * bad / now.copies if now.copies else 0.0
    yield GateResult(
        name="mirror errors",
        passes=errors <= gates.copy_error_percent,
        detail=f"{errors:.2g} % of {now.copies:,} copies, at most {gates.copy_error_percent:g} %:"
        f" {now.copy_errors:,} failed, {now.copies_unanswered:,} ended without an answer",
    )
    yield _in_flight(now, gates)
    grown = now.memory_bytes - first.memory_bytes if now.memory_bytes and first.memory_bytes else 0
    most = gates.memory_growth_bytes
    yield GateResult(
        name="proxy memory",
        passes=grown <= most,
        detail=f"{grown / MEBIBYTE:+.1f} MiB since the ramp began, at most {most / MEBIBYTE:g} MiB",
    )
    arriving = "as they should" if now.arrived else "there is not enough evidence to tell; see 'traffic-mirror verify'"
    yield GateResult(name="copies arrive", passes=now.arrived, detail=now.trouble or arriving)


def _in_flight(now: Measurement, gates: Gates) -> GateResult:
    """By Little's law the copies in flight, over those that leave in a second, are the time that one takes."""
    rate = now.copies / now.seconds if now.seconds > 0 else 0.0
    worth = now.in_flight / rate if rate else float(now.in_flight > 0)
    return GateResult(
        name="copies in flight",
        # One is never too many: a call may just have ended.
        passes=now.in_flight <= 1 or worth <= gates.in_flight_seconds,
        detail=f"{now.in_flight:,}, which are {worth:.2g} s of copies, at most {gates.in_flight_seconds:g} s",
    )
