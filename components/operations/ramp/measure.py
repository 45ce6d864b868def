"""What a step does to the primary, the proxy and the mirror: calls at a steady rate, and what both clusters saw."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..outcome import Outcome
from ..verify.evidence import ProxyCounters
from ..verify.job import VerifyJob
from ..verify.run import verify
from .gates import Measurement

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Measures one mirror."""

    job: VerifyJob
    """How to call; its rate and number of calls are those of each step."""

    mirror: str
    """Name of the mirror on its routes."""

    def __call__(self, percent: float, tell: Tell) -> Measurement:
        """Measure while ``percent`` is in force.

        Args:
            percent: The share.
            tell: Told what is being done.

        Raises:
            ValidationError: There is no such mirror.
            OperationError: A cluster cannot be asked.
        """
        report = verify(replace(self.job, expected={self.mirror: percent}), tell)
        mirror = report.subject(self.mirror)
        counters = mirror.counters or ProxyCounters()
        calls, primary = report.calls, report.primary_counters
        return Measurement(
            percent=percent,
            calls=calls.total if calls else primary.total,
            failed=calls.total - calls.answered if calls else primary.error + primary.unanswered,
            p95_seconds=calls.p95_seconds if calls else 0.0,
            seconds=report.calling_seconds,
            copies=counters.total,
            copy_errors=counters.error,
            copies_unanswered=counters.unanswered,
            in_flight=report.in_flight.get(self.mirror, 0),
            memory_bytes=report.memory_bytes,
            arrived=mirror.outcome is Outcome.HOLDS,
            trouble="; ".join(f"{each.cause}: {each.detail}" for each in mirror.causes),
            report=report.to_json(),
        )
