"""From what was seen of a mirror to a verdict with its cause. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ...model.rules.hosts import covers
from ...model.values import SHADOW_SUFFIX
from ..evidence import Arrivals, ProxyCounters
from ..outcome import Outcome
from .causes import Cause, Diagnosis
from .facts import MirrorFacts, Source
from .proxy import MirrorPolicy
from .shares import Interval, fits, interval

UNROUTED: Final = "404, or grpc-status 12 with status 200"
"""How a gateway without a route answers. Source: gRPC's mapping of HTTP status codes, and Envoy's local replies."""


@dataclass(frozen=True, kw_only=True)
class MirrorVerdict:
    """What became of one mirror."""

    facts: MirrorFacts
    outcome: Outcome
    share: Interval
    """Shares that the count is compatible with."""

    diagnoses: tuple[Diagnosis, ...] = ()
    """What is wrong, the share first; empty when nothing is."""


def judge_mirror(facts: MirrorFacts) -> MirrorVerdict:
    """Hold what was seen of a mirror against what was wanted. Never holds without calls.

    Args:
        facts: What was wanted and what was seen.
    """
    share = interval(facts.copies, facts.calls)
    if facts.calls <= 0 and facts.route_known and facts.route is None:
        return MirrorVerdict(facts=facts, outcome=Outcome.FAILS, share=share, diagnoses=(share_cause(facts),))
    if facts.calls <= 0:
        nothing = Diagnosis(cause=Cause.NO_CALLS, detail="no call was made or seen, so nothing can be told")
        return MirrorVerdict(facts=facts, outcome=Outcome.UNKNOWN, share=share, diagnoses=(nothing,))
    wrong = list(_contents(facts))
    if facts.refused:
        # Even where copies still arrive, they do so by a configuration that nobody sees any more.
        wrong.insert(0, _refusal(facts))
    if facts.source is Source.NONE:
        found = None if facts.refused else next(_causes(facts), None)
        diagnoses = ([found] if found else []) + wrong
        outcome = Outcome.FAILS if diagnoses else Outcome.UNKNOWN
        return MirrorVerdict(facts=facts, outcome=outcome, share=share, diagnoses=tuple(diagnoses))
    if not fits(facts.copies, facts.calls, facts.wanted.percent, slack=facts.slack) and not facts.refused:
        wrong.insert(0, share_cause(facts))
    elif not facts.refused:
        wrong += _hanging(facts)
    outcome = Outcome.FAILS if wrong else Outcome.HOLDS
    if outcome is Outcome.HOLDS and _left_only(facts):
        outcome = Outcome.UNKNOWN
    return MirrorVerdict(facts=facts, outcome=outcome, share=share, diagnoses=tuple(wrong))


def _refusal(facts: MirrorFacts) -> Diagnosis:
    kinds = ", ".join(facts.refused)
    detail = f"the sending proxy refused its last {kinds} configuration, and keeps the one before"
    return Diagnosis(cause=Cause.REJECTED, detail=detail)


def _left_only(facts: MirrorFacts) -> bool:
    """Whether copies were seen to leave for another cluster, and nobody could be asked whether they arrived."""
    unseen = facts.receiver is None or facts.receiver.passed_on is None
    return facts.wanted.across and facts.wanted.percent > 0 and facts.source is Source.COUNTERS and unseen


def share_cause(facts: MirrorFacts) -> Diagnosis:
    """Return the surest cause of a count that is wrong.

    Args:
        facts: What was wanted and what was seen; the fewer is known, the more is inferred from counters.
    """
    expected = facts.calls * facts.wanted.percent / 100
    too_many = facts.copies > expected
    # What keeps copies back explains none that are too many.
    found = next(_configuration(facts) if too_many else _causes(facts), None)
    if found is not None:
        return found
    seen = f"{facts.copies:,} of {facts.calls:,} calls were copied, {expected:,.0f} were due"
    if too_many:
        return Diagnosis(cause=Cause.TOO_MANY, detail=seen)
    if facts.counters is None and facts.receiver is None:
        seen += ", and nothing else could be seen"
    return Diagnosis(cause=Cause.PERCENTAGE_NOT_MET, detail=seen + _doubt(facts))


def _doubt(facts: MirrorFacts) -> str:
    """A word on configurations that were refused, where nothing surer is known about them."""
    if not facts.refusals:
        return ""
    return f"; proxies have refused {facts.refusals:,} configurations since istiod started, so theirs may be old"


def policy_of(facts: MirrorFacts) -> MirrorPolicy | None:
    """The mirror's policy in the proxy's route."""
    policies = facts.route.policies if facts.route else ()
    return next((policy for policy in policies if policy.cluster == facts.wanted.cluster), None)


Check = Callable[[MirrorFacts], Iterator[Diagnosis]]


def _causes(facts: MirrorFacts) -> Iterator[Diagnosis]:
    for check in (_configuration, _reach, _receiver, _stopped, _silence, _crowding, _answers, _unseen):
        yield from check(facts)


def _configuration(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What the sending proxy has, against what the routes say."""
    wanted, policy = facts.wanted, policy_of(facts)
    missing = facts.route_known and wanted.percent > 0 and policy is None
    unknown_cluster = facts.counters is not None and not facts.counters.known
    if facts.route_known and facts.route is None:
        yield Diagnosis(
            cause=Cause.NO_ROUTE, detail=f"no route of the sending proxy takes the calls to {facts.authority}"
        )
    elif missing:
        others = ", ".join(each.cluster for each in facts.route.policies) if facts.route else ""
        name = facts.route.name if facts.route else ""
        detail = f"the proxy's route {name or '(unnamed)'} has no mirror to {wanted.cluster}"
        yield Diagnosis(cause=Cause.NO_POLICY, detail=detail + (f", only to {others}" if others else ""))
    if unknown_cluster and wanted.percent > 0:
        which = wanted.cluster or f"for {wanted.name}"
        detail = f"the sending proxy has no cluster {which}: host, port or subset is unknown there"
        yield Diagnosis(cause=Cause.CLUSTER_MISSING, detail=detail + _doubt(facts))
    if policy is not None and abs(policy.percent - wanted.percent) > 1e-6:  # noqa: PLR2004 -- below Envoy's resolution
        detail = f"the proxy's route copies {policy.percent:g} %, the VirtualService says {wanted.percent:g} %"
        yield Diagnosis(cause=Cause.OTHER_PERCENT, detail=detail)


def _reach(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Whether the sending proxy gets a connection."""
    counters = _counted(facts)
    if facts.obstacles and (counters is None or not counters.success):
        yield Diagnosis(cause=Cause.TLS, detail="; ".join(facts.obstacles))
    if counters is None or not counters.known:
        return
    if not counters.endpoints:
        detail = f"{facts.wanted.cluster or facts.wanted.name} has no endpoint in the sending proxy"
        yield Diagnosis(cause=Cause.NO_ENDPOINTS, detail=detail)
    elif counters.connect_failures and not counters.success:
        cluster = facts.cluster
        detail = f"{counters.connect_failures:,} connections to {', '.join(facts.endpoints) or 'the mirror'} failed"
        yield Diagnosis(cause=Cause.CONNECT, detail=detail + (" (TCP or TLS)" if cluster and cluster.tls else ""))
    if facts.wanted.grpc and facts.cluster and not facts.cluster.http2 and not facts.copies:
        detail = "the sending proxy speaks HTTP/1.1 to the mirror, and gRPC needs HTTP/2"
        yield Diagnosis(cause=Cause.WRONG_PROTOCOL, detail=detail)


def _silence(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """A proxy that sends nothing, where its routes could not be read."""
    counters = _counted(facts)
    if counters is None or facts.route_known or not counters.known or counters.total or counters.ejected:
        return
    if facts.wanted.percent > 0:
        detail = "the sending proxy sends no copy: its route has no mirror policy, or 0 %"
        yield Diagnosis(cause=Cause.NO_POLICY, detail=detail + _doubt(facts))


def _crowding(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Whether the brakes of the sending proxy held copies back."""
    counters = facts.counters
    if counters is None or not counters.known or not counters.endpoints:
        return
    due = facts.calls * facts.wanted.percent / 100
    if fits(counters.total, facts.calls, facts.wanted.percent, slack=facts.slack) or counters.total > due:
        return
    if counters.ejected:
        detail = f"outlier detection has taken out {counters.ejected:,} of {counters.endpoints:,} endpoints"
        yield Diagnosis(cause=Cause.EJECTED, detail=detail)
    elif not counters.total and facts.earlier.error:
        detail = (
            "the sending proxy has stopped sending: outlier detection took the mirror out after errors"
            f" ({facts.earlier.error:,} of {facts.earlier.total:,} copies failed)"
        )
        yield Diagnosis(cause=Cause.EJECTED, detail=detail)
    elif policy_of(facts) is not None and not counters.connect_failures:
        limit = facts.cluster.max_requests if facts.cluster else 0
        bound = f", its bound is {limit:,} in flight" if limit else ""
        detail = (
            f"the sending proxy let {counters.total:,} of {due:,.0f} copies out and answered the rest itself{bound}"
        )
        yield Diagnosis(cause=Cause.OVERFLOW, detail=detail)


def _receiver(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What the receiving gateway did with them."""
    receiver = facts.receiver
    if receiver is None:
        return
    policy = policy_of(facts)
    sent = carried(facts.authority, suffixed=bool(policy and policy.suffixed))
    # Failures make the proxy eject the receiver, so that there may be nothing to see but its routes.
    refused = receiver.routes_known and not accepts(receiver.accepted, sent) and not facts.copies
    if receiver.unrouted or refused:
        what = f"{receiver.unrouted:,} copies" if receiver.unrouted else "copies"
        detail = f"the receiving gateway has no route for {what} ({UNROUTED}): {_fit(facts)}"
        yield Diagnosis(cause=Cause.NOT_ACCEPTED, detail=detail)
    reached = sum(receiver.answers.values()) if receiver.answers is not None else receiver.passed_on
    counters = facts.counters
    if reached == 0 and counters is not None and counters.success and not counters.active:
        where = ", ".join(facts.endpoints)
        own = ", ".join(sorted(receiver.addresses))
        detail = f"{counters.total:,} copies went to {where or 'the mirror'} and none reached the receiving gateway"
        yield Diagnosis(cause=Cause.NOBODY_REACHED, detail=detail + (f" at {own}" if own else ""))


def _fit(facts: MirrorFacts) -> str:
    """Which authority copies carry, and which the receiver takes, as far as both are known."""
    policy, receiver = policy_of(facts), facts.receiver
    sent = carried(facts.authority, suffixed=bool(policy and policy.suffixed))
    if policy is None:
        words = f"copies carry {facts.authority} or {carried(facts.authority, suffixed=True)}"
    elif policy.suffixed:
        words = f"the sending proxy appends -shadow to the authority, so they carry {sent}"
    else:
        words = f"the sending proxy keeps the authority, so they carry {sent}"
    if receiver is None or not receiver.routes_known:
        return words
    return f"{words}, and the receiver takes {', '.join(receiver.accepted) or 'no host'}"


def _stopped(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What the receiving gateway answered itself, because nobody behind it did."""
    receiver = facts.receiver
    if receiver is not None and receiver.stopped:
        which = ", ".join(f"{answer} ({count:,})" for answer, count in receiver.stopped.items())
        detail = f"the receiving gateway answered copies itself: {which}"
        yield Diagnosis(cause=Cause.LOST_BEHIND_GATEWAY, detail=detail)


def _hanging(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Copies that nobody answers: harmful even where all of them arrive, because they stay in the proxy."""
    counters = _counted(facts)
    if counters is not None and (facts.peak or counters.timeout):
        detail = f"{facts.peak:,} copies stay in flight, {counters.timeout:,} timed out"
        yield Diagnosis(cause=Cause.TIMEOUT, detail=detail)


def _answers(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """How the mirror answered those that arrived."""
    yield from _hanging(facts)
    counters = _counted(facts)
    if counters is not None and counters.error:
        detail = f"{counters.error:,} of {counters.total:,} copies ended with a server error or a lost connection"
        yield Diagnosis(cause=Cause.ERRORS, detail=detail)
    receiver = facts.receiver
    if receiver is not None and receiver.answers and not receiver.stopped:
        routed = sum(receiver.answers.values()) - receiver.unrouted
        if routed > facts.copies:
            detail = f"the receiving gateway passed {routed:,} copies on and the application logged {facts.copies:,}"
            yield Diagnosis(cause=Cause.LOST_BEHIND_GATEWAY, detail=detail)


def _unseen(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Copies that were answered, though nobody who should have them has one, where no gateway tells more."""
    counters = _counted(facts)
    known = facts.receiver is not None and (facts.receiver.routes_known or facts.receiver.answers is not None)
    if counters is not None and counters.total and facts.arrivals is not None and not facts.copies and not known:
        detail = f"copies leave the sending proxy and nobody logs them, as by {UNROUTED}: {_fit(facts)}"
        yield Diagnosis(cause=Cause.NOT_ACCEPTED, detail=detail)


def _counted(facts: MirrorFacts) -> ProxyCounters | None:
    """What the proxy counted, the warm-up included."""
    return facts.counters.with_earlier(facts.earlier) if facts.counters is not None else None


def _contents(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What copies carry: by the application's log where that tells, else by the proxy's route."""
    wanted, arrivals = facts.wanted, facts.arrivals
    if arrivals is not None and arrivals.repeats:
        detail = f"{arrivals.repeats:,} copies came for calls that had been copied already"
        yield Diagnosis(cause=Cause.REPEATED, detail=detail)
    if arrivals is not None and arrivals.calls:
        yield from _seen(facts, arrivals)
    elif wanted.mark is not None and wanted.removed and (policy := policy_of(facts)) is not None:
        kept = sorted(wanted.removed - policy.removed)
        if kept:
            detail = f"the proxy's route takes {', '.join(kept)} not off the copies"
            yield Diagnosis(cause=Cause.CREDENTIALS_SEEN, detail=detail)
        if policy.added.get(wanted.mark[0]) != wanted.mark[1]:
            detail = f"the proxy's route does not set {wanted.mark[0]}: {wanted.mark[1]}"
            yield Diagnosis(cause=Cause.MARK_MISSING, detail=detail)


def _seen(facts: MirrorFacts, arrivals: Arrivals) -> Iterator[Diagnosis]:
    if facts.wanted.mark is None:
        return
    name, value = facts.wanted.mark
    if arrivals.credentials:
        which = ", ".join(f"{header} ({count:,})" for header, count in arrivals.credentials.items())
        yield Diagnosis(cause=Cause.CREDENTIALS_SEEN, detail=f"copies arrive with {which}")
    lines = arrivals.calls + arrivals.repeats
    marked = arrivals.marks.get(value, 0)
    if marked < lines:
        detail = f"{lines - marked:,} of {lines:,} copies arrive without {name}: {value}"
        yield Diagnosis(cause=Cause.MARK_MISSING, detail=detail)


def carried(authority: str, *, suffixed: bool) -> str:
    """The authority that a copy carries.

    Args:
        authority: That of the call, with or without port.
        suffixed: Whether the proxy appends ``-shadow``, which goes before the port.
    """
    if not suffixed:
        return authority
    host, colon, port = authority.partition(":")
    return f"{host}{SHADOW_SUFFIX}{colon}{port}"


def accepts(hosts: tuple[str, ...], authority: str) -> bool:
    """Whether one of the hosts takes the authority; ports do not matter."""
    host = authority.partition(":")[0]
    return any(covers(pattern, host) for pattern in hosts)
