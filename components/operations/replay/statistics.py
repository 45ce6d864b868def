"""What a replay did and how well it kept the time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..recording import Damage, Exchange
from ..recording.quantiles import Quantiles
from .guard import Skip
from .outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Quantiles of times in milliseconds; ``None`` without any."""

    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """The result of a replay, or of a dry run."""

    run_id: str
    target: str
    read: int
    """Exchanges read from the recording."""
    sent: int
    """Requests sent; in a dry run, those that would have been."""
    completed: int
    """Requests with a whole response."""
    failures: Mapping[str, int]
    """Requests without one, by kind."""
    skipped: Mapping[str, int]
    """Exchanges not sent, by reason."""
    statuses: Mapping[str, int]
    """Responses by HTTP status, or ``grpc <status>``."""
    changed_status: int
    """Responses whose status differs from the recorded one."""
    latency: Spread
    """Time to the end of the response."""
    lateness: Spread
    """How much later than planned requests were sent."""
    redacted: int
    """Requests among those sent that carry redacted values, so that they may be answered otherwise than recorded."""
    without_session: int
    """Requests among those sent that have no session though sessions are kept, so that their order is not: the header
    is missing, or redaction replaced its value."""
    held_back: int
    """Requests that waited because too many were in flight."""
    out_of_order: int
    """Exchanges that the recording did not yield in order of time."""
    unwritten: int
    """Results that could not be written."""
    elapsed_seconds: float
    stopped_by: str
    """Why it ended before the end of the recording (``limit``, ``timeout``, ``interrupted``); empty if it did not."""
    damage: tuple[Damage, ...]
    is_dry_run: bool

    @property
    def rate(self) -> float:
        """Requests sent per second."""
        return self.sent / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def holds(self) -> bool:
        """Whether everything that was to be sent was answered, and the recording was read whole."""
        return not (self.failures or self.damage or self.unwritten or self.stopped_by == "interrupted")


class ReplayStatistics:
    """Counts while a replay runs; constant memory."""

    def __init__(self) -> None:
        self.read = 0
        self.sent = 0
        self.completed = 0
        self.changed_status = 0
        self.redacted = 0
        self.without_session = 0
        self.held_back = 0
        self.unwritten = 0
        self.skipped: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._latency_us = Quantiles()
        self._lateness_us = Quantiles()

    def skip(self, reason: Skip) -> None:
        """Count an exchange that is not sent."""
        self.skipped[reason.value] += 1

    def started(self, *, late_seconds: float) -> None:
        """Count a request at the moment when it is sent."""
        self.sent += 1
        self._lateness_us.add(late_seconds * 1_000_000)

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Count a request's outcome."""
        if outcome.failure:
            self.failures[outcome.failure] += 1
            return
        self.completed += 1
        self._latency_us.add(outcome.duration_us)
        is_grpc = outcome.grpc_status is not None
        self.statuses[f"grpc {outcome.grpc_status}" if is_grpc else str(outcome.status)] += 1
        now, then = (outcome.status, outcome.grpc_status), (exchange.status, exchange.grpc_status)
        self.changed_status += then[0] is not None and now != then

    def merge(self, other: "ReplayStatistics") -> None:
        """Add what was counted elsewhere."""
        for name in _TOTALS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._latency_us.merge(other._latency_us)  # noqa: SLF001 -- of its own kind
        self._lateness_us.merge(other._lateness_us)  # noqa: SLF001

    @property
    def latency(self) -> Spread:
        """Time to the end of the response."""
        return _spread(self._latency_us)

    @property
    def lateness(self) -> Spread:
        """How much later than planned requests were sent."""
        return _spread(self._lateness_us)


def total_of(parts: Iterable[ReplayStatistics]) -> ReplayStatistics:
    """Add up what was counted in several places."""
    total = ReplayStatistics()
    for part in parts:
        total.merge(part)
    return total


_TOTALS: Final = (
    *("read", "sent", "completed", "changed_status", "redacted", "without_session", "held_back", "unwritten"),
    *("skipped", "failures", "statuses"),
)
"""Counts that add up, numbers and counters alike."""


@dataclass(frozen=True, kw_only=True)
class ReplayedPart:
    """What one process did."""

    statistics: ReplayStatistics
    out_of_order: int
    elapsed_seconds: float
    stopped_by: str
    """As in :class:`ReplayReport`."""
    damage: tuple[Damage, ...]


def report_of(parts: Sequence[ReplayedPart], *, run_id: str, target: str, is_dry_run: bool) -> ReplayReport:
    """Return the report of parts that ran side by side.

    Args:
        parts: At least one.
        run_id: Of all.
        target: URL of the target.
        is_dry_run: Whether nothing was sent.
    """
    total = total_of(part.statistics for part in parts)
    reasons = [part.stopped_by for part in parts if part.stopped_by]
    return ReplayReport(
        run_id=run_id,
        target=target,
        read=total.read,
        sent=total.sent,
        completed=total.completed,
        failures=dict(total.failures),
        skipped=dict(total.skipped),
        statuses=dict(total.statuses),
        changed_status=total.changed_status,
        latency=total.latency,
        lateness=total.lateness,
        redacted=total.redacted,
        without_session=total.without_session,
        held_back=total.held_back,
        out_of_order=sum(part.out_of_order for part in parts),
        unwritten=total.unwritten,
        elapsed_seconds=max(part.elapsed_seconds for part in parts),
        # A limit is that of all parts; whoever interrupts one interrupts all.
        stopped_by="interrupted" if "interrupted" in reasons else next(iter(reasons), ""),
        # All parts read the same files.
        damage=tuple(sorted({each for part in parts for each in part.damage}, key=repr)),
        is_dry_run=is_dry_run,
    )


def _spread(quantiles: Quantiles) -> Spread:
    def milliseconds(share: float) -> float | None:
        value = quantiles.at(share)
        return None if value is None else round(value / 1000, 3)

    return Spread(
        p50_ms=milliseconds(0.5), p90_ms=milliseconds(0.9), p99_ms=milliseconds(0.99), max_ms=milliseconds(1.0)
    )
