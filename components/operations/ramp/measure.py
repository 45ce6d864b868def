"""What a step does to the primary, the proxy and the mirror: calls at a steady rate, and what both clusters saw."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import OperationError
from ..kube import Pods, PodSelection
from ..outcome import Outcome
from ..verify.run import VerifyJob, VerifyReport, verify
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
        verdict = next(each for each in report.mirrors if each.facts.wanted.name == self.mirror)
        counters = verdict.facts.counters
        calls = report.calls
        return Measurement(
            percent=percent,
            calls=calls.total if calls else 0,
            failed=sum(calls.failures.values()) if calls else 0,
            p95_seconds=calls.p95_seconds if calls else 0.0,
            seconds=report.calling_seconds,
            copies=counters.total if counters else 0,
            copy_errors=counters.error if counters else 0,
            in_flight=report.in_flight.get(self.mirror, 0),
            memory_bytes=self._memory(report),
            arrived=verdict.outcome is Outcome.HOLDS,
            trouble="; ".join(f"{each.cause}: {each.detail}" for each in verdict.diagnoses),
        )

    def _memory(self, report: VerifyReport) -> int:
        """Memory that the busiest gateway pod's proxy has allocated; 0 where that cannot be asked."""
        place = report.plan.gateway.pods
        selection = PodSelection(
            cluster=self.job.staging.name,
            namespace=place.namespace,
            selector=place.selector,
            container=place.containers[0],
        )
        try:
            pages = Pods(self.job.staging).execute(selection, ("pilot-agent", "request", "GET", "memory"))
        except OperationError:
            return 0
        return max((read_allocated(page) for page in pages.values()), default=0)


def read_allocated(page: str) -> int:
    """Return the bytes that a proxy has allocated, from its admin page ``/memory``; 0 when it does not tell."""
    try:
        return int(json.loads(page[max(page.find("{"), 0) :])["allocated"])
    except (ValueError, KeyError, TypeError):
        return 0
