"""Overlays beside Flagger and Argo Rollouts: objects as their routers write them, before the real istiod."""

from typing import Any

import pytest

from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, settled
from .overlays import AIM, HOST, HTTP, PORT, call, copies, dump, mirror, overlaid, settled_dump
from .report import band
from .terms import GATEWAY, NAMESPACE, STAGING, echo

pytestmark = pytest.mark.stage

SOURCE = "overlays"
STABLE, CANARY = ({"host": str(echo(version, HTTP).host), "port": {"number": PORT}} for version in ("v1", "v2"))
TOKEN = {"authorization": "Bearer made-up"}


def written(*entries: dict[str, Any]) -> dict[str, Any]:
    """A VirtualService with these entries."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "owner", "namespace": NAMESPACE},
        "spec": {"hosts": [HOST], "gateways": [str(GATEWAY)], "http": list(entries)},
    }


def entry(stable: int, **more: Any) -> dict[str, Any]:
    """An entry between both versions."""
    route = [{"destination": STABLE, "weight": stable}, {"destination": CANARY, "weight": 100 - stable}]
    return {**more, "route": route}


def headers(lab: Lab, version: str, run: str) -> list[dict[str, str]]:
    """Headers of a run's requests at an echo server."""
    return [dict(each["headers"]) for each in lab.records(STAGING, version, run)]


def test_flagger_s_steps_keep_the_overlay_and_its_bounds_stay_off_the_canary(lab: Lab, case: Any) -> None:
    note = case(
        "Overlay beside Flagger 1.36.1's objects",
        SOURCE,
        "its mirror step copies 100 % with credentials; ours 100 % without, and goes on at the first weight",
    )
    with lab.applied(STAGING, [written(entry(100, mirror=CANARY))]), overlaid(lab, mirror()):
        first = call(lab, 100, headers=TOKEN)
        ours = copies(lab, first, 100)
        theirs = settled(lambda: lab.seen(STAGING, "v2", first["run"]), complete=100)["calls"]
        unguarded = headers(lab, "v2", first["run"])
        guarded = headers(lab, "v3", first["run"])
        lab.outpost.ask("apply", STAGING, written(entry(50)))
        wait_until(
            lambda: '"request_mirror_policies": [{"cluster": "' not in dump(lab.gateway), what="the step", timeout=30
        )
        second = call(lab, 100, headers=TOKEN)
        later = copies(lab, second, 100)
        bounded = lab.gateway.bounded_clusters()
    note(f"theirs {theirs}, ours {ours}, then {later}", "the servers' own records, the proxy's clusters")
    assert (ours, theirs, later) == (100, 100, 100)
    assert all("authorization" in each and "x-traffic-mirror" not in each for each in unguarded)
    assert all("authorization" not in each and each["x-traffic-mirror"] == "mirror" for each in guarded)
    assert second["good"] == 100, second["failures"]
    assert set(second["versions"]) == {"v1", "v2"}
    assert all(echo("v3", HTTP).cluster_name in each for each in bounded)
    assert not any(echo("v2", HTTP).cluster_name in each for each in bounded)


def test_argo_s_mirror_step_is_an_entry_more_that_the_overlay_hangs_on(lab: Lab, case: Any) -> None:
    calls, percent = 500, 35
    least, most = band(calls, percent)
    note = case(
        "Overlay beside Argo Rollouts 1.10.1's objects",
        SOURCE,
        f"{least} to {most} of {calls} by its entry, {calls} by ours",
    )
    shadow = entry(90, name="shadow", match=[{"method": {"exact": "GET"}}], mirror=CANARY)
    shadow |= {"mirrorPercentage": {"value": percent}, "route": [{"destination": STABLE, "weight": 100}]}
    with lab.applied(STAGING, [written(entry(100, name="primary"))]), overlaid(lab, mirror()):
        lab.outpost.ask("apply", STAGING, written(shadow, entry(100, name="primary")))
        settled_dump(lab.gateway, '"shadow"')
        assert dump(lab.gateway).count(f'"cluster_header": "{AIM}"') == 2
        result = call(lab, calls)
        ours = copies(lab, result, calls)
        theirs = settled(lambda: lab.seen(STAGING, "v2", result["run"]), complete=least)["calls"]
    note(f"theirs {theirs}, ours {ours}", "the servers' own records")
    assert ours == calls
    assert least <= theirs <= most
    assert result["versions"] == {"v1": calls}, result["failures"]
