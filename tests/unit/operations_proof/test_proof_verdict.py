"""The verdict: what it takes to hold, and which cause it names when it does not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.operations.calls import CallSummary
from components.operations.evidence import Arrivals, Evidence, ProxyCounters
from components.operations.mirror_plan import MirrorPlan
from components.operations.outcome import Outcome
from components.operations.verdict import Band, Verdict, judge

CROSS = "cross-cluster"
HOST = "grpc-hello.staging.example:8000"
IN_CLUSTER = MirrorPlan(
    name="in-cluster",
    label="greeter v2",
    percent=50,
    authorities=(HOST,),
    sender_cluster="staging",
    receiver_cluster="staging",
)
CROSS_CLUSTER = MirrorPlan(
    name="cross-cluster",
    label="greeter",
    percent=100,
    authorities=(HOST, "grpc-hello.staging.example-shadow:8000"),
    sender_cluster="staging",
    receiver_cluster="testing",
)


def calls(total: int = 500, failures: Mapping[str, int] | None = None, **answered_by: int) -> CallSummary:
    return CallSummary(
        total=total,
        answered_by=answered_by or {"v1": total},
        failures=failures or {},
        median_seconds=0.01,
        p95_seconds=0.02,
    )


def copies(count: int, **changes: Any) -> Arrivals:
    return replace(Arrivals(calls=count, authorities={HOST: count}, marks={"mirror": count}), **changes)


def originals(count: int) -> Arrivals:
    names = ("authorization", "cookie", "x-api-key")
    return Arrivals(calls=count, authorities={HOST: count}, marks={"": count}, credentials=dict.fromkeys(names, count))


def proxy(total: int, **changes: Any) -> ProxyCounters:
    return replace(ProxyCounters(known=True, endpoints=1, total=total, success=total), **changes)


def evidence(
    primary: int = 500, in_cluster: Arrivals | None = None, cross: Arrivals | None = None, **rest: Any
) -> Evidence:
    return Evidence(
        arrivals={
            "primary": originals(primary),
            "in-cluster": in_cluster if in_cluster is not None else copies(260),
            "cross-cluster": cross if cross is not None else copies(500),
        },
        **{"proxies": {"in-cluster": proxy(260), "cross-cluster": proxy(500)}, **rest},
    )


def verdict(summary: CallSummary, seen: Evidence) -> Verdict:
    return judge(version="v1", mirrors=(IN_CLUSTER, CROSS_CLUSTER), calls=summary, evidence=seen)


def failed(result: Verdict) -> set[tuple[str, str]]:
    return {(check.subject, check.title) for check in result.checks if check.outcome is Outcome.FAILS}


def test_a_faithful_run_holds() -> None:
    result = verdict(calls(), evidence())
    assert result.outcome is Outcome.HOLDS
    assert result.outcome.exit_code == 0
    assert result.causes == ()
    assert {check.subject for check in result.checks} == {"primary", "in-cluster", "cross-cluster"}


def test_no_call_never_passes() -> None:
    empty = evidence(0, Arrivals(), Arrivals(), proxies={})
    result = judge(
        version="v1",
        mirrors=(IN_CLUSTER, CROSS_CLUSTER),
        calls=CallSummary(total=0, answered_by={}, failures={}, median_seconds=0, p95_seconds=0),
        evidence=empty,
    )
    assert result.outcome is Outcome.UNKNOWN
    assert result.outcome.exit_code == 2


def test_no_check_never_passes() -> None:
    assert Verdict(checks=()).outcome is Outcome.UNKNOWN


def test_one_answer_by_another_version_fails_and_blames_the_route() -> None:
    result = verdict(calls(500, v1=499, v2=1), evidence(499))
    assert ("primary", "v1 answers every call") in failed(result)
    assert result.outcome.exit_code == 1
    assert "the route does not send every call to v1" in result.causes


def test_one_failed_call_fails_and_is_named() -> None:
    result = verdict(calls(500, {"UNAVAILABLE: no healthy upstream": 1}, v1=499), evidence(499))
    assert result.outcome is Outcome.FAILS
    assert "UNAVAILABLE: no healthy upstream" in result.causes[0]


def test_a_primary_that_logged_nothing_leaves_its_claim_open() -> None:
    seen = evidence()
    silent = replace(seen, arrivals={**seen.arrivals, "primary": Arrivals()})
    assert verdict(calls(), silent).outcome is Outcome.UNKNOWN


def test_a_primary_that_gets_a_mark_fails() -> None:
    seen = evidence()
    marked = replace(seen, arrivals={**seen.arrivals, "primary": copies(500)})
    assert ("primary", "gets each call once, unmarked") in failed(verdict(calls(), marked))


@pytest.mark.parametrize(
    ("name", "arrivals", "title"),
    [
        ("in-cluster", copies(216), "gets 50 % of the calls"),
        ("in-cluster", copies(284), "gets 50 % of the calls"),
        ("cross-cluster", copies(499), "gets 100 % of the calls"),
        ("cross-cluster", copies(500, repeats=1, marks={"mirror": 501}), "gets no call twice"),
        ("cross-cluster", copies(500, authorities={HOST: 499, "other:8000": 1}), "sees the clients' authority"),
        ("cross-cluster", copies(500, credentials={"cookie": 1}), "gets no credential"),
        ("in-cluster", copies(260, marks={"mirror": 259, "": 1}), "is marked as a mirror"),
    ],
)
def test_each_fault_of_a_mirror_fails_its_own_check_only(name: str, arrivals: Arrivals, title: str) -> None:
    seen = evidence()
    result = verdict(calls(), replace(seen, arrivals={**seen.arrivals, name: arrivals}))
    assert failed(result) == {(name, title)}
    assert len(result.causes) == 1


def test_both_authority_forms_are_accepted_across_clusters() -> None:
    suffixed = copies(500, authorities={"grpc-hello.staging.example-shadow:8000": 500})
    assert verdict(calls(), evidence(cross=suffixed)).outcome is Outcome.HOLDS


def test_a_waived_scrub_is_not_checked() -> None:
    plan = replace(CROSS_CLUSTER, is_scrubbed=False)
    seen = evidence(cross=copies(500, marks={"": 500}, credentials={"cookie": 500}))
    assert judge(version="v1", mirrors=(plan,), calls=calls(), evidence=seen).outcome is Outcome.HOLDS


def test_a_mirror_of_zero_per_cent_must_get_nothing() -> None:
    plan = replace(CROSS_CLUSTER, percent=0)
    nothing = judge(version="v1", mirrors=(plan,), calls=calls(), evidence=evidence(cross=Arrivals()))
    one = judge(version="v1", mirrors=(plan,), calls=calls(), evidence=evidence(cross=copies(1)))
    assert (nothing.outcome, one.outcome) == (Outcome.HOLDS, Outcome.FAILS)


NO_COPY: list[tuple[dict[str, Any], str]] = [
    ({"proxies": {CROSS: ProxyCounters()}}, "no cluster for cross-cluster: host, port or subset"),
    ({"proxies": {CROSS: ProxyCounters()}, "rejects": {"staging": 3}}, "proxies have refused 3 configurations"),
    ({"proxies": {CROSS: proxy(0)}}, "its route has no mirror policy"),
    ({"proxies": {CROSS: proxy(0)}, "rejects": {"staging": 1}}, "proxies have refused 1 configurations"),
    ({"proxies": {CROSS: proxy(0, endpoints=0)}}, "cross-cluster has no endpoint"),
    ({"proxies": {CROSS: proxy(500, success=0, connect_failures=9)}}, "9 connections to the mirror failed"),
    (
        {"proxies": {CROSS: proxy(0)}, "warm_up_proxies": {CROSS: proxy(20, success=0, connect_failures=5)}},
        "5 connections to the mirror failed",
    ),
    ({"proxies": {CROSS: proxy(5, ejected=1)}}, "outlier detection has taken out 1 of 1 endpoints"),
    (
        {"proxies": {CROSS: proxy(0)}, "warm_up_proxies": {CROSS: proxy(20, error=20)}},
        "outlier detection took the mirror out after errors (20 of 20 copies failed)",
    ),
    ({"proxies": {CROSS: proxy(500, active=40)}}, "40 copies stay in flight, 0 timed out"),
    ({"proxies": {CROSS: proxy(500, timeout=500)}}, "0 copies stay in flight, 500 timed out"),
    ({"proxies": {CROSS: proxy(500, error=500)}}, "500 of 500 copies ended with a server error"),
    ({"gateway_answers": {CROSS: {"200 route_not_found": 500}}}, "no route for 500 copies (404, or grpc-status 12"),
    (
        {"proxies": {CROSS: proxy(0)}, "warm_up_answers": {CROSS: {"200 route_not_found": 20}}},
        "no route for 20 copies",
    ),
    (
        {"warm_up_answers": {CROSS: {"200 no_healthy_upstream": 20}}},
        "answered copies itself: 200 no_healthy_upstream (20)",
    ),
    ({"gateway_answers": {CROSS: {"200 via_upstream": 500}}}, "passed 500 copies on and the application logged 0"),
    ({}, "nobody logs them, as by 404, or grpc-status 12"),
    (
        {"proxies": {}, "rejects": {"staging": 2}},
        "nothing else could be seen; proxies have refused 2 configurations since istiod started",
    ),
    ({"proxies": {}}, "0 of 500 calls were copied, 500 were due"),
]


@pytest.mark.parametrize(("seen", "words"), NO_COPY)
def test_a_mirror_without_copies_gets_its_likeliest_cause(seen: dict[str, Any], words: str) -> None:
    result = verdict(calls(), evidence(cross=Arrivals(), **seen))
    assert ("cross-cluster", "gets 100 % of the calls") in failed(result)
    assert words in result.causes[-1]


def test_a_refusing_receiver_is_told_which_hosts_to_accept() -> None:
    seen = evidence(cross=Arrivals(), gateway_answers={"cross-cluster": {"404 route_not_found": 500}})
    assert "grpc-hello.staging.example-shadow:8000" in verdict(calls(), seen).causes[-1]


def test_too_many_copies_blame_the_percentage() -> None:
    assert "500 of 500 calls were copied, 250 were due" in verdict(calls(), evidence(in_cluster=copies(500))).causes[0]


def test_bands_are_those_of_the_binomial_and_exact_at_the_ends() -> None:
    assert (Band.of(500, 50).low, Band.of(500, 50).high) == (217, 283)
    assert (Band.of(500, 10).low, Band.of(500, 10).high) == (30, 70)
    assert str(Band.of(500, 100)) == "500"
    assert Band.of(500, 0) == Band(low=0, high=0)


@given(st.integers(0, 100_000), st.floats(0, 100))
def test_a_band_holds_its_expected_count_and_stays_within_the_calls(count: int, percent: float) -> None:
    band = Band.of(count, percent)
    assert band.low >= 0
    assert band.high <= count
    expected = count * percent / 100
    assert band.low - 1 < expected < band.high + 1


def test_the_verdict_as_json_has_outcome_causes_and_checks() -> None:
    document: Any = verdict(calls(), evidence(cross=copies(499))).to_json()
    assert document["outcome"] == "fails"
    assert document["causes"]
    assert {"subject", "title", "expected", "seen", "outcome", "cause"} == set(document["checks"][0])
