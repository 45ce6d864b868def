"""The calls of a run, and the warm-up before them."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from ..calls import CallJob, CallResult, CallSummary, make_calls
from .http_call import HttpCall, make_http_calls
from .job import VerifyJob
from .plan import Plan
from .survey import POLL_SECONDS, Survey

CONNECT_SECONDS: Final = 5.0
"""A connection that takes longer is of no use to a client; as long as the bound on a call."""

SURE_COPIES: Final = 20
"""Copies expected of a warm-up batch: that none of them comes by chance has probability e**-20."""

SMALLEST_BATCH: Final = 20
LARGEST_BATCH: Final = 400

PROGRESS_SECONDS: Final = 5.0
"""Time between two reports of progress; most runs end before the first."""

Tell = Callable[[str], None]
"""Takes one line about what is being done."""


def run_calls(job: CallJob, http: HttpCall | None) -> AsyncIterator[CallResult]:
    """Make the calls and yield their results as they come.

    Args:
        job: Where to, how often, how fast.
        http: What to request by HTTP; None to call :attr:`CallJob.rpc` by gRPC.
    """
    return make_calls(job) if http is None else make_http_calls(job, http)


async def call_gateway(job: CallJob, http: HttpCall | None, tell: Tell) -> list[CallResult]:
    """Make the calls and return their results.

    Args:
        job: Where to, how often, how fast.
        http: As for :func:`run_calls`.
        tell: Told now and then how far it is.
    """
    collected: list[CallResult] = []
    reported = time.monotonic()
    async for result in run_calls(job, http):
        collected.append(result)
        if time.monotonic() - reported >= PROGRESS_SECONDS:
            reported = time.monotonic()
            tell(f"{len(collected):,} of {job.count:,} calls")
    return collected


def connects(address: str) -> bool:
    """Whether a connection can be made from this machine.

    Args:
        address: ``host:port``; an IPv6 address in brackets.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def batch_size(plan: Plan) -> int:
    """How many calls every mirror gets copies of all but certainly, as far as that is bearable."""
    shares = [target.wanted.percent / 100 for target in plan.targets if target.wanted.percent > 0]
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, math.ceil(SURE_COPIES / min(shares, default=1))))


def warm_up(calls: CallJob, job: VerifyJob, survey: Survey, runner: asyncio.Runner, tell: Tell) -> tuple[str, ...]:
    """Call until primary and mirrors work, or until the time is over: the calls that count then show what does not.

    Configuration reaches proxies some time after it was accepted, and only its effect tells when all of it has.

    Args:
        calls: The calls that count; those of the warm-up are like them, in batches.
        job: Bounds the time.
        survey: Looks at the clusters.
        runner: Runs the calls.
        tell: Told what is waited for.

    Returns:
        Tags of the calls that were made.
    """
    tags: list[str] = []
    version = job.version or survey.plan.version
    batch = batch_size(survey.plan)
    deadline = time.monotonic() + job.warm_up_seconds
    waiting_for = "the route"
    while waiting_for and time.monotonic() < deadline:
        tell(f"warm-up, waiting for {waiting_for}")
        tags.append(f"warm{len(tags) + 1}-{calls.run_id}"[:40])
        before = survey.counts()
        again = replace(calls, run_id=tags[-1], count=batch)
        summary = CallSummary.of(runner.run(call_gateway(again, job.http, lambda _: None)))
        # An application that names no version cannot be held against one, unless it must.
        own = {version} if job.version else {version, ""}
        if summary.answered < batch or (version and set(summary.answered_by) - own):
            waiting_for = f"answers by {version or 'the primary'}"
        else:
            copies = {name: each.since(before.mirrors[name]).total for name, each in survey.counts().mirrors.items()}
            waiting_for = _missing(survey, tags[-1], batch, copies)
        if waiting_for:
            time.sleep(POLL_SECONDS)
    return tuple(tags)


def _missing(survey: Survey, tag: str, batch: int, sent: dict[str, int]) -> str:
    """Return what a batch of the warm-up still lacks, or an empty text."""
    logged = survey.logged(tag)
    for target in survey.plan.targets:
        wanted = target.wanted
        seen = logged.get(wanted.name)
        copies = sent[wanted.name] if seen is None else seen.calls
        if batch * wanted.percent / 100 >= SURE_COPIES and not copies:
            return f"copies at {wanted.name}"
        if seen is not None and wanted.mark is not None and (seen.credentials or set(seen.marks) - {wanted.mark[1]}):
            return f"scrubbed copies at {wanted.name}"
    return ""
