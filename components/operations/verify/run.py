"""One verification: calls (or a while of watching), the evidence of both clusters, and a verdict for each mirror."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from ...model import HeaderName, ValidationError
from ...model.checks import bounded, whole
from ..calls import MAX_CALLS, CallJob, CallResult, CallSummary
from ..cluster_objects import read_cluster
from ..kube import ClusterAccess
from ..outcome import Outcome
from .calling import HttpCall, connects, run_calls
from .causes import Diagnosis
from .diagnosis import MirrorVerdict, judge_mirror
from .observation import observe
from .request import Request
from .survey import Side, Survey
from .targets import Plan, choose_host, make_plan

QUIET_SECONDS: Final = 1.0
"""Counters that did not change for this long are final; copies follow their calls within milliseconds."""

SETTLE_SECONDS: Final = 20.0
"""Counters are taken as they are after this long."""

SKEW_SECONDS: Final = 5.0
"""Difference of clocks from which on it is worth a word."""

DAY_SECONDS: Final = 86_400.0
"""Longest time of watching: counters of proxies that restart meanwhile begin anew."""

MAX_RATE: Final = 100_000.0
"""Highest rate; one process makes a few thousand calls a second."""

Tell = Callable[[str], None]
"""Takes one line about what is being done."""


@dataclass(frozen=True, kw_only=True)
class VerifyJob:
    """What to verify.

    Raises:
        ValidationError: A value is out of its range.
    """

    staging: ClusterAccess
    """The cluster that owns the traffic."""

    testing: ClusterAccess | None = None
    """The cluster that gets copies; None to verify mirrors inside the first one only."""

    host: str = ""
    """Authority to call, without port; empty when one host only is mirrored."""

    address: str = ""
    """``host:port`` of the gateway; empty for its load balancer's."""

    calls: int = 200
    """Calls to make, 1 to 1,000,000; ignored when watching."""

    watch_seconds: float = 0.0
    """How long to watch the traffic that there is instead of making calls, at most a day; 0 to make calls."""

    rpc: str = "helloworld.Greeter/SayHello"
    """gRPC method to call; its request has a text as field 1."""

    http: HttpCall | None = None
    """What to request by plain HTTP instead."""

    headers: tuple[tuple[str, str], ...] = ()
    """Further headers that entries of the route ask for; names in lower case."""

    calls_per_second: float = 0.0
    """Rate at which calls start, 0 to 100,000; 0 means as fast as they are answered."""

    concurrency: int = 8
    """Calls in flight at most."""

    patience_seconds: float = 0.0
    """How long to wait, before the first call, until the sending proxies copy the shares that are wanted."""

    expected: Mapping[str, float] = field(default_factory=dict[str, float])
    """Shares that mirrors must have, in per cent by name; others are held against what the routes say."""

    def __post_init__(self) -> None:
        whole(self.calls, "calls", 1, MAX_CALLS)
        bounded(self.watch_seconds, "watch_seconds", 0, DAY_SECONDS, "seconds")
        bounded(self.calls_per_second, "calls_per_second", 0, MAX_RATE, "calls per second")
        for name, value in self.headers:
            _check_header(name, value)
        host, _, port = self.address.rpartition(":")
        if self.address and not (host and port.isdecimal()):
            raise ValidationError(
                field="address",
                value=self.address,
                rule="must be HOST:PORT",
                remedy="Write for example 127.0.0.1:8000, or [::1]:8000",
            )

    @property
    def request(self) -> Request:
        """The call as routes see it."""
        if self.http is not None:
            return Request(authority=self.host, path=self.http.path, method=self.http.method, headers=self.headers)
        return Request(authority=self.host, path=f"/{self.rpc}", headers=self.headers)


def _check_header(name: str, value: str) -> None:
    HeaderName(name, field="headers")
    if name.endswith("-bin") or not (value.isascii() and value.isprintable()):
        raise ValidationError(
            field="headers",
            value=name,
            rule="must have a value of printable ASCII characters, and be no binary one of gRPC (-bin)",
            remedy="Choose another header; its value is not shown here, as it may be a credential",
        )


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What came of it."""

    plan: Plan
    calls: CallSummary | None
    """What the client saw; None when traffic was watched."""

    mirrors: tuple[MirrorVerdict, ...]
    gaps: tuple[str, ...]
    """What could not be read, and why."""

    seconds: float

    calling_seconds: float = 0.0
    """How long calls were made, or traffic was watched."""

    in_flight: Mapping[str, int] = field(default_factory=dict[str, int])
    """Copies in flight when the last call had been answered, by mirror."""

    unreached: str = ""
    """The gateway's address where no connection to it can be made from here; empty otherwise."""

    @property
    def primary_fails(self) -> str:
        """Why calls were not answered; empty when all were, or when none came as far as the gateway."""
        if self.calls is None or not self.calls.failures or self.unreached:
            return ""
        return "; ".join(f"{count:,} calls failed ({what})" for what, count in self.calls.failures.items())

    @property
    def outcome(self) -> Outcome:
        """How the whole stands. Without a mirror or without calls nothing holds."""
        found = {verdict.outcome for verdict in self.mirrors}
        if Outcome.FAILS in found:
            return Outcome.FAILS
        if self.primary_fails:
            return Outcome.FAILS
        return Outcome.HOLDS if found == {Outcome.HOLDS} else Outcome.UNKNOWN

    @property
    def diagnoses(self) -> list[tuple[str, Diagnosis]]:
        """Everything that is wrong, with the mirror's name."""
        return [(each.facts.wanted.name, found) for each in self.mirrors for found in each.diagnoses]


def verify(job: VerifyJob, tell: Tell) -> VerifyReport:
    """Verify the mirrors of one host.

    Args:
        job: What to verify.
        tell: Told what is being done.

    Raises:
        ValidationError: The host is not clear, or has no mirror.
        OperationError: A cluster cannot be asked.
    """
    started = time.monotonic()
    tell("reading both clusters")
    staging, testing = _sides(job)
    host, source = choose_host(staging.objects, job.host)
    request = replace(job.request, authority=host)
    plan = _expecting(make_plan(staging.objects, testing.objects if testing else None, request, source), job.expected)
    survey = Survey(plan=plan, staging=staging, testing=testing)
    _check_clocks(survey)
    survey.await_shares(job.patience_seconds)
    before = survey.counts()
    if job.watch_seconds:
        tell(f"watching {host} for {job.watch_seconds:g} s")
        time.sleep(job.watch_seconds)
        summary, run_id, unreached, after = None, "", "", survey.counts()
        calling, in_flight = job.watch_seconds, after
    else:
        run_id = f"verify-{uuid.uuid4().hex[:12]}"
        begun = time.monotonic()
        address = _address(job, plan)
        tell(f"{job.calls:,} calls to {plan.request.authority} at {address}")
        summary = CallSummary.of(asyncio.run(_call(job, plan, run_id, address)))
        none_answered = sum(summary.failures.values()) == summary.total
        unreached = address if none_answered and not connects(address) else ""
        calling, in_flight = time.monotonic() - begun, survey.counts()
        tell("waiting for the copies")
        after = survey.settled(before, quiet_seconds=QUIET_SECONDS, timeout_seconds=SETTLE_SECONDS)
    tell("reading what proxies have")
    answered = summary.total - sum(summary.failures.values()) if summary else None
    observed = observe(survey, before, after, run_id=run_id, answered=answered)
    return VerifyReport(
        plan=plan,
        calls=summary,
        mirrors=tuple(judge_mirror(facts) for facts in observed.facts()),
        gaps=tuple(survey.gaps),
        seconds=time.monotonic() - started,
        calling_seconds=calling,
        in_flight={name: counters.active for name, counters in in_flight.mirrors.items()},
        unreached=unreached,
    )


def _sides(job: VerifyJob) -> tuple[Side, Side | None]:
    """Read both clusters at the same time; most of it is waiting."""
    with ThreadPoolExecutor(2) as pool:
        mine = pool.submit(read_cluster, job.staging)
        theirs = pool.submit(read_cluster, job.testing) if job.testing else None
        staging = Side.of(job.staging, mine.result().cluster)
        return staging, Side.of(job.testing, theirs.result().cluster) if job.testing and theirs else None


def _expecting(plan: Plan, expected: Mapping[str, float]) -> Plan:
    names = [target.wanted.name for target in plan.targets]
    for name in expected:
        if name not in names:
            raise ValidationError(
                field="--expect",
                value=name,
                rule=f"must name a mirror of {plan.route}; it has: {', '.join(names) or 'none'}",
                remedy="Check the name, or deploy the mirror first",
            )
    targets = tuple(
        replace(t, wanted=replace(t.wanted, percent=expected.get(t.wanted.name, t.wanted.percent)))
        for t in plan.targets
    )
    return replace(plan, targets=targets)


def _check_clocks(survey: Survey) -> None:
    """Note clocks that differ: certificates may not be valid yet on one side, and logs are read by time."""
    for side in (survey.staging, survey.testing):
        now = survey.attempt(side.pods.clock) if side else None
        if side and now and abs(skew := (now - datetime.now(UTC)).total_seconds()) > SKEW_SECONDS:
            survey.gaps.append(f"the clock of {side.access.name} differs by {skew:+.0f} s from this machine's")


def _address(job: VerifyJob, plan: Plan) -> str:
    """Where the gateway is called."""
    if not job.address and not plan.gateway.addresses:
        raise ValidationError(
            field="--gateway",
            value=None,
            rule=f"must be given, because the Service of {plan.gateway.name} has no address",
            remedy="Give HOST:PORT by which this machine reaches the gateway, e.g. of a port-forward",
        )
    return job.address or _joined(plan.gateway.addresses[0], plan.gateway.port)


async def _call(job: VerifyJob, plan: Plan, run_id: str, address: str) -> list[CallResult]:
    calls = CallJob(
        address=address,
        authority=plan.request.authority,
        run_id=run_id,
        count=job.calls,
        rpc=job.rpc,
        concurrency=job.concurrency,
        calls_per_second=job.calls_per_second,
        headers=dict(job.headers),
    )
    return [result async for result in run_calls(calls, job.http)]


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
