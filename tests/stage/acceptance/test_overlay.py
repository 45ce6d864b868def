"""Overlays on routes that the cases' own objects own, before the real istiod: copies, and what stays as it was."""

import json
from typing import Any

import pytest

from pulumi_traffic_mirror.model import MeshService
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab, settled
from .overlays import (
    AIM,
    HTTP,
    PORT,
    READS,
    assert_split_alike,
    call,
    copies,
    dump,
    mirror,
    overlaid,
    owner,
    settled_dump,
    share,
    uncopied,
    under_change,
    undisturbed,
    unpatched,
    without_overlay,
)
from .report import band, span
from .terms import NAMESPACE, STAGING, TESTING, echo

pytestmark = pytest.mark.stage

SOURCE = "overlays"
ECHO = "deployment/echo-v2"
CALLS = 2000
RATE = 200
"""Calls per second."""


def test_an_overlay_copies_what_it_names_and_changes_nothing_else(lab: Lab, case: Any) -> None:
    note = case("Overlay on a foreign VirtualService", SOURCE, "GETs of its paths copied; all else as without it")
    with lab.applied(STAGING, [owner()]):
        before = undisturbed(lab)
        with overlaid(lab, mirror()):
            during = dump(lab.gateway)
            reads = call(lab, 200)
            cart = call(lab, 50, path="/api/cart/7")
            elsewhere = call(lab, 50, path="/else")
            assert (copies(lab, reads, 200), copies(lab, cart, 50), copies(lab, elsewhere, 0)) == (200, 50, 0)
            assert uncopied(lab) == {"POST": 0, "marked": 0, "forged": 0}
            records = lab.records(STAGING, "v3", cart["run"])
            (head, *_) = [dict(record["headers"]) for record in records]
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    note("200 + 50 copies, 0 of POST, marked, forged, other path", "the servers' own records, the proxy's dump")
    assert during != before
    assert without_overlay(json.loads(during)) == json.loads(before)
    assert head[":path"] == "/v2/cart/7"
    assert head["x-traffic-mirror"] == "mirror"
    assert not any(name.startswith("x-traffic-mirror-to-") for name in head)


@pytest.mark.timeout(330)
def test_an_owner_s_changes_under_load_go_on_as_without_the_overlay(lab: Lab, case: Any) -> None:
    calls, percent = CALLS, 25
    least, most = band(calls, percent)
    note = case(
        "Overlay while weights change every second and a rollout runs",
        SOURCE,
        f"all answered, split as without it, {span(least, most)} of {calls:,} copied, routes restored",
    )

    def calling() -> dict[str, Any]:
        return call(lab, calls, rate=RATE, concurrency=64)

    with lab.applied(STAGING, [owner()]):
        before = undisturbed(lab)
        plain = under_change(lab, owner, calling, ECHO)
        wait_until(lambda: dump(lab.gateway) == before, what="the weights are as they were", timeout=30)
        with overlaid(lab, mirror(percent=percent)):
            result = under_change(lab, owner, calling, ECHO)
            copied = copies(lab, result, least)
            left = uncopied(lab)
            wait_until(lambda: unpatched(lab) == json.loads(before), what="all but the patch is as it was", timeout=30)
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    split = f"v1 {share(result):.1%}, {share(plain):.1%} without"
    note(
        f"{result['good']:,} of {calls:,} answered, {split}, {copied:,} copies",
        "the callers' and the servers' own records, the proxy's dump",
    )
    assert (plain["good"], result["good"]) == (calls, calls), (plain["failures"], result["failures"])
    assert_split_alike(plain, result)
    assert least <= copied <= most
    assert left == {"POST": 0, "marked": 0, "forged": 0}


def test_an_owner_s_route_that_is_made_again_is_mirrored_without_a_deployment(lab: Lab, case: Any) -> None:
    note = case("Overlay and a route that is deleted and made again", SOURCE, "copies before and after, none between")
    counts: list[int] = []
    with lab.applied(STAGING, [owner()]):
        undisturbed(lab)
        with overlaid(lab, mirror()):
            counts.append(copies(lab, call(lab, 50), 50))
            lab.outpost.ask("delete", STAGING, owner()["apiVersion"], "VirtualService", NAMESPACE, "owner")
            wait_until(lambda: AIM not in dump(lab.gateway), what="the route is gone", timeout=30)
            counts.append(copies(lab, call(lab, 20), 0))
            lab.outpost.ask("apply", STAGING, owner())
            settled_dump(lab.gateway, AIM)
            counts.append(copies(lab, call(lab, 50), 50))
    note(" / ".join(map(str, counts)), "the servers' own records")
    assert counts == [50, 0, 50]


def test_two_overlays_on_one_host_copy_each_its_own(lab: Lab, case: Any) -> None:
    """One inside the cluster, one to another cluster through both gateways."""
    note = case("Two overlays on one host", SOURCE, "100 copies at each mirror, 0 of what the second leaves out")
    across = lab.in_testing(HTTP, match=READS)
    with lab.applied(STAGING, [owner()]):
        before = undisturbed(lab)
        with overlaid(lab, mirror()), overlaid(lab, across, name="far"):
            reads = call(lab, 100)
            here = copies(lab, reads, 100)
            there = settled(lambda: lab.seen(TESTING, "v1", reads["run"]), complete=100)["calls"]
            records = [dict(each["headers"]) for each in lab.records(STAGING, "v3", reads["run"])]
            assert uncopied(lab) == {"POST": 0, "marked": 0, "forged": 0}
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    note(f"{here} and {there}", "the servers' own records")
    assert (here, there) == (100, 100)
    assert not [name for each in records for name in each if name == AIM]


def test_callers_with_sidecars_are_mirrored_without_any_route(lab: Lab, case: Any) -> None:
    note = case("Overlay on a Service that callers with sidecars call", SOURCE, "100 of 100 GETs, 0 POSTs")
    target = echo("v1", HTTP)
    with overlaid(lab, mirror(), on=[MeshService(target.host, PORT)]):
        job = {"protocol": "http1", "authority": "", "method": "GET", "path": "/api/7", "headers": {}, "body_bytes": 0}
        address = f"{target.host}:{PORT}"
        reads = lab.run_job(lab.job_to(address, 100, **job), inside=True)
        writes = lab.run_job(lab.job_to(address, 50, **{**job, "method": "POST"}), inside=True)
        seen = (copies(lab, reads, 100), copies(lab, writes, 0))
    note(f"{seen[0]} and {seen[1]}", "the servers' own records")
    assert seen == (100, 0)
    assert reads["versions"] == {"v1": 100}, reads["failures"]
