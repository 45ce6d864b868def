"""What Flagger and Argo Rollouts do to mirrors is said of their own objects, and of those that they write."""

from typing import Any

import pytest

from tests.unit.model.controller_cases import (
    CANARY,
    ELSEWHERE,
    MIRROR_STEP,
    OWN_MIRROR,
    PRIMARY,
    canary,
    entry,
    rollout,
    routes,
    rule,
)
from tests.unit.model.samples import Object, findings, mesh


def said(rule_id: str, *objects: Object) -> list[str]:
    return [found.message for found in findings(mesh(list(objects)), rule_id)]


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        ({"mirror": True}, "Flagger will mirror 100 %, as there is no mirrorWeight, of the requests to orders-canary"),
        ({"mirror": True, "mirrorWeight": 25}, "Flagger will mirror 25 % of the requests to orders-canary"),
    ],
)
def test_the_share_of_flagger_s_mirror_is_told(analysis: dict[str, Any], words: str) -> None:
    assert said("controller-mirror", canary(**analysis)) == [words]


def test_flagger_is_judged_where_it_routes_by_istio_alone() -> None:
    elsewhere = canary(mirror=True)
    elsewhere["spec"]["provider"] = "nginx"
    assert said("controller-mirror", elsewhere) == []
    named = canary(mirror=True)
    named["spec"]["service"]["name"] = "shop"
    assert "to shop-canary" in said("controller-mirror", named)[0]


def test_the_mirror_step_of_a_rollout_is_told() -> None:
    (words,) = said("controller-mirror", rollout(MIRROR_STEP))
    assert "'shadow' before all others, which mirrors 35 % to orders-canary" in words
    assert said("controller-mirror", rollout({"setMirrorRoute": {"name": "shadow"}})) == []


def test_what_flagger_will_take_out_of_its_objects_is_named_with_its_canary() -> None:
    written = routes(entry("a", 100, 0, stable=PRIMARY, **ELSEWHERE), {"delegate": {"name": "b"}}, exportTo=["."])
    (words,) = said("controller-rewrites", canary(), written)
    assert words == (
        "Canary shop/orders, by Flagger, writes it anew without the mirror to next.shop.svc.cluster.local,"
        " the delegate of entry 1, exportTo"
    )
    assert said("controller-rewrites", canary(), rule()) == [
        "Canary shop/orders, by Flagger, writes it anew without its trafficPolicy"
    ]


def test_what_the_canary_says_itself_stays() -> None:
    found = canary()
    found["spec"]["service"]["trafficPolicy"] = {"connectionPool": {}}
    assert said("controller-rewrites", found, rule(), routes(entry("a", 100, 0, **OWN_MIRROR))) == []


def test_a_mirror_to_a_destination_of_its_route_gets_no_limits_recommended() -> None:
    """They would meet what clients wait for with the next weight."""
    flagger = routes(entry("a", 100, 0, stable=PRIMARY, **OWN_MIRROR))
    shared = [
        found for each in ("mirror-no-brakes", "mirror-unbounded-life") for found in findings(mesh([flagger]), each)
    ]
    assert len(shared) == 2
    assert all(found.remedy.startswith("Give the mirror a Service of its own") for found in shared)
    apart = routes(entry("a", 100, 0, stable=PRIMARY, **ELSEWHERE))
    assert "connectionPool" in findings(mesh([apart]), "mirror-no-brakes")[0].remedy


def test_another_entry_s_destination_counts_and_another_subset_does_not() -> None:
    """Flagger and Argo Rollouts have entries by header beside those by weight."""
    to_canary = {"name": "b", "route": [{"destination": {"host": CANARY, "port": {"number": 80}}}]}
    mirroring = {"name": "a", "route": [{"destination": {"host": PRIMARY, "port": {"number": 80}}}], **OWN_MIRROR}
    assert len(said("mirror-is-destination", routes(mirroring, to_canary))) == 1
    to_canary["route"][0]["destination"]["subset"] = "v1"
    assert said("mirror-is-destination", routes(mirroring, to_canary)) == []
