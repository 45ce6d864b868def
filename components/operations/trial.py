"""One trial of a mirror: tagged calls through a gateway, and the evidence of what became of them.

A trial runs in one process, because its place (a network namespace) costs more to enter than it does to stay in.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .calls import CallJob, CallResult, CallSummary, make_calls
from .errors import OperationError
from .evidence import PRIMARY, Arrivals, Evidence
from .jobs import Wrap, Write, run_child, serve_job, unwrapped
from .mirror_plan import MirrorPlan
from .witness import POLL_SECONDS, Witness, WitnessJob

SURE_COPIES = 20
"""Copies expected of a warm-up batch: that none of them comes by chance has probability e**-20."""

SMALLEST_BATCH = 20
LARGEST_BATCH = 400
PROGRESS_SECONDS = 5.0
"""Time between two reports of progress; most trials end before the first."""

Report = Callable[[str], None]
"""Takes one line about what is being done."""


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """A trial."""

    calls: CallJob
    """The calls that count."""

    witness: WitnessJob
    """Where evidence lies."""

    version: str
    """Version that answers."""

    mirrors: tuple[MirrorPlan, ...]
    """What each mirror should get; their names are those in :attr:`witness`."""

    warm_up_seconds: float = 30.0
    """Bound on waiting until the route and its mirrors work; 0 skips the warm-up. Calls of it do not count."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "TrialJob":
        """Read what :func:`dataclasses.asdict` wrote."""
        return cls(
            calls=CallJob(**raw["calls"]),
            witness=WitnessJob.from_json(raw["witness"]),
            version=raw["version"],
            mirrors=tuple(MirrorPlan.from_json(plan) for plan in raw["mirrors"]),
            warm_up_seconds=raw["warm_up_seconds"],
        )

    def complete(self, calls: int) -> dict[str, int]:
        """Return how many calls each workload logs at most; then there is nothing more to wait for."""
        return {PRIMARY: calls} | {plan.name: calls if plan.percent else 0 for plan in self.mirrors}


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What came of a trial."""

    calls: CallSummary
    """What the client saw."""

    evidence: Evidence
    """What both clusters saw."""


def run_trial(job: TrialJob, report: Report) -> TrialResult:
    """Run a trial in this process.

    Args:
        job: The trial.
        report: Told what is being done.

    Raises:
        OperationError: Evidence cannot be read.
    """
    witness = Witness(job.witness)
    with asyncio.Runner() as runner:
        earliest = witness.baseline() if job.warm_up_seconds else None
        warm_up_ids = _warm_up(job, witness, runner, report)
        before = witness.baseline()
        report(f"{job.calls.count:,} calls to {job.calls.authority}")
        results = runner.run(_collect(make_calls(job.calls), job.calls.count, report))
    report("evidence")
    evidence = witness.evidence(
        job.calls.run_id,
        job.complete(job.calls.count),
        before,
        earliest=earliest,
        warm_up_ids=warm_up_ids,
    )
    return TrialResult(calls=CallSummary.of(results), evidence=evidence)


async def _collect(results: AsyncIterator[CallResult], count: int, report: Report) -> list[CallResult]:
    collected: list[CallResult] = []
    reported = time.monotonic()
    async for result in results:
        collected.append(result)
        if time.monotonic() - reported >= PROGRESS_SECONDS:
            reported = time.monotonic()
            report(f"{len(collected):,} of {count:,} calls")
    return collected


def _warm_up(job: TrialJob, witness: Witness, runner: asyncio.Runner, report: Report) -> list[str]:
    """Call until route and mirrors work, or until the time is over: the trial then shows what does not work.

    Configuration reaches proxies some time after it was accepted, and nothing else tells when all of it has.

    Returns:
        Tags of the calls that were made.
    """
    tags: list[str] = []
    shares = [plan.percent / 100 for plan in job.mirrors if plan.percent]
    batch = min(LARGEST_BATCH, max(SMALLEST_BATCH, math.ceil(SURE_COPIES / min(shares, default=1))))
    deadline = time.monotonic() + job.warm_up_seconds
    waiting_for = "the route"
    while waiting_for and time.monotonic() < deadline:
        report(f"warm-up, waiting for {waiting_for}")
        tags.append(f"warm{len(tags) + 1}-{job.calls.run_id}"[:40])
        calls = replace(job.calls, run_id=tags[-1], count=batch)
        summary = CallSummary.of(runner.run(_collect(make_calls(calls), batch, lambda _: None)))
        if summary.answered_by != {job.version: batch}:
            waiting_for = f"answers by {job.version}"
        else:
            waiting_for = _missing(job.mirrors, batch, witness.arrivals(calls.run_id))
        if waiting_for:
            time.sleep(POLL_SECONDS)
    return tags


def _missing(mirrors: Sequence[MirrorPlan], batch: int, arrivals: Mapping[str, Arrivals]) -> str:
    """Return what a batch of the warm-up still lacks, or an empty text."""
    for plan in mirrors:
        seen = arrivals[plan.name]
        if batch * plan.percent / 100 >= SURE_COPIES and not seen.calls:
            return f"copies at {plan.name}"
        if plan.is_scrubbed and (seen.credentials or set(seen.marks) - {plan.mark}):
            return f"scrubbed copies at {plan.name}"
    return ""


def trial_in_child(
    job: TrialJob, report: Report, *, wrap: Wrap = unwrapped, timeout_seconds: float = 300
) -> TrialResult:
    """Run a trial in a child process.

    Args:
        job: The trial.
        report: Told what is being done.
        wrap: Where the child runs, e.g. in a network namespace.
        timeout_seconds: Bound on the whole trial, > 0.

    Raises:
        OperationError: Evidence cannot be read, or the child failed.
    """
    result: TrialResult | None = None
    for answer in run_child("trial", asdict(job), wrap=wrap, timeout_seconds=timeout_seconds):
        raw: dict[str, Any] = dict(answer)
        if "progress" in raw:
            report(raw["progress"])
        else:
            calls = CallSummary(**raw["calls"])
            result = TrialResult(calls=calls, evidence=Evidence.from_json(raw["evidence"]))
    if result is None:
        raise OperationError("The trial ended without a result", remedy="Try again")
    return result


def _work(raw: dict[str, Any], write: Write) -> None:
    result = run_trial(TrialJob.from_json(raw), lambda line: write({"progress": line}))
    write({"calls": result.calls.to_json(), "evidence": result.evidence.to_json()})


if __name__ == "__main__":
    sys.exit(serve_job(_work))
