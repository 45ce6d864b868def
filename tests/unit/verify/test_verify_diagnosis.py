"""Each cause that a mirror can fail for is named from the evidence that tells it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from components.operations.evidence import Arrivals, ProxyCounters
from components.operations.outcome import Outcome
from components.operations.verify.causes import REMEDIES, Cause
from components.operations.verify.diagnosis import accepts, carried, judge_mirror
from components.operations.verify.facts import MirrorFacts, Receiver, Source, Wanted
from components.operations.verify.proxy import ClusterView, MirrorPolicy, RouteView
from components.operations.verify.shares import CONFIDENCE, fits, interval

HOST = "grpc-hello.staging.example"
CLUSTER = "outbound|8000||mirror.testing.example"
REMOVED = frozenset({"authorization", "cookie"})
POLICY = MirrorPolicy(
    cluster=CLUSTER, percent=100, suffixed=False, removed=REMOVED, added={"x-traffic-mirror": "mirror"}
)
ROUTE = RouteView(name="hello.greeter.gateway.mirrored-0", cluster="outbound|8000||greeter", policies=(POLICY,))
COUNTERS = ProxyCounters(known=True, endpoints=1, total=200, success=200)
GOOD = MirrorFacts(
    wanted=Wanted(name="testing", cluster=CLUSTER, percent=100, across=True, removed=REMOVED),
    calls=200,
    copies=200,
    route_known=True,
    route=ROUTE,
    cluster=ClusterView(http2=True, max_requests=256),
    counters=COUNTERS,
    endpoints=("198.51.100.7:8000",),
    authority=f"{HOST}:8000",
    receiver=Receiver(
        accepted=(HOST, f"{HOST}-shadow"),
        routes_known=True,
        answers={"200 via_upstream": 200},
        passed_on=200,
        addresses=frozenset({"198.51.100.7"}),
    ),
    arrivals=Arrivals(calls=200, authorities={f"{HOST}:8000": 200}, marks={"mirror": 200}),
)
NOTHING: dict[str, Any] = {"copies": 0, "arrivals": Arrivals()}
UNREACHED: dict[str, Any] = {**NOTHING, "receiver": replace(GOOD.receiver or Receiver(), answers={}, passed_on=0)}


def seen(**changes: Any) -> MirrorFacts:
    return replace(GOOD, **changes)


def counted(**changes: Any) -> ProxyCounters:
    return replace(COUNTERS, **changes)


def routed(**changes: Any) -> RouteView:
    return replace(ROUTE, policies=(replace(POLICY, **changes),))


def received(**changes: Any) -> Receiver:
    return replace(GOOD.receiver or Receiver(), **changes)


def test_a_faithful_mirror_holds() -> None:
    verdict = judge_mirror(GOOD)
    assert verdict.outcome is Outcome.HOLDS
    assert verdict.diagnoses == ()


CASES: list[tuple[Cause, dict[str, Any], str]] = [
    (Cause.NO_CALLS, {**UNREACHED, "calls": 0}, "no call"),
    (
        Cause.REJECTED,
        {**UNREACHED, "refused": ("cluster",), "counters": ProxyCounters()},
        "refused its last cluster configuration",
    ),
    (Cause.REJECTED, {**UNREACHED, "refused": ("route",), "route": replace(ROUTE, policies=())}, "last route"),
    (Cause.NO_ROUTE, {**UNREACHED, "route": None, "counters": counted(total=0, success=0)}, "no route of the sending"),
    (
        Cause.NO_POLICY,
        {**UNREACHED, "route": replace(ROUTE, policies=()), "counters": counted(total=0, success=0)},
        f"has no mirror to {CLUSTER}",
    ),
    (
        Cause.NO_POLICY,
        {**UNREACHED, "route": routed(cluster="other"), "counters": counted(total=0, success=0)},
        "only to other",
    ),
    (Cause.OTHER_PERCENT, {"copies": 20, "route": routed(percent=10)}, "copies 10 %, the VirtualService says 100 %"),
    (
        Cause.TOO_MANY,
        {"wanted": replace(GOOD.wanted, percent=10), "route": routed(percent=10)},
        "200 of 200 calls were copied, 20 were due",
    ),
    (
        Cause.NO_POLICY,
        {**UNREACHED, "route_known": False, "route": None, "counters": counted(total=0, success=0), "refusals": 2},
        "sends no copy: its route has no mirror policy, or 0 %; proxies have refused 2 configurations",
    ),
    (
        Cause.NOT_ACCEPTED,
        {**NOTHING, "route_known": False, "route": None, "receiver": None},
        f"nobody logs them, as by 404, or grpc-status 12 with status 200: copies carry {HOST}:8000 or {HOST}-shadow",
    ),
    (
        Cause.EJECTED,
        {**UNREACHED, "counters": counted(total=0, success=0), "earlier": counted(total=20, success=0, error=20)},
        "stopped sending: outlier detection took the mirror out after errors (20 of 20 copies failed)",
    ),
    (Cause.CLUSTER_MISSING, {**UNREACHED, "counters": ProxyCounters(), "cluster": None}, f"no cluster {CLUSTER}"),
    (Cause.NO_ENDPOINTS, {**UNREACHED, "counters": counted(endpoints=0, total=0, success=0)}, "has no endpoint"),
    (
        Cause.TLS,
        {
            **UNREACHED,
            "counters": counted(total=0, success=0, connect_failures=9),
            "obstacles": ("the sender has not loaded the secret kubernetes://mirror-client",),
        },
        "not loaded the secret",
    ),
    (
        Cause.CONNECT,
        {**UNREACHED, "counters": counted(total=0, success=0, connect_failures=9)},
        "9 connections to 198.51.100.7:8000 failed",
    ),
    (Cause.WRONG_PROTOCOL, {**NOTHING, "cluster": ClusterView(http2=False)}, "speaks HTTP/1.1"),
    (
        Cause.NOT_ACCEPTED,
        {**NOTHING, "receiver": received(answers={"200 route_not_found": 200}, unrouted=200, accepted=("other",))},
        f"keeps the authority, so they carry {HOST}:8000, and the receiver takes other",
    ),
    (
        Cause.NOT_ACCEPTED,
        {
            **NOTHING,
            "arrivals": None,
            "route": routed(suffixed=True),
            "receiver": received(answers=None, passed_on=0, accepted=(HOST,)),
        },
        f"appends -shadow to the authority, so they carry {HOST}-shadow:8000, and the receiver takes {HOST}",
    ),
    (
        Cause.OVERFLOW,
        {"copies": 120, "arrivals": None, "counters": counted(total=120, success=120)},
        "let 120 of 200 copies out and answered the rest itself, its bound is 256 in flight",
    ),
    (Cause.EJECTED, {"copies": 5, "counters": counted(total=5, success=0, ejected=1)}, "taken out 1 of 1"),
    (
        Cause.TIMEOUT,
        {**NOTHING, "peak": 200, "counters": counted(success=0, active=200), "receiver": received(answers={})},
        "200 copies stay in flight",
    ),
    (Cause.ERRORS, {**NOTHING, "counters": counted(success=0, error=200)}, "200 of 200 copies ended with"),
    (
        Cause.NOBODY_REACHED,
        {**UNREACHED},
        "200 copies went to 198.51.100.7:8000 and none reached the receiving gateway at 198.51.100.7",
    ),
    (
        Cause.LOST_BEHIND_GATEWAY,
        {**NOTHING, "receiver": received(answers={"200 no_healthy_upstream": 200}, stopped={"200 no_healthy": 200})},
        "the receiving gateway answered copies itself: 200 no_healthy (200)",
    ),
    (Cause.REJECTED, {"refused": ("cluster",)}, "keeps the one before"),
    (Cause.LOST_BEHIND_GATEWAY, {"copies": 150}, "passed 200 copies on and the application logged 150"),
    (
        Cause.PERCENTAGE_NOT_MET,
        {"copies": 150, "receiver": None, "refusals": 3},
        "150 of 200 calls were copied, 200 were due; proxies have refused 3 configurations",
    ),
    (Cause.REPEATED, {"arrivals": replace(GOOD.arrivals or Arrivals(), repeats=4, marks={"mirror": 204})}, "4 copies"),
    (
        Cause.MARK_MISSING,
        {"arrivals": replace(GOOD.arrivals or Arrivals(), marks={"mirror": 150, "": 50})},
        "50 of 200 copies arrive without x-traffic-mirror: mirror",
    ),
    (Cause.MARK_MISSING, {"arrivals": None, "route": routed(added={})}, "does not set x-traffic-mirror"),
    (
        Cause.CREDENTIALS_SEEN,
        {"arrivals": replace(GOOD.arrivals or Arrivals(), credentials={"cookie": 200})},
        "copies arrive with cookie (200)",
    ),
    (Cause.CREDENTIALS_SEEN, {"arrivals": None, "route": routed(removed=frozenset({"cookie"}))}, "takes authorization"),
]


@pytest.mark.parametrize(("cause", "changes", "words"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_each_cause_is_named_from_its_evidence(cause: Cause, changes: dict[str, Any], words: str) -> None:
    verdict = judge_mirror(seen(**changes))
    assert verdict.outcome is (Outcome.UNKNOWN if cause is Cause.NO_CALLS else Outcome.FAILS)
    first = verdict.diagnoses[0]
    assert (first.cause, words in first.detail) == (cause, True), first
    assert first.remedy == REMEDIES[cause]


def test_a_receiver_that_was_ejected_for_its_refusals_is_diagnosed_by_its_routes() -> None:
    ejected = counted(total=5, success=5, ejected=1)
    facts = seen(**NOTHING, counters=ejected, receiver=received(answers={}, accepted=()))
    assert judge_mirror(facts).diagnoses[0].cause is Cause.NOT_ACCEPTED


def test_copies_that_arrive_and_are_never_answered_fail() -> None:
    verdict = judge_mirror(seen(peak=200, counters=counted(success=0, active=200)))
    assert [each.cause for each in verdict.diagnoses] == [Cause.TIMEOUT]


def test_calls_that_no_route_takes_fail_though_none_is_answered() -> None:
    verdict = judge_mirror(seen(**UNREACHED, calls=0, route=None))
    assert (verdict.outcome, verdict.diagnoses[0].cause) == (Outcome.FAILS, Cause.NO_ROUTE)


def test_every_cause_has_a_row_and_a_remedy() -> None:
    assert {case[0] for case in CASES} == set(Cause) == set(REMEDIES)


def test_without_any_evidence_nothing_is_claimed() -> None:
    facts = MirrorFacts(wanted=GOOD.wanted, calls=200, copies=0, source=Source.NONE)
    assert judge_mirror(facts).outcome is Outcome.UNKNOWN


def test_copies_that_were_only_seen_to_leave_are_not_called_arrived() -> None:
    left = seen(source=Source.COUNTERS, arrivals=None, receiver=None)
    assert judge_mirror(left).outcome is Outcome.UNKNOWN
    inside = replace(left, wanted=replace(GOOD.wanted, across=False))
    assert judge_mirror(inside).outcome is Outcome.HOLDS


def test_a_mirror_at_rest_holds_when_nothing_is_copied_and_fails_otherwise() -> None:
    rest = replace(GOOD.wanted, percent=0)
    nothing = seen(**UNREACHED, wanted=rest, route=replace(ROUTE, policies=()), counters=counted(total=0, success=0))
    assert judge_mirror(nothing).outcome is Outcome.HOLDS
    assert judge_mirror(replace(nothing, copies=1)).diagnoses[0].cause is Cause.TOO_MANY


def test_copies_under_way_are_forgiven_in_running_traffic_only() -> None:
    assert judge_mirror(seen(copies=195, slack=5, arrivals=None)).outcome is Outcome.HOLDS
    assert judge_mirror(seen(copies=195, arrivals=None)).outcome is Outcome.FAILS


@given(st.integers(0, 400), st.integers(1, 400))
def test_the_interval_is_scipy_s_exact_one(copies: int, calls: int) -> None:
    copies = min(copies, calls)
    expected = binomtest(copies, calls).proportion_ci(CONFIDENCE, method="exact")
    got = interval(copies, calls)
    assert got.low == pytest.approx(expected.low * 100, abs=1e-6)
    assert got.high == pytest.approx(expected.high * 100, abs=1e-6)


def test_whole_and_nothing_are_exact() -> None:
    assert fits(500, 500, 100)
    assert not fits(499, 500, 100)
    assert fits(0, 500, 0)
    assert not fits(1, 500, 0)
    assert fits(250, 500, 50)
    assert not fits(300, 500, 50)
    assert str(interval(0, 0)) == "0 to 100 %"


def test_authorities_of_copies_and_who_takes_them() -> None:
    assert carried(f"{HOST}:8000", suffixed=True) == f"{HOST}-shadow:8000"
    assert carried(HOST, suffixed=True) == f"{HOST}-shadow"
    assert accepts((HOST,), f"{HOST}:8000")
    assert accepts(("*.staging.example",), f"{HOST}:8000")
    assert not accepts((HOST,), f"{HOST}-shadow:8000")
