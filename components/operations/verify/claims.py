"""What a run claims of its primary and of each mirror, and how each claim stands. Pure: nothing else judges."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from ..outcome import Outcome
from .causes import Cause, Diagnosis
from .diagnosis import expected_authority, find_causes, policy_of, share_fits
from .evidence import PRIMARY
from .facts import MirrorFacts, PrimaryFacts, Source
from .shares import Interval, band, interval, telling_calls


@unique
class Topic(StrEnum):
    """What a claim is about."""

    SHARE = "share"
    CONFIGURED = "configured"
    REACHED = "reached"
    ANSWERED = "answered"
    ONCE = "once"
    LEFT_ALONE = "left alone"
    AUTHORITY = "authority"
    CREDENTIALS = "credentials"
    MARK = "mark"


_CONFIGURED: Final = (
    Cause.FROZEN,
    Cause.REJECTED,
    Cause.NO_ROUTE,
    Cause.OTHER_ROUTE,
    Cause.NO_POLICY,
    Cause.NOT_EVERYWHERE,
    Cause.OTHER_PERCENT,
    Cause.NO_BRAKES,
    Cause.CLUSTER_MISSING,
    Cause.WRONG_PROTOCOL,
)
_REACHED: Final = (
    Cause.NO_ENDPOINTS,
    Cause.TLS,
    Cause.CONNECT,
    Cause.NOT_ACCEPTED,
    Cause.NOBODY_REACHED,
    Cause.LOST_BEHIND_GATEWAY,
    Cause.OVERFLOW,
    Cause.EJECTED,
)
_TOPICS: Final[Mapping[Cause, Topic]] = {
    **dict.fromkeys((Cause.NO_CALLS, Cause.TOO_FEW_CALLS, Cause.TOO_MANY, Cause.PERCENTAGE_NOT_MET), Topic.SHARE),
    **dict.fromkeys(_CONFIGURED, Topic.CONFIGURED),
    **dict.fromkeys(_REACHED, Topic.REACHED),
    **dict.fromkeys((Cause.TIMEOUT, Cause.UNANSWERED, Cause.ERRORS), Topic.ANSWERED),
    Cause.REPEATED: Topic.ONCE,
    Cause.COPIES_OTHERS: Topic.LEFT_ALONE,
    Cause.OTHER_AUTHORITY: Topic.AUTHORITY,
    Cause.CREDENTIALS_SEEN: Topic.CREDENTIALS,
    Cause.MARK_MISSING: Topic.MARK,
}
"""Which claim each cause speaks against."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim about a run."""

    subject: str
    """Whom it is about: ``"primary"`` or a mirror's name."""

    title: str
    """What is claimed, e.g. ``"gets no call twice"``."""

    expected: str
    """What must be seen."""

    seen: str
    """What was seen."""

    outcome: Outcome
    """How it stands."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All claims about one subject."""

    claims: tuple[Claim, ...]
    """In the order in which they are best read."""

    causes: tuple[Diagnosis, ...] = ()
    """What is wrong, or why it cannot be told; the likeliest first."""

    @property
    def outcome(self) -> Outcome:
        """How the subject stands; without any claim nothing can be told."""
        return worst(claim.outcome for claim in self.claims)


@dataclass(frozen=True, kw_only=True)
class MirrorVerdict(Verdict):
    """What became of one mirror."""

    facts: MirrorFacts
    share: Interval
    """Shares that the count is compatible with."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return FAILS if any fails, else UNKNOWN if any is or there is none, else HOLDS."""
    found = set(outcomes)
    if Outcome.FAILS in found:
        return Outcome.FAILS
    return Outcome.HOLDS if found == {Outcome.HOLDS} else Outcome.UNKNOWN


def judge_primary(facts: PrimaryFacts) -> Verdict:
    """Hold what clients and the primary saw against what mirroring promises: that nobody notices it.

    Args:
        facts: What was seen.
    """
    if facts.unreached:
        detail = f"no connection to the gateway at {facts.unreached} could be made"
        nothing = _of_primary("answers every call", f"{facts.calls.total:,} answers", detail, Outcome.UNKNOWN)
        return Verdict(claims=(nothing,), causes=(Diagnosis(cause=Cause.NO_CALLS, detail=detail),))
    found = list(_primary_claims(facts))
    return Verdict(
        claims=tuple(claim for claim, _ in found),
        causes=tuple(cause for _, causes in found for cause in causes),
    )


def _of_primary(title: str, expected: str, seen: str, outcome: Outcome) -> Claim:
    return Claim(subject=PRIMARY, title=title, expected=expected, seen=seen, outcome=outcome)


def _primary_claims(facts: PrimaryFacts) -> Iterator[tuple[Claim, list[Diagnosis]]]:
    calls, version, arrivals = facts.calls, facts.version, facts.arrivals
    failures = [f"{count:,} failed ({what})" for what, count in calls.failures.items()]
    others = {who or "an unknown version": n for who, n in calls.answered_by.items() if version and who != version}
    answered = calls.answered
    causes: list[Diagnosis] = []
    if failures:
        causes.append(Diagnosis(cause=Cause.PRIMARY_FAILS, detail=f"of {calls.total:,} calls {', '.join(failures)}"))
    if others:
        which = ", ".join(f"{who} ({count:,})" for who, count in others.items())
        causes.append(Diagnosis(cause=Cause.OTHER_VERSION, detail=f"{which} answered instead of {version}"))
    by = f" by {version}" if version else ""
    own = answered - sum(others.values())
    seen = [f"{own:,}{by}", *(f"{count:,} by {who}" for who, count in others.items()), *failures]
    holds = Outcome.FAILS if causes else Outcome.HOLDS if calls.total else Outcome.UNKNOWN
    title = f"{version or 'the primary'} answers every call"
    yield _of_primary(title, f"{calls.total:,} answers{by}", ", ".join(seen), holds), causes
    if arrivals is None and not facts.logs_calls:
        return
    title, expected = "gets each call once, unmarked", f"{calls.total:,} calls, no mark"
    if arrivals is None or not arrivals.calls:
        yield _of_primary(title, expected, "its log names no call", Outcome.UNKNOWN), []
        return
    marked = sum(count for mark, count in arrivals.marks.items() if mark)
    causes = []
    if arrivals.repeats:
        detail = f"{arrivals.repeats:,} calls came to it once more"
        causes.append(Diagnosis(cause=Cause.HANDLED_TWICE, detail=detail))
    if marked:
        detail = f"{marked:,} calls came to it with the mark of a copy"
        causes.append(Diagnosis(cause=Cause.PRIMARY_MARKED, detail=detail))
    if not answered <= arrivals.calls <= calls.total:
        detail = f"it logged {arrivals.calls:,} of {answered:,} calls that were answered"
        causes.append(Diagnosis(cause=Cause.PRIMARY_UNSEEN, detail=detail))
    said = f"{arrivals.calls:,} calls, {arrivals.repeats:,} repeats, {f'{marked:,} marked' if marked else 'no mark'}"
    yield _of_primary(title, expected, said, Outcome.FAILS if causes else Outcome.HOLDS), causes


def judge_mirror(facts: MirrorFacts) -> MirrorVerdict:
    """Hold what was seen of a mirror against what was wanted. Never holds without calls.

    Args:
        facts: What was wanted and what was seen.
    """
    causes = find_causes(facts)
    open_question = None if causes else _open_question(facts)
    against: dict[Topic, list[Diagnosis]] = defaultdict(list)
    for cause in causes:
        against[_TOPICS[cause.cause]].append(cause)
    sheet = _Sheet(facts=facts, against=against, open_question=open_question)
    return MirrorVerdict(
        claims=tuple(sheet.claims()),
        causes=causes or ((open_question,) if open_question else ()),
        facts=facts,
        share=interval(facts.copies, facts.calls),
    )


def _open_question(facts: MirrorFacts) -> Diagnosis | None:
    """Why the calls cannot tell whether the mirror gets its share."""
    wanted = facts.wanted
    if facts.calls <= 0:
        return Diagnosis(cause=Cause.NO_CALLS, detail="no call was made or seen, so nothing can be told")
    if wanted.percent <= 0 or facts.copies or facts.source is Source.NONE:
        return None
    if facts.at_most:
        detail = f"none of {facts.calls:,} calls was copied, and whether its condition takes any cannot be told"
        return Diagnosis(cause=Cause.TOO_FEW_CALLS, detail=detail)
    detail = (
        f"none of {facts.calls:,} calls was copied, which may happen at {wanted.percent:g} %;"
        f" {telling_calls(wanted.percent):,} calls would tell"
    )
    return Diagnosis(cause=Cause.TOO_FEW_CALLS, detail=detail)


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """Writes the claims about one mirror."""

    facts: MirrorFacts
    against: Mapping[Topic, Sequence[Diagnosis]]
    """What speaks against each claim."""

    open_question: Diagnosis | None

    def claim(
        self, topic: Topic, title: str, expected: str, seen: str, *, known: bool = True, holds: bool = True
    ) -> Claim:
        wrong = self.against.get(topic, ())
        outcome = Outcome.FAILS if wrong or not holds else Outcome.HOLDS if known else Outcome.UNKNOWN
        said = "; ".join(each.detail for each in wrong) or seen
        return Claim(subject=self.facts.wanted.name, title=title, expected=expected, seen=said, outcome=outcome)

    def claims(self) -> Iterator[Claim]:
        facts = self.facts
        yield self.share()
        yield self.configured()
        if facts.wanted.percent > 0:
            yield from self.on_the_way()
        if (arrivals := facts.arrivals) is not None:
            known = arrivals.calls > 0 or facts.wanted.percent <= 0
            yield self.claim(
                Topic.ONCE, "gets no call twice", "no repeats", f"{arrivals.repeats:,} repeats", known=known
            )
        if facts.wanted.hung is not None and facts.wanted.percent > 0:
            yield self.left_alone()
        if facts.wanted.percent > 0:
            yield from self.contents()

    def share(self) -> Claim:
        facts = self.facts
        percent = facts.wanted.percent
        seen = f"{facts.copies:,} in the {facts.source.value}"
        if self.open_question is not None:
            seen = self.open_question.detail
        elif facts.source is Source.NONE:
            seen = "nothing could be counted"
        elif _left_only(facts):
            seen = f"{facts.copies:,} left, and nobody could say whether they arrived"
        counted = facts.calls > 0 and facts.source is not Source.NONE
        allowed = band(facts.calls, percent)
        return self.claim(
            Topic.SHARE,
            f"gets {percent:g} % of the calls" + (" that its condition takes" if facts.at_most else ""),
            f"at most {allowed.high:,} of {facts.calls:,}" if facts.at_most else f"{allowed} of {facts.calls:,}",
            seen,
            known=counted and self.open_question is None and not _left_only(facts),
            holds=not counted or share_fits(facts),
        )

    def configured(self) -> Claim:
        facts, sends = self.facts, self.facts.wanted.percent > 0
        proxies = "1 sending proxy" if facts.proxies == 1 else f"{facts.proxies:,} sending proxies"
        seen = f"so in {proxies}" if facts.route_known else "could not be read"
        if not facts.refusals_known:
            seen += "; whether a proxy refused a later one could not be read"
        return self.claim(
            Topic.CONFIGURED,
            "is configured in every proxy",
            f"a mirror to {facts.wanted.cluster or facts.wanted.name}" if sends else "no mirror",
            seen,
            known=facts.refusals_known and (facts.route_known or facts.copies > 0 or not sends),
        )

    def on_the_way(self) -> Iterator[Claim]:
        facts, counters = self.facts, self.facts.counters
        yield self.claim(
            Topic.REACHED,
            "can be reached",
            "endpoints, certificates and a route that takes copies",
            ", ".join(facts.endpoints) or ("copies arrive" if facts.copies else "could not be read"),
            known=counters is not None or facts.copies > 0,
        )
        if counters is not None:
            yield self.claim(
                Topic.ANSWERED,
                "answers every copy",
                "none in flight, timed out or without an answer",
                f"{counters.success:,} of {counters.total:,} that were sent",
                known=counters.known,
            )

    def left_alone(self) -> Claim:
        witnesses = self.facts.witnesses
        said = {
            each.kind: f"{each.copies:,} of {each.calls:,}"
            if each.calls and each.copies is not None
            else "others called the mirror meanwhile"
            if each.calls
            else "could not be read"
            if each.copies is None
            else "none by the proxy's route"
            for each in witnesses
        }
        return self.claim(
            Topic.LEFT_ALONE,
            "leaves other requests alone",
            "no copy of what is marked, aimed by a client or posted",
            ", ".join(f"{kind}: {seen}" for kind, seen in said.items()),
            known=bool(witnesses) and all(each.copies is not None for each in witnesses),
        )

    def contents(self) -> Iterator[Claim]:
        """What copies look like: by the log of the application, else by what the proxy's route does to them."""
        facts, arrivals, policy = self.facts, self.facts.arrivals, policy_of(self.facts)
        lines = arrivals.calls + arrivals.repeats if arrivals is not None else 0
        known = lines > 0 if arrivals is not None else policy is not None
        if arrivals is not None:
            seen = ", ".join(f"{name or 'none'} ({count:,})" for name, count in arrivals.authorities.items())
            own = expected_authority(facts)
            yield self.claim(Topic.AUTHORITY, "sees the clients' authority", own, seen or "no copy", known=known)
        if facts.wanted.mark is None:
            return
        route = "by the proxy's route" if known else "could not be read"
        if facts.wanted.removed:
            seen = route if arrivals is None else "none" if lines else "no copy"
            yield self.claim(Topic.CREDENTIALS, "gets no credential", "none", seen, known=known)
        name, value = facts.wanted.mark
        seen = route if arrivals is None else f"{lines:,} of {lines:,}" if lines else "no copy"
        yield self.claim(Topic.MARK, "is marked as a mirror", f"{name}: {value} on every copy", seen, known=known)


def _left_only(facts: MirrorFacts) -> bool:
    """Whether copies were seen to leave for another cluster, and nobody could be asked whether they arrived."""
    unseen = facts.receiver is None or facts.receiver.passed_on is None
    return facts.wanted.across and facts.wanted.percent > 0 and facts.source is Source.COUNTERS and unseen
