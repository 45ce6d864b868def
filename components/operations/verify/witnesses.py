"""Requests of which an overlay's mirrors must get no copy, made beside the calls: what they are, and who got them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ...model.rules.aiming import holds
from ...model.safety import Scrub
from ..calls import CallJob, CallSummary
from .calling import batch_size, call_gateway
from .http_call import HttpCall
from .job import VerifyJob
from .plan import Plan
from .proxy import MirrorPolicy
from .request import Request
from .survey import POLL_SECONDS, Counts, Survey

SETTLE_SECONDS: Final = 10.0
"""Counters are taken as they are after this long."""

MARKED: Final = "marked as copies"
FORGED: Final = "aimed by the client"
POSTED: Final = "posts"


@dataclass(frozen=True, kw_only=True)
class WitnessKind:
    """Requests of one kind."""

    name: str
    """For people."""

    tag: str
    """What their own tag begins with."""

    headers: tuple[tuple[str, str], ...] = ()
    """What they carry beside what the calls do."""

    method: str = ""
    """Their method; empty for that of the calls."""


@dataclass(frozen=True, kw_only=True)
class Witnessed:
    """Requests of one kind that were made."""

    name: str
    tag: str
    """Their tag."""

    calls: int
    """How many were answered."""

    before: Counts
    after: Counts


def kinds(plan: Plan, *, posts: bool) -> Iterator[WitnessKind]:
    """Yield what must not be copied; nothing where no overlay mirrors.

    Args:
        plan: What is verified.
        posts: Whether the primary may be posted to.
    """
    hung = [target.wanted for target in plan.targets if target.wanted.hung is not None and target.wanted.percent > 0]
    if not hung:
        return
    marks = {each.mark for each in hung if each.mark is not None} or {(Scrub().mark_header, Scrub().mark_value)}
    marked = tuple(sorted((str(name), value) for name, value in marks))
    yield WitnessKind(name=MARKED, tag="marked", headers=marked)
    # The mark keeps the condition from holding, so that only the client's own header could aim a copy.
    aims = tuple((each.hung.header, each.cluster) for each in hung if each.hung is not None and each.hung.header)
    if aims:
        yield WitnessKind(name=FORGED, tag="forged", headers=(*marked, *aims))
    if posts and not plan.request.is_grpc:
        yield WitnessKind(name=POSTED, tag="posted", method="POST")


def copied_by(policy: MirrorPolicy, kind: WitnessKind, request: Request) -> bool | None:
    """Whether a proxy's route copies requests of a kind; None where that cannot be read.

    Args:
        policy: The mirror on the route.
        kind: What is asked for.
        request: The call that such requests are like.
    """
    own = replace(request, method=kind.method or request.method, headers=(*request.headers, *kind.headers))
    taken = holds(policy.condition, own.asked) if policy.condition else None
    return True if kind.name == FORGED and policy.forgeable else taken


def make_witnesses(calls: CallJob, job: VerifyJob, survey: Survey, runner: asyncio.Runner) -> tuple[Witnessed, ...]:
    """Make the requests, one kind after the other.

    Args:
        calls: The calls that count, which these are like.
        job: What was asked for.
        survey: Looks at the clusters.
        runner: Runs the calls.

    Raises:
        OperationError: The sending gateway cannot be asked.
    """
    found: list[Witnessed] = []
    for kind in kinds(survey.plan, posts=job.posts):
        tag = f"{kind.tag}-{calls.run_id}"[:40]
        # No more than the calls that were asked for, whatever a small share would take.
        count = min(batch_size(survey.plan), job.calls)
        own = replace(calls, run_id=tag, count=count, headers={**calls.headers, **dict(kind.headers)})
        http = job.http and HttpCall(method=kind.method or job.http.method, path=job.http.path)
        before = found[-1].after if found else survey.counts()
        summary = CallSummary.of(runner.run(call_gateway(own, http, lambda _: None)))
        after = survey.settled(before, quiet_seconds=POLL_SECONDS, timeout_seconds=SETTLE_SECONDS)
        found.append(Witnessed(name=kind.name, tag=tag, calls=summary.answered, before=before, after=after))
    return tuple(found)
