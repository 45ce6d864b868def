"""Does a mirror do what it should? Pure: what was planned and what was seen go in, a verdict comes out."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from ..model import JsonObject
from .calls import CallSummary
from .evidence import PRIMARY, Arrivals, Evidence, ProxyCounters
from .mirror_plan import MirrorPlan
from .outcome import Outcome
from .verify.access_log import NO_ROUTE
from .verify.diagnosis import share_cause
from .verify.facts import MirrorFacts, Receiver, Wanted

SIGMAS: Final = 3.0
"""Width of the band around an expected count, in standard deviations: a faithful mirror leaves it in 0.27 % of runs."""


PASSED_ON: Final = "via_upstream"
"""Details of an answer that came from behind a gateway. Source: Envoy's response code details."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim about a run."""

    subject: str
    """Whom it is about: ``"primary"`` or a mirror's name."""

    title: str
    """What is claimed, e.g. ``"gets its share"``."""

    expected: str
    """What must be seen."""

    seen: str
    """What was seen."""

    outcome: Outcome
    """How it stands."""

    cause: str = ""
    """The most likely cause of a failure; empty when there is none."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Counts that a share allows."""

    low: int
    """Smallest allowed count."""

    high: int
    """Largest allowed count."""

    @classmethod
    def of(cls, calls: int, percent: float) -> "Band":
        """Return the band of ``calls`` calls of which ``percent`` per cent are copied: exact at 0 and 100.

        Args:
            calls: Number of calls, >= 0.
            percent: Share, 0 to 100.
        """
        share = percent / 100
        expected = calls * share
        width = SIGMAS * math.sqrt(calls * share * (1 - share))
        return cls(low=max(0, math.ceil(expected - width)), high=min(calls, math.floor(expected + width)))

    def __contains__(self, count: int) -> bool:
        """Whether the count is allowed."""
        return self.low <= count <= self.high

    def __str__(self) -> str:
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All checks of a run."""

    checks: tuple[Check, ...]
    """In the order in which they are best read."""

    @property
    def outcome(self) -> Outcome:
        """FAILS if any check fails, else UNKNOWN if any is or none was made, else HOLDS."""
        outcomes = {check.outcome for check in self.checks}
        if Outcome.FAILS in outcomes:
            return Outcome.FAILS
        return Outcome.HOLDS if outcomes == {Outcome.HOLDS} else Outcome.UNKNOWN

    @property
    def causes(self) -> tuple[str, ...]:
        """The likely causes of all failures, without repeats."""
        return tuple(dict.fromkeys(check.cause for check in self.checks if check.cause))

    def to_json(self) -> JsonObject:
        """Return the verdict as a JSON object."""
        return {"outcome": self.outcome, "causes": list(self.causes), "checks": [asdict(c) for c in self.checks]}


def judge(*, version: str, mirrors: Sequence[MirrorPlan], calls: CallSummary, evidence: Evidence) -> Verdict:
    """Hold what was seen against what was planned.

    Args:
        version: Version that must answer every call.
        mirrors: What each mirror should get.
        calls: What the client saw.
        evidence: What both clusters saw.
    """
    checks = _primary_checks(version, calls, evidence.arrivals.get(PRIMARY, Arrivals()))
    for plan in mirrors:
        checks += _mirror_checks(plan, calls, evidence)
    return Verdict(checks=tuple(checks))


def _primary_checks(version: str, calls: CallSummary, arrivals: Arrivals) -> list[Check]:
    answered = calls.answered_by.get(version, 0)
    others = {who or "an unknown version": n for who, n in calls.answered_by.items() if who != version}
    seen = [f"{answered:,} by {version}", *(f"{n:,} by {who}" for who, n in others.items())]
    seen += [f"{count:,} failed ({what})" for what, count in calls.failures.items()]
    return [
        Check(
            subject=PRIMARY,
            title=f"{version} answers every call",
            expected=f"{calls.total:,} answers by {version}",
            seen=", ".join(seen),
            outcome=_outcome(answered == calls.total, known=calls.total > 0),
            cause=_primary_cause(version, calls, answered),
        ),
        Check(
            subject=PRIMARY,
            title="gets each call once, unmarked",
            expected=f"{calls.total:,} calls, no mark",
            seen=f"{arrivals.calls:,} calls, {arrivals.repeats:,} repeats, {_unmarked(arrivals)}",
            outcome=_outcome(
                arrivals.calls == answered and not arrivals.repeats and set(arrivals.marks) <= {""},
                known=calls.total > 0 and arrivals.calls > 0,
            ),
        ),
    ]


def _mirror_checks(plan: MirrorPlan, calls: CallSummary, evidence: Evidence) -> list[Check]:
    arrivals = evidence.arrivals.get(plan.name, Arrivals())
    band = Band.of(calls.total, plan.percent)
    shared = arrivals.calls in band
    checks = [
        Check(
            subject=plan.name,
            title=f"gets {plan.percent:g} % of the calls",
            expected=str(band),
            seen=f"{arrivals.calls:,}",
            outcome=_outcome(shared, known=calls.total > 0 and plan.name in evidence.arrivals),
            cause="" if shared else share_cause(_facts(plan, calls.total, evidence)).detail,
        ),
        Check(
            subject=plan.name,
            title="gets no call twice",
            expected="no repeats",
            seen=f"{arrivals.repeats:,} repeats",
            outcome=_outcome(not arrivals.repeats, known=arrivals.calls > 0 or plan.percent == 0),
            cause="two routes or proxies copy the same request, or a mirror mirrors back" if arrivals.repeats else "",
        ),
    ]
    if plan.percent > 0:
        checks += _content_checks(plan, arrivals)
    return checks


def _facts(plan: MirrorPlan, calls: int, evidence: Evidence) -> MirrorFacts:
    """Everything that is known of a mirror, as the diagnosis wants it: routes of proxies are not read here."""
    arrivals = evidence.arrivals.get(plan.name, Arrivals())
    return MirrorFacts(
        wanted=Wanted(
            name=plan.name, cluster="", percent=plan.percent, across=plan.receiver_cluster != plan.sender_cluster
        ),
        calls=calls,
        copies=arrivals.calls,
        refusals=evidence.rejects.get(plan.sender_cluster, 0),
        counters=(counters := evidence.proxies.get(plan.name)),
        earlier=evidence.warm_up_proxies.get(plan.name, ProxyCounters()),
        peak=counters.active if counters else 0,
        authority=plan.authorities[0],
        receiver=_receiver(evidence.gateway_answers.get(plan.name), evidence.warm_up_answers.get(plan.name, {})),
        arrivals=arrivals,
    )


def _receiver(answers: Mapping[str, int] | None, earlier: Mapping[str, int]) -> Receiver | None:
    """What the receiving gateway answered, in the run and where it refused copies before: it may get none since."""
    if answers is None and not earlier:
        return None
    failed = Counter({answer: count for answer, count in (answers or {}).items() if not answer.endswith(PASSED_ON)})
    failed.update({answer: count for answer, count in earlier.items() if not answer.endswith(PASSED_ON)})
    unrouted = {answer for answer in failed if NO_ROUTE in answer}
    return Receiver(
        answers=answers,
        unrouted=sum(failed[answer] for answer in unrouted),
        stopped={answer: count for answer, count in failed.most_common() if answer not in unrouted},
    )


def _content_checks(plan: MirrorPlan, arrivals: Arrivals) -> list[Check]:
    """Check what the copies look like; nothing can be told without one."""
    strange = [authority for authority in arrivals.authorities if authority not in plan.authorities]
    lines = arrivals.calls + arrivals.repeats
    marked = arrivals.marks.get(plan.mark, 0)
    checks = [
        Check(
            subject=plan.name,
            title="sees the clients' authority",
            expected=f"{plan.authorities[0]}{', or suffixed' if len(plan.authorities) > 1 else ''}",
            seen=_counts(arrivals.authorities) or "no copy",
            outcome=_outcome(not strange, known=lines > 0),
            cause=f"a route or proxy rewrites the authority to {strange[0]!r}" if strange else "",
        )
    ]
    if plan.is_scrubbed:
        checks += [
            Check(
                subject=plan.name,
                title="gets no credential",
                expected="none",
                seen=_counts(arrivals.credentials) or ("none" if lines else "no copy"),
                outcome=_outcome(not arrivals.credentials, known=lines > 0),
                cause="the scrub is not in the sending proxy's route" if arrivals.credentials else "",
            ),
            Check(
                subject=plan.name,
                title="is marked as a mirror",
                expected=f"{plan.mark!r} on every copy",
                seen=f"{marked:,} of {lines:,}" if lines else "no copy",
                outcome=_outcome(marked == lines, known=lines > 0),
                cause=""
                if marked == lines
                else "the mark is not in the sending proxy's route, or real requests reach the mirror",
            ),
        ]
    return checks


def _primary_cause(version: str, calls: CallSummary, answered: int) -> str:
    if answered == calls.total:
        return ""
    if calls.failures:
        return f"the gateway or the primary fails: {next(iter(calls.failures))}"
    return f"the route does not send every call to {version}"


def _outcome(holds: bool, *, known: bool = True) -> Outcome:
    if not known:
        return Outcome.UNKNOWN
    return Outcome.HOLDS if holds else Outcome.FAILS


def _unmarked(arrivals: Arrivals) -> str:
    marked = sum(count for mark, count in arrivals.marks.items() if mark)
    return f"{marked:,} marked" if marked else "no mark"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'none'} ({count:,})" for name, count in counts.items())
