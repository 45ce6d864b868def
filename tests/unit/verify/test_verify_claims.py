"""The claims of a run: what it takes to hold, for the primary and for each mirror."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.calls import CallSummary
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.causes import Cause
from pulumi_traffic_mirror.operations.verify.claims import Verdict, judge_mirror, judge_primary
from pulumi_traffic_mirror.operations.verify.evidence import Arrivals, ProxyCounters
from pulumi_traffic_mirror.operations.verify.facts import MirrorFacts, PrimaryFacts, Source
from tests.unit.verify.test_verify_diagnosis import GOOD, HOST, NOTHING


def calls(total: int = 500, failures: Mapping[str, int] | None = None, **answered_by: int) -> CallSummary:
    return CallSummary(
        total=total,
        answered_by=answered_by or {"v1": total},
        failures=failures or {},
        median_seconds=0.01,
        p95_seconds=0.02,
    )


def originals(count: int = 500, **changes: Any) -> Arrivals:
    return replace(Arrivals(calls=count, authorities={f"{HOST}:8000": count}, marks={"": count}), **changes)


PRIMARY = PrimaryFacts(calls=calls(), version="v1", arrivals=originals(), logs_calls=True)


def judged(**changes: Any) -> Verdict:
    return judge_primary(replace(PRIMARY, **changes))


def titles(verdict: Verdict) -> dict[str, Outcome]:
    return {claim.title: claim.outcome for claim in verdict.claims}


def test_a_primary_that_nobody_disturbs_holds() -> None:
    verdict = judged()
    assert titles(verdict) == dict.fromkeys(("v1 answers every call", "gets each call once, unmarked"), Outcome.HOLDS)
    assert verdict.causes == ()


@pytest.mark.parametrize(
    ("changes", "cause", "words"),
    [
        ({"calls": calls(500, v1=499, v2=1), "arrivals": originals(499)}, Cause.OTHER_VERSION, "v2 (1) answered"),
        (
            {"calls": calls(500, {"UNAVAILABLE: no healthy upstream": 1}, v1=499), "arrivals": originals(499)},
            Cause.PRIMARY_FAILS,
            "of 500 calls 1 failed (UNAVAILABLE: no healthy upstream)",
        ),
        ({"arrivals": originals(500, repeats=3)}, Cause.HANDLED_TWICE, "3 calls came to it once more"),
        (
            {"arrivals": originals(500, marks={"": 500, "mirror": 3})},
            Cause.PRIMARY_MARKED,
            "3 calls came to it with the mark of a copy",
        ),
        ({"arrivals": originals(400)}, Cause.PRIMARY_UNSEEN, "it logged 400 of 500 calls that were answered"),
    ],
)
def test_each_thing_that_clients_could_notice_fails(changes: dict[str, Any], cause: Cause, words: str) -> None:
    verdict = judged(**changes)
    assert (verdict.outcome, verdict.causes[0].cause) == (Outcome.FAILS, cause)
    assert words in verdict.causes[0].detail


def test_a_call_that_timed_out_may_have_been_logged_all_the_same() -> None:
    verdict = judged(calls=calls(500, {"DEADLINE_EXCEEDED": 2}, v1=498), arrivals=originals(500))
    assert [cause.cause for cause in verdict.causes] == [Cause.PRIMARY_FAILS]


@pytest.mark.parametrize("arrivals", [None, Arrivals()])
def test_a_primary_that_logged_nothing_leaves_its_claim_open(arrivals: Arrivals | None) -> None:
    assert titles(judged(arrivals=arrivals))["gets each call once, unmarked"] is Outcome.UNKNOWN


def test_a_foreign_application_is_held_against_answers_only() -> None:
    verdict = judged(version="", arrivals=None, logs_calls=False, calls=calls(answered_by={}) if False else calls())
    assert titles(verdict) == {"the primary answers every call": Outcome.HOLDS}


def test_a_gateway_that_cannot_be_reached_says_nothing_about_the_primary() -> None:
    verdict = judged(calls=calls(8, {"UNAVAILABLE": 8}), unreached="192.0.2.1:8000")
    assert (verdict.outcome, verdict.causes[0].cause) == (Outcome.UNKNOWN, Cause.NO_CALLS)


def claims(**changes: Any) -> dict[str, Outcome]:
    return titles(judge_mirror(replace(GOOD, **changes)))


EVERY_CLAIM = {
    "gets 100 % of the calls",
    "is configured in every proxy",
    "can be reached",
    "answers every copy",
    "gets no call twice",
    "sees the clients' authority",
    "gets no credential",
    "is marked as a mirror",
}


def test_a_mirror_is_held_against_every_claim() -> None:
    assert claims() == dict.fromkeys(EVERY_CLAIM, Outcome.HOLDS)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"copies": 499}, "gets 100 % of the calls"),
        ({"counters": ProxyCounters()}, "is configured in every proxy"),
        ({"counters": replace(GOOD.counters or ProxyCounters(), endpoints=0)}, "can be reached"),
        ({"counters": replace(GOOD.counters or ProxyCounters(), unanswered=1)}, "answers every copy"),
        ({"arrivals": replace(GOOD.arrivals or Arrivals(), repeats=1, marks={"mirror": 201})}, "gets no call twice"),
        ({"arrivals": replace(GOOD.arrivals or Arrivals(), authorities={"x": 200})}, "sees the clients' authority"),
        ({"arrivals": replace(GOOD.arrivals or Arrivals(), credentials={"cookie": 1})}, "gets no credential"),
        ({"arrivals": replace(GOOD.arrivals or Arrivals(), marks={"": 1, "mirror": 199})}, "is marked as a mirror"),
    ],
)
def test_each_fault_fails_its_own_claim_only(changes: dict[str, Any], title: str) -> None:
    found = claims(**changes)
    assert {name for name, outcome in found.items() if outcome is Outcome.FAILS} == {title}


def test_without_copies_nothing_is_claimed_of_what_they_look_like() -> None:
    found = claims(**NOTHING)
    open_claims = {"gets no call twice", "sees the clients' authority", "gets no credential", "is marked as a mirror"}
    assert {name for name, outcome in found.items() if outcome is Outcome.UNKNOWN} == open_claims


def test_both_authority_forms_are_accepted() -> None:
    suffixed = replace(GOOD.arrivals or Arrivals(), authorities={f"{HOST}-shadow:8000": 200})
    assert claims(arrivals=suffixed)["sees the clients' authority"] is Outcome.HOLDS


def test_a_waived_scrub_is_not_checked() -> None:
    bare = replace(GOOD.arrivals or Arrivals(), marks={"": 200}, credentials={})
    waived = replace(GOOD.wanted, mark=None, removed=frozenset())
    assert "is marked as a mirror" not in claims(wanted=waived, arrivals=bare)
    assert judge_mirror(replace(GOOD, wanted=waived, arrivals=bare)).outcome is Outcome.HOLDS


def test_what_cannot_be_seen_is_not_called_good() -> None:
    blind = MirrorFacts(wanted=GOOD.wanted, calls=200, copies=0, source=Source.NONE)
    assert set(titles(judge_mirror(blind)).values()) == {Outcome.UNKNOWN}


def test_no_claim_never_passes() -> None:
    assert Verdict(claims=()).outcome is Outcome.UNKNOWN
