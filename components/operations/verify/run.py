"""One verification: calls (or a while of watching), the evidence of all clusters, and a verdict on each subject."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from ...model import ValidationError
from ...model.rules import ClusterObjects
from ..calls import CallSummary
from ..cluster_objects import read_cluster
from ..kube import ClusterAccess
from .calling import call_gateway, connects, warm_up
from .claims import MirrorVerdict, Verdict, judge_mirror, judge_primary
from .evidence import PRIMARY
from .facts import PrimaryFacts
from .inside import choose_inside, make_inside_plan
from .job import VerifyJob
from .observation import Observation, Run, observe
from .places import Workload
from .plan import Plan, Target, address_of, choose_host, expecting, make_plan
from .report import Phase, Report, Subject
from .shares import beta_functions
from .survey import Side, Survey
from .witnesses import Witnessed, kinds, make_witnesses

QUIET_SECONDS: Final = 1.0
"""Counters that did not change for this long are final; copies follow their calls within milliseconds."""

SETTLE_SECONDS: Final = 20.0
"""Counters are taken as they are after this long."""

SKEW_SECONDS: Final = 5.0
"""Difference of clocks from which on it is worth a word."""

Tell = Callable[[str], None]
"""Takes one line about what is being done."""


@dataclass
class _Watch:
    """Measures the steps of a verification."""

    tell: Tell
    phases: list[Phase] = field(default_factory=list[Phase])
    _started: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        before = time.monotonic()
        self.tell(name)
        yield
        seconds = time.monotonic() - before
        self.phases.append(Phase(name=name, seconds=seconds, start_seconds=before - self._started))


@dataclass(frozen=True, kw_only=True)
class _Called:
    """What was done, and what the client saw of it."""

    run: Run
    summary: CallSummary | None
    address: str
    seconds: float
    in_flight: Mapping[str, int]
    unreached: str = ""


def verify(job: VerifyJob, tell: Tell) -> Report:
    """Verify the mirrors of one host.

    Args:
        job: What to verify.
        tell: Told what is being done.

    Raises:
        ValidationError: The host is not clear, or has no mirror.
        OperationError: A cluster cannot be asked.
    """
    started = datetime.now(tz=UTC)
    watch = _Watch(tell)
    with watch.step("reading the clusters"):
        sides = _sides(job)
        sender, *receivers = sides.values()
        plan = expecting(_plan(job, sender.objects, [each.objects for each in receivers]), job.expected)
        survey = Survey(plan=plan, sides=sides)
        _check_clocks(survey)
        survey.await_shares(job.patience_seconds)
    called = _watch_traffic(job, survey, watch) if job.watch_seconds else _make_calls(job, survey, watch)
    with watch.step("reading what proxies have"):
        observed = observe(survey, called.run)
        memory = _memory(survey)
    return Report(
        title="Verification",
        started=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        route=plan.route,
        sender=plan.sender,
        authority=plan.request.authority,
        path=plan.request.path,
        gateway=called.address or plan.gateway.name,
        calls=called.summary,
        subjects=tuple(_subjects(job, observed, called)),
        gaps=(*survey.gaps, *observed.strangers),
        unreached=called.unreached,
        calling_seconds=called.seconds,
        in_flight=called.in_flight,
        primary_counters=called.run.after.primary.since(called.run.before.primary),
        memory_bytes=memory,
        phases=tuple(watch.phases),
    )


def _plan(job: VerifyJob, staging: ClusterObjects, receiving: Sequence[ClusterObjects]) -> Plan:
    place = choose_inside(staging, job.host)
    if place is None:
        host, source = choose_host(staging, job.host, job.request)
        return make_plan(staging, receiving, replace(job.request, authority=host), source)
    if not job.watch_seconds:
        raise ValidationError(
            field="--watch",
            value=job.watch_seconds,
            rule=f"must be given for {place.authority}, which is mirrored inside the mesh: its callers make the calls",
            remedy="Write for example --watch 30 while they do",
        )
    return make_inside_plan(staging, receiving, job.request, place)


def _watch_traffic(job: VerifyJob, survey: Survey, watch: _Watch) -> _Called:
    with watch.step(f"watching {survey.plan.request.host} for {job.watch_seconds:g} s"):
        before = survey.counts()
        time.sleep(job.watch_seconds)
        after = survey.counts()
    in_flight = {name: counters.active for name, counters in after.mirrors.items()}
    run = Run(before=before, after=after)
    return _Called(run=run, summary=None, address="", seconds=job.watch_seconds, in_flight=in_flight)


def _make_calls(job: VerifyJob, survey: Survey, watch: _Watch) -> _Called:
    plan = survey.plan
    tag = f"verify-{uuid.uuid4().hex[:12]}"
    address = job.address or address_of(plan)
    calls = job.calls_to(address, plan.request.authority, tag)
    with asyncio.Runner() as runner:
        earliest, tags = None, ()
        if job.warm_up_seconds:
            with watch.step("warm-up"):
                earliest = survey.counts()
                tags = warm_up(calls, job, survey, runner, watch.tell)
        with watch.step(f"{job.calls:,} calls to {plan.request.authority} at {address}"):
            before = survey.counts()
            begun = time.monotonic()
            summary = CallSummary.of(runner.run(call_gateway(calls, job.http, watch.tell)))
            seconds = time.monotonic() - begun
            in_flight = {name: counters.active for name, counters in survey.counts().mirrors.items()}
    unreached = address if not summary.answered and not connects(address) else ""
    with watch.step("waiting for the copies"), ThreadPoolExecutor(1) as pool:
        pool.submit(beta_functions)
        after = survey.settled(before, quiet_seconds=QUIET_SECONDS, timeout_seconds=SETTLE_SECONDS)
    witnessed: tuple[Witnessed, ...] = ()
    if not unreached and any(kinds(plan, posts=job.posts)):
        with watch.step("requests that must not be copied"), asyncio.Runner() as runner:
            witnessed = make_witnesses(calls, job, survey, runner)
    run = Run(
        before=before,
        after=after,
        tag=tag,
        witnessed=witnessed,
        warm_up=tuple(tags),
        earliest=earliest,
        answered=summary.answered,
        failed=0 if unreached else summary.total - summary.answered,
    )
    return _Called(run=run, summary=summary, address=address, seconds=seconds, in_flight=in_flight, unreached=unreached)


def _subjects(job: VerifyJob, observed: Observation, called: _Called) -> Generator[Subject]:
    if called.summary is not None:
        # Only an application that names versions can be held against one.
        named = any(called.summary.answered_by)
        arrivals = observed.arrivals.get(PRIMARY)
        facts = PrimaryFacts(
            calls=called.summary,
            version=job.version or (observed.plan.version if named else ""),
            arrivals=arrivals,
            logs_calls=bool(job.version),
            unreached=called.unreached,
        )
        yield _primary(facts, judge_primary(facts), observed.plan)
    targets = {target.wanted.name: target for target in observed.plan.targets}
    for verdict in map(judge_mirror, observed.facts()):
        yield _mirror(verdict, targets[verdict.facts.wanted.name])


def _primary(facts: PrimaryFacts, verdict: Verdict, plan: Plan) -> Subject:
    return Subject(
        name=PRIMARY,
        label=facts.version or _name(plan.workload) or "the primary",
        cluster=plan.sender,
        outcome=verdict.outcome,
        claims=verdict.claims,
        causes=verdict.causes,
        calls=facts.calls.total,
        copies=facts.calls.answered_by.get(facts.version, 0) if facts.version else facts.calls.answered,
        source="answers to the client",
        arrivals=facts.arrivals,
    )


def _mirror(verdict: MirrorVerdict, target: Target) -> Subject:
    facts = verdict.facts
    receiver = facts.receiver
    return Subject(
        name=facts.wanted.name,
        label=_name(target.workload) or facts.wanted.name,
        cluster=facts.wanted.receiver,
        outcome=verdict.outcome,
        claims=verdict.claims,
        causes=verdict.causes,
        percent=float(facts.wanted.percent),
        calls=facts.calls,
        copies=facts.copies,
        share=(verdict.share.low, verdict.share.high),
        source=facts.source.value,
        endpoints=facts.endpoints,
        counters=facts.counters,
        arrivals=facts.arrivals,
        answers=dict(receiver.answers) if receiver and receiver.answers is not None else None,
    )


def _name(workload: Workload | None) -> str:
    """Name and version of a workload by their customary labels; empty where it has none."""
    given = dict(workload.labels) if workload else {}
    name = given.get("app.kubernetes.io/name") or given.get("app", "")
    return f"{name} {given.get('version', '')}".strip() if name else ""


def _sides(job: VerifyJob) -> dict[str, Side]:
    """Read all clusters at the same time; most of it is waiting."""
    accesses = (job.staging, *job.receiving)

    def side(access: ClusterAccess) -> Side:
        return Side.of(access, read_cluster(access, job.behaviour(access.name)).cluster)

    with ThreadPoolExecutor(len(accesses)) as pool:
        return {found.access.name: found for found in pool.map(side, accesses)}


def _check_clocks(survey: Survey) -> None:
    """Note clocks that differ: certificates may not be valid yet on one side, and logs are read by time."""
    for side in survey.sides.values():
        now = survey.attempt(side.pods.clock)
        if now and abs(skew := (now - datetime.now(UTC)).total_seconds()) > SKEW_SECONDS:
            survey.gaps.append(f"the clock of {side.access.name} differs by {skew:+.0f} s from this machine's")


def _memory(survey: Survey) -> int:
    """Memory that the busiest sending proxy has allocated; 0 where that cannot be asked."""
    pages = survey.attempt(lambda: survey.ask_senders("/memory")) or []
    return max(map(read_allocated, pages), default=0)


def read_allocated(page: str) -> int:
    """Return the bytes that a proxy has allocated, from its admin page ``/memory``; 0 when it does not tell."""
    try:
        return int(json.loads(page[max(page.find("{"), 0) :])["allocated"])
    except (ValueError, KeyError, TypeError):
        return 0
