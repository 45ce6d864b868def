"""From what was seen of a mirror to what is wrong with it. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from .authorities import accepts, carried
from .causes import Cause, Diagnosis
from .evidence import Arrivals, ProxyCounters
from .facts import MirrorFacts, Refusal, Source
from .proxy import MirrorPolicy
from .shares import fits

UNROUTED: Final = "404, or grpc-status 12 with status 200"
"""How a gateway without a route answers. Source: gRPC's mapping of HTTP status codes, and Envoy's local replies."""


def find_causes(facts: MirrorFacts) -> tuple[Diagnosis, ...]:
    """Return everything that is wrong with a mirror, what keeps copies back first.

    Configuration, endpoints, certificates and refused configurations are looked at whatever the count is: a small
    share fits no copy at all, so that the count alone would hide a mirror that is dead.

    Args:
        facts: What was wanted and what was seen.
    """
    found = sorted(map(_refusal, facts.refused), key=lambda each: each.cause is not Cause.FROZEN)
    if not found:
        # The first of them explains those after it.
        found = list(islice(_standing(facts), 1))
    if not found and facts.calls > 0 and _share_is_doubtful(facts):
        unmet = facts.source is not Source.NONE and not share_fits(facts)
        cause = share_cause(facts) if unmet else next(_causes(facts), None)
        found = [cause] if cause else []
    found += _witnesses(facts)
    found += _contents(facts)
    found += _sidecars(facts)
    if not facts.refused:
        known = {each.cause for each in found}
        found += [each for each in _brakes(facts) if not known & _UNCONFIGURED]
        found += [each for each in _hanging(facts, facts.counters) if each.cause not in known]
    return tuple(found)


_UNCONFIGURED: Final = {Cause.NO_ROUTE, Cause.OTHER_ROUTE, Cause.NO_POLICY, Cause.CLUSTER_MISSING}
"""Causes that say that a proxy has nothing of the mirror, so that further parts need not be listed."""


def share_fits(facts: MirrorFacts) -> bool:
    """Whether the count of copies is what the share allows."""
    few = facts.at_most and facts.copies <= facts.calls * facts.wanted.percent / 100
    return few or fits(facts.copies, facts.calls, facts.wanted.percent, slack=facts.slack)


def _share_is_doubtful(facts: MirrorFacts) -> bool:
    """Whether the count does not fit, or is nothing where something is wanted."""
    return not share_fits(facts) or (not facts.copies and facts.wanted.percent > 0 and not facts.at_most)


def _refusal(refusal: Refusal) -> Diagnosis:
    kinds = ", ".join(refusal.kinds)
    detail = f"{refusal.proxy} refused its last {kinds} configuration, and keeps the one before"
    if refusal.filters:
        detail += f"; what it refused is changed by EnvoyFilter {', '.join(refusal.filters)}"
    if refusal.frozen:
        detail += (
            "; the routing of everybody whose routes it serves is frozen in that state, their changes do not arrive"
        )
    cause = Cause.FROZEN if refusal.frozen else Cause.REJECTED
    return Diagnosis(cause=cause, detail=detail + (f" ({refusal.words})" if refusal.words else ""))


def _standing(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What is wrong whatever the count is. Of a mirror at rest nothing but its share matters."""
    yield from _configuration(facts)
    if facts.wanted.percent > 0:
        yield from _reach(facts)
        yield from _receiver(facts)


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
    elif facts.route is not None and facts.owner and facts.route.owner not in ("", facts.owner):
        detail = f"the calls are taken by VirtualService {facts.route.owner}, not by {facts.owner}"
        yield Diagnosis(cause=Cause.OTHER_ROUTE, detail=detail)
    elif wanted.percent > 0 and facts.coverage is not None and facts.coverage[0] < facts.coverage[1]:
        yield _uncovered(facts, *facts.coverage)
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
        said = "EnvoyFilter" if wanted.hung else "VirtualService"
        detail = f"the proxy's route copies {policy.percent:g} %, the {said} says {wanted.percent:g} %"
        yield Diagnosis(cause=Cause.OTHER_PERCENT, detail=detail)


def _uncovered(facts: MirrorFacts, carrying: int, forwarding: int) -> Diagnosis:
    """Routes that an overlay should hang on and that do not carry its mirror."""
    source = facts.wanted.hung.source if facts.wanted.hung else "its object"
    detail = (
        f"{carrying:,} of {forwarding:,} forwarding routes of {facts.authority} carry the mirror to"
        f" {facts.wanted.cluster} that {source} hangs on them"
    )
    return Diagnosis(cause=Cause.NOT_EVERYWHERE if carrying else Cause.NO_POLICY, detail=detail)


def _witnesses(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Copies of what must not be copied."""
    copied = [f"{each.copies:,} of {each.calls:,} {each.kind} requests" for each in facts.witnesses if each.copies]
    policy = policy_of(facts)
    if copied:
        yield Diagnosis(cause=Cause.COPIES_OTHERS, detail=f"copies came of {', '.join(copied)}")
    elif policy is not None and policy.forgeable:
        detail = f"the proxy's route leaves {policy.header} as a client sent it, which chooses where copies go"
        yield Diagnosis(cause=Cause.COPIES_OTHERS, detail=detail)


def _sidecars(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What sidecars lack of the same route."""
    if facts.sidecars_without:
        yield Diagnosis(cause=Cause.NO_POLICY, detail=_lacking(facts, facts.sidecars_without, "no mirror"))
    if facts.sidecars_unbraked:
        detail = _lacking(facts, facts.sidecars_unbraked, "no bound on the life of a copy")
        yield Diagnosis(cause=Cause.NO_BRAKES, detail=detail)


def _lacking(facts: MirrorFacts, pods: Sequence[str], what: str) -> str:
    more = f" and {len(pods) - 1:,} more have" if len(pods) > 1 else " has"
    return f"the sidecar {pods[0]}{more} {what} to {facts.wanted.cluster} on its route of the mesh"


def _reach(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Whether the sending proxy gets a connection."""
    counters = _counted(facts)
    if facts.obstacles:
        # Where copies arrive all the same they do so on connections from before.
        lasting = "a new connection would fail: " if counters is not None and counters.success else ""
        yield Diagnosis(cause=Cause.TLS, detail=lasting + "; ".join(facts.obstacles))
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
    if not share_fits(facts):
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
    sent = carried(expected_authority(facts), suffixed=bool(policy and policy.suffixed))
    # Failures make the proxy eject the receiver, so that there may be nothing to see but its routes.
    refused = receiver.routes_known and not accepts(receiver.accepted, sent) and not facts.copies
    if receiver.unrouted or refused:
        yield _unrouted(facts, receiver.unrouted)
    reached = sum(receiver.answers.values()) if receiver.answers is not None else receiver.passed_on
    counters = facts.counters
    if reached == 0 and facts.calls > 0 and counters is not None and counters.success and not counters.active:
        where = ", ".join(facts.endpoints)
        own = ", ".join(sorted(receiver.addresses))
        detail = f"{counters.total:,} copies went to {where or 'the mirror'} and none reached the receiving gateway"
        yield Diagnosis(cause=Cause.NOBODY_REACHED, detail=detail + (f" at {own}" if own else ""))


def _unrouted(facts: MirrorFacts, count: int) -> Diagnosis:
    what = f"{count:,} copies" if count else "copies"
    detail = f"the receiving gateway has no route for {what} ({UNROUTED}): {_fit(facts)}"
    return Diagnosis(cause=Cause.NOT_ACCEPTED, detail=detail)


def _fit(facts: MirrorFacts) -> str:
    """Which authority copies carry, and which the receiver takes, as far as both are known."""
    policy, receiver = policy_of(facts), facts.receiver
    own = expected_authority(facts)
    sent = carried(own, suffixed=bool(policy and policy.suffixed))
    if policy is None:
        words = f"copies carry {own} or {carried(own, suffixed=True)}"
    elif policy.suffixed:
        words = f"the sending proxy appends -shadow to the authority, so they carry {sent}"
    else:
        words = f"the sending proxy keeps the authority, so they carry {sent}"
    if receiver is None or not receiver.routes_known:
        return words
    return f"{words}, and the receiver takes {', '.join(receiver.accepted) or 'no host'}"


def _stopped(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """What the receiving gateway answered itself, in the run or in the warm-up before it."""
    receiver = facts.receiver
    if receiver is None:
        return
    if receiver.earlier_unrouted:
        yield _unrouted(facts, receiver.earlier_unrouted)
    stopped = Counter(receiver.stopped) + Counter(receiver.earlier_stopped)
    if stopped:
        which = ", ".join(f"{answer} ({count:,})" for answer, count in stopped.most_common())
        detail = f"the receiving gateway answered copies itself: {which}"
        yield Diagnosis(cause=Cause.LOST_BEHIND_GATEWAY, detail=detail)


def _hanging(facts: MirrorFacts, counters: ProxyCounters | None) -> Iterator[Diagnosis]:
    """Copies that nobody answers: harmful even where all of them arrive, because they stay in the proxy."""
    if counters is None:
        return
    if facts.peak or counters.timeout:
        detail = f"{facts.peak:,} copies stay in flight, {counters.timeout:,} timed out"
        yield Diagnosis(cause=Cause.TIMEOUT, detail=detail)
    if counters.unanswered > 0:
        bound = facts.cluster.max_duration_seconds if facts.cluster else 0.0
        after = f", as after the {bound:g} s that the proxy gives them" if bound else ""
        detail = f"{counters.unanswered:,} of {counters.total:,} copies ended without an answer{after}"
        yield Diagnosis(cause=Cause.UNANSWERED, detail=detail)


def _brakes(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """Bounds that are promised and that the sending proxy does not have."""
    wanted, cluster = facts.wanted, facts.cluster
    if cluster is None or wanted.percent <= 0:
        return
    gone: list[str] = []
    if wanted.max_duration_seconds and not cluster.max_duration_seconds:
        gone.append("no bound on the life of a copy")
    if wanted.max_requests and cluster.max_requests > wanted.max_requests:
        gone.append(f"up to {cluster.max_requests:,} copies in flight instead of {wanted.max_requests:,}")
    if gone:
        detail = f"the sending proxy has {' and '.join(gone)} for {wanted.cluster}"
        yield Diagnosis(cause=Cause.NO_BRAKES, detail=detail)


def _answers(facts: MirrorFacts) -> Iterator[Diagnosis]:
    """How the mirror answered those that arrived."""
    counters = _counted(facts)
    yield from _hanging(facts, counters)
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
    """What the proxy counted; the warm-up included where the run itself has too few copies to tell."""
    if facts.counters is None or share_fits(facts):
        return facts.counters
    return facts.counters.with_earlier(facts.earlier)


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
    strange = [
        f"{name or 'none'} ({count:,})" for name, count in arrivals.authorities.items() if not _is_own(facts, name)
    ]
    if strange:
        detail = f"copies arrive with the authority {', '.join(strange)}, not {expected_authority(facts)}"
        yield Diagnosis(cause=Cause.OTHER_AUTHORITY, detail=detail)
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


def expected_authority(facts: MirrorFacts) -> str:
    """The authority that copies carry where no suffix is appended: the client's, or the one that its route writes."""
    return facts.wanted.rewrite or facts.authority


def _is_own(facts: MirrorFacts, seen: str) -> bool:
    """Whether a copy's authority is the client's, with or without suffix; a rewrite may drop the port."""
    own = expected_authority(facts)
    allowed = {own, carried(own, suffixed=True)}
    return seen in allowed or (bool(facts.wanted.rewrite) and seen.partition(":")[0] in allowed)
