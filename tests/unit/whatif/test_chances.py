"""What is read of weights and shares is held against what real proxies do with chance."""

from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.whatif import what_if
from pulumi_traffic_mirror.operations.whatif.chances import LEAST_EACH, MOST, by_chance, chosen_again, contradictions
from pulumi_traffic_mirror.operations.whatif.fates import Arrival, Outcome
from pulumi_traffic_mirror.operations.whatif.routes import RouteFacts, facts_of
from tests.support.what_if import V1, V2, door, recorded, request, route, state, weighted


def facts(**action: Any) -> RouteFacts:
    at = door([route("a", **action)])
    [found] = facts_of(state(at), at)
    return found


def mirror(percent: int) -> dict[str, Any]:
    share = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
    return {"request_mirror_policies": [{"cluster": V2, "runtime_fraction": share}]}


def outcomes(first: int, second: int, copies: int = 0) -> list[Outcome]:
    arrivals = [Arrival(cluster=name, method="GET", path="/", headers=()) for name in (V1, V2)]
    primaries = [*first * [arrivals[0]], *second * [arrivals[1]]]
    return [
        Outcome(route=0, details="", status=200, primary=each, copies=tuple(arrivals[1:] if index < copies else ()))
        for index, each in enumerate(primaries)
    ]


@pytest.mark.parametrize(
    ("route_", "counted", "told"),
    [
        (facts(**weighted(v1=90, v2=10)), outcomes(360, 40), False),
        (facts(**weighted(v1=90, v2=10)), outcomes(340, 60), False),
        (facts(**weighted(v1=90, v2=10)), outcomes(320, 80), True),
        (facts(**mirror(10)), outcomes(400, 0, copies=40), False),
        (facts(**mirror(10)), outcomes(400, 0, copies=80), True),
        (facts(), outcomes(400, 0), False),
    ],
)
def test_counts_contradict_a_share_or_not(route_: RouteFacts, counted: list[Outcome], told: bool) -> None:
    assert bool(list(contradictions(counted, [route_]))) == told


def test_only_what_is_random_is_sent_again_and_not_too_much() -> None:
    assert [by_chance(facts(**given)) for given in ({}, mirror(100), mirror(10), weighted(v1=1, v2=1))] == [
        False,
        False,
        True,
        True,
    ]
    random = facts(**mirror(10))
    assert chosen_again({0: [7], 1: [8, 9]}, [facts(), random]) == [8, 9] * 200
    many = chosen_again({index: [index] for index in range(1_000)}, [random] * 1_000)
    assert len(many) == MOST
    assert many.count(0) == LEAST_EACH


@pytest.mark.asyncio
async def test_real_proxies_do_what_is_read(envoy: Path) -> None:
    given = state(door([route("a", "/w", **weighted(v1=700, v2=300)), route("b", **mirror(25))]))
    requests = [request(number, ["/w", "/"][number % 2]) for number in range(10)]
    result = await what_if(envoy, given, given, recorded(*requests))
    assert (list(result.unseen), list(result.changes), result.counted.sent) == ([], [], 10)
