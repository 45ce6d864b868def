"""Each cause that a mirror can fail for is named from the evidence that tells it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.authorities import accepts, carried
from pulumi_traffic_mirror.operations.verify.causes import REMEDIES, Cause
from pulumi_traffic_mirror.operations.verify.claims import judge_mirror
from pulumi_traffic_mirror.operations.verify.evidence import Arrivals, ProxyCounters
from pulumi_traffic_mirror.operations.verify.facts import Hung, MirrorFacts, Receiver, Refusal, Source, Wanted, Witness
from pulumi_traffic_mirror.operations.verify.proxy import ClusterView, MirrorPolicy, RouteView
from pulumi_traffic_mirror.operations.verify.shares import CONFIDENCE, band, fits, interval, telling_calls

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


def refusal(kind: str, **changes: Any) -> Refusal:
    return replace(Refusal(proxy="the sending proxy gate-1", kinds=(kind,)), **changes)


HUNG = replace(GOOD.wanted, hung=Hung(source="EnvoyFilter istio-system/shop", header="x-to"))


def test_a_faithful_mirror_holds() -> None:
    verdict = judge_mirror(GOOD)
    assert verdict.outcome is Outcome.HOLDS
    assert verdict.causes == ()


CASES: list[tuple[Cause, dict[str, Any], str]] = [
    (Cause.NO_CALLS, {**UNREACHED, "calls": 0}, "no call"),
    (
        Cause.TOO_FEW_CALLS,
        {
            **UNREACHED,
            "wanted": replace(GOOD.wanted, percent=1),
            "route": routed(percent=1),
            "counters": counted(total=0, success=0),
        },
        "none of 200 calls was copied, which may happen at 1 %; 658 calls would tell",
    ),
    (
        Cause.REJECTED,
        {**UNREACHED, "refused": (refusal("cluster"),), "counters": ProxyCounters()},
        "refused its last cluster configuration",
    ),
    (Cause.FROZEN, {**UNREACHED, "refused": (refusal("route"),), "route": replace(ROUTE, policies=())}, "is frozen in"),
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
    (
        Cause.NO_POLICY,
        {**UNREACHED, "wanted": HUNG, "coverage": (0, 4), "route": replace(ROUTE, policies=())},
        f"0 of 4 forwarding routes of {HOST}:8000 carry the mirror",
    ),
    (Cause.NOT_EVERYWHERE, {"wanted": HUNG, "coverage": (3, 4)}, "3 of 4 forwarding routes"),
    (
        Cause.COPIES_OTHERS,
        {"wanted": HUNG, "witnesses": (Witness(kind="posts", calls=20, copies=4),)},
        "copies came of 4 of 20 posts requests",
    ),
    (Cause.COPIES_OTHERS, {"wanted": HUNG, "route": routed(header="x-to", forgeable=True)}, "leaves x-to as a client"),
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
    (Cause.REJECTED, {"refused": (refusal("cluster"),)}, "keeps the one before"),
    (
        Cause.REJECTED,
        {"refused": (refusal("cluster", filters=("istio-system/brakes",), words="Error adding/updating cluster(s)"),)},
        "what it refused is changed by EnvoyFilter istio-system/brakes (Error adding/updating cluster(s))",
    ),
    (
        Cause.OTHER_ROUTE,
        {"owner": "hello/greeter", "route": replace(ROUTE, owner="shop/other", policies=())},
        "the calls are taken by VirtualService shop/other, not by hello/greeter",
    ),
    (
        Cause.NO_BRAKES,
        {"wanted": replace(GOOD.wanted, max_duration_seconds=8, max_requests=64)},
        "the sending proxy has no bound on the life of a copy and up to 256 copies in flight instead of 64",
    ),
    (
        Cause.NO_POLICY,
        {"sidecars_without": ("caller-1.shop", "caller-2.shop")},
        f"the sidecar caller-1.shop and 1 more have no mirror to {CLUSTER} on its route of the mesh",
    ),
    (
        Cause.NO_BRAKES,
        {"sidecars_unbraked": ("caller-1.shop",)},
        "the sidecar caller-1.shop has no bound on the life of a copy",
    ),
    (
        Cause.UNANSWERED,
        {
            "counters": counted(success=190, unanswered=10),
            "cluster": ClusterView(http2=True, max_duration_seconds=8),
        },
        "10 of 200 copies ended without an answer, as after the 8 s that the proxy gives them",
    ),
    (
        Cause.TLS,
        {"obstacles": ("the receiver's certificate has expired on 2026-11-23 11:00 UTC",)},
        "a new connection would fail: the receiver's certificate has expired",
    ),
    (
        Cause.OTHER_AUTHORITY,
        {"arrivals": replace(GOOD.arrivals or Arrivals(), authorities={"evil.example:8000": 200})},
        f"copies arrive with the authority evil.example:8000 (200), not {HOST}:8000",
    ),
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


OPEN = {Cause.NO_CALLS, Cause.TOO_FEW_CALLS}
PRIMARY_CAUSES = {
    Cause.PRIMARY_FAILS,
    Cause.OTHER_VERSION,
    Cause.HANDLED_TWICE,
    Cause.PRIMARY_MARKED,
    Cause.PRIMARY_UNSEEN,
}


@pytest.mark.parametrize(("cause", "changes", "words"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_each_cause_is_named_from_its_evidence(cause: Cause, changes: dict[str, Any], words: str) -> None:
    verdict = judge_mirror(seen(**changes))
    assert verdict.outcome is (Outcome.UNKNOWN if cause in OPEN else Outcome.FAILS)
    first = verdict.causes[0]
    assert (first.cause, words in first.detail) == (cause, True), first
    assert first.remedy == REMEDIES[cause]


def test_a_receiver_that_was_ejected_for_its_refusals_is_diagnosed_by_its_routes() -> None:
    ejected = counted(total=5, success=5, ejected=1)
    facts = seen(**NOTHING, counters=ejected, receiver=received(answers={}, accepted=()))
    assert judge_mirror(facts).causes[0].cause is Cause.NOT_ACCEPTED


def test_copies_that_arrive_and_are_never_answered_fail() -> None:
    verdict = judge_mirror(seen(peak=200, counters=counted(success=0, active=200)))
    assert [each.cause for each in verdict.causes] == [Cause.TIMEOUT]


def test_calls_that_no_route_takes_fail_though_none_is_answered() -> None:
    verdict = judge_mirror(seen(**UNREACHED, calls=0, route=None))
    assert (verdict.outcome, verdict.causes[0].cause) == (Outcome.FAILS, Cause.NO_ROUTE)


def test_every_cause_has_a_row_and_a_remedy() -> None:
    assert {case[0] for case in CASES} | PRIMARY_CAUSES == set(Cause) == set(REMEDIES)


AT_ONE_PERCENT: dict[str, Any] = {
    **UNREACHED,
    "wanted": replace(GOOD.wanted, percent=1),
    "route": routed(percent=1),
    "counters": counted(total=0, success=0),
}


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        pytest.param(Cause.CLUSTER_MISSING, {"counters": ProxyCounters(), "cluster": None}, id="ServiceEntry deleted"),
        pytest.param(Cause.NO_POLICY, {"route": replace(ROUTE, policies=())}, id="policy never got to the proxy"),
        pytest.param(Cause.OTHER_PERCENT, {"route": routed(percent=10)}, id="another share in the proxy"),
        pytest.param(Cause.TLS, {"obstacles": ("the sender's certificate has expired",)}, id="certificate expired"),
        pytest.param(Cause.NO_ENDPOINTS, {"counters": counted(endpoints=0, total=0, success=0)}, id="no endpoint"),
        pytest.param(Cause.CONNECT, {"counters": counted(total=2, success=0, connect_failures=2)}, id="no connection"),
        pytest.param(Cause.NOT_ACCEPTED, {"receiver": received(answers={}, accepted=("other",))}, id="no route there"),
        pytest.param(Cause.FROZEN, {"refused": (refusal("cluster"), refusal("route"))}, id="configuration refused"),
        pytest.param(Cause.ERRORS, {"counters": counted(total=2, success=0, error=2)}, id="the two copies failed"),
    ],
)
def test_a_small_share_does_not_hide_a_dead_mirror(cause: Cause, changes: dict[str, Any]) -> None:
    verdict = judge_mirror(seen(**{**AT_ONE_PERCENT, **changes}))
    assert (verdict.outcome, verdict.causes[0].cause) == (Outcome.FAILS, cause)


def test_a_small_share_that_is_seen_once_holds() -> None:
    once = seen(
        **{
            **AT_ONE_PERCENT,
            "copies": 1,
            "counters": counted(total=1, success=1),
            "receiver": received(answers={"200 via_upstream": 1}, passed_on=1),
            "arrivals": Arrivals(calls=1, authorities={f"{HOST}:8000": 1}, marks={"mirror": 1}),
        }
    )
    assert judge_mirror(once).outcome is Outcome.HOLDS


def test_an_authority_that_the_route_writes_is_the_expected_one() -> None:
    rewritten = replace(GOOD.wanted, rewrite="inner.example")
    arrivals = replace(GOOD.arrivals or Arrivals(), authorities={"inner.example": 150, "inner.example-shadow:8000": 50})
    facts = seen(wanted=rewritten, arrivals=arrivals, receiver=received(accepted=("inner.example",)))
    assert judge_mirror(facts).outcome is Outcome.HOLDS
    assert judge_mirror(replace(facts, arrivals=GOOD.arrivals)).causes[0].cause is Cause.OTHER_AUTHORITY


def test_headers_that_nobody_promised_to_take_off_are_not_demanded() -> None:
    waived = seen(wanted=replace(GOOD.wanted, removed=frozenset()), arrivals=None, route=routed(removed=frozenset()))
    assert judge_mirror(waived).outcome is Outcome.HOLDS


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
    assert judge_mirror(replace(nothing, copies=1)).causes[0].cause is Cause.TOO_MANY


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


@given(st.integers(0, 100_000), st.floats(0, 100))
def test_a_band_is_exactly_what_fits(calls: int, percent: float) -> None:
    allowed = band(calls, percent)
    assert 0 <= allowed.low <= calls * percent / 100 + 1
    assert calls * percent / 100 - 1 <= allowed.high <= calls
    for count in (allowed.low, allowed.high):
        assert fits(count, calls, percent)
    for count in (allowed.low - 1, allowed.high + 1):
        assert not 0 <= count <= calls or not fits(count, calls, percent)


@pytest.mark.parametrize(
    ("calls", "percent", "words"), [(500, 10, "31 to 71"), (500, 50, "217 to 283"), (500, 100, "500"), (500, 0, "0")]
)
def test_a_band_is_said_in_counts(calls: int, percent: float, words: str) -> None:
    assert str(band(calls, percent)) == words


@pytest.mark.parametrize(("percent", "calls"), [(100, 1), (50, 10), (10, 63), (1, 658)])
def test_how_many_calls_tell_a_share_from_nothing(percent: float, calls: int) -> None:
    assert telling_calls(percent) == calls
    assert not fits(0, calls, percent)
    assert percent == 100 or fits(0, calls - 1, percent)


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
