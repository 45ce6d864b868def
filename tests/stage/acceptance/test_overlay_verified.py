"""Whether an overlay is in force, as ``traffic-mirror verify`` tells it of real proxies."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import MeshService
from pulumi_traffic_mirror.operations.verify.causes import Cause
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab
from .overlays import HOST, HTTP, PORT, dump, mirror, overlaid, owner
from .terms import STAGING, echo

pytestmark = pytest.mark.stage

SOURCE = "overlays"
PATIENCE_SECONDS = 40
NAME = "echo-v3"


def filtered(title: str, priority: int, operation: str, value: dict[str, Any], **route: str) -> dict[str, Any]:
    """Somebody's EnvoyFilter on routes of the host."""
    host = {"domainName": HOST, "route": route} if route else {"domainName": HOST}
    match = {"context": "GATEWAY", "routeConfiguration": {"vhost": host}}
    patch = {"applyTo": "HTTP_ROUTE", "match": match, "patch": {"operation": operation, "value": value}}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": title, "namespace": "istio-system"},
        "spec": {"priority": priority, "configPatches": [patch]},
    }


def verify(lab: Lab, holds: Callable[[dict[str, Any]], bool], *words: str, host: str = HOST) -> dict[str, Any]:
    """Verify until the result is as expected, because configuration takes a moment, or the time is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    where = ("--staging", str(lab.stage.kubeconfigs[STAGING]), "--host", host, "--path", "/api/orders")
    gateway = ("--gateway", f"{lab.stage.gateway_addresses[STAGING]}:{PORT}") if host == HOST else ()
    argv = [sys.executable, "-m", "pulumi_traffic_mirror.cli", "verify", *where, *gateway, "--json", *words]
    while True:
        done = lab.stage.run_in_fabric(argv, timeout=60, check=False, cwd=Path(__file__).parents[3])
        assert done.stdout, done.stderr
        result = {**json.loads(done.stdout), "exit": done.returncode}
        if holds(result) or time.monotonic() > deadline:
            return result


@contextmanager
def called(lab: Lab, address: str) -> Iterator[None]:
    """Call an address from inside the mesh all the time, second by second."""
    job = {"protocol": "http1", "authority": "", "method": "GET", "headers": {}, "body_bytes": 0, "path": "/api/orders"}
    over = threading.Event()

    def calls() -> None:
        while not over.is_set():
            lab.run_job(lab.job_to(address, 40, **{**job, "rate": 40}), inside=True)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(calls)
        try:
            yield
        finally:
            over.set()
            running.result(timeout=60)


def causes(result: dict[str, Any]) -> list[str]:
    (found,) = [each for each in result["mirrors"] if each["name"] == NAME]
    return [each["cause"] for each in found["causes"]]


def test_an_overlay_in_force_holds_and_its_witnesses_are_not_copied(lab: Lab, case: Any) -> None:
    note = case(
        "verify of an overlay in force", SOURCE, "exit code 0; marked, forged and posted requests made, none copied"
    )
    with lab.applied(STAGING, [owner()]), overlaid(lab, mirror()):
        result = verify(lab, lambda found: found["exit"] == 0, "--calls", "60", "--posts")
    (found,) = result["mirrors"]
    (claim,) = [each for each in found["claims"] if each["title"] == "leaves other requests alone"]
    note(f"exit code {result['exit']}; {claim['seen']}", "verify's report")
    assert result["exit"] == 0, result
    assert (found["name"], found["copies"]) == (NAME, 60)
    assert claim["seen"].count("0 of 20") == 3, claim


def test_an_overlay_at_sidecars_is_verified_while_callers_call(lab: Lab, case: Any) -> None:
    note = case("verify of an overlay at callers' sidecars", SOURCE, "exit code 0 with calls, 2 without, 1 once lost")
    target = echo("v1", HTTP)
    with overlaid(lab, mirror(), on=[MeshService(target.host, PORT)]):
        idle = verify(lab, lambda found: found["exit"] == 2, "--watch", "1", host=target.host)
        with called(lab, f"{target.host}:{PORT}"):
            result = verify(lab, lambda found: found["exit"] == 0, "--watch", "3", host=target.host)
        value = {"route": {"request_mirror_policies": [{"cluster": echo("v2", HTTP).cluster_name}]}}
        other = filtered("replacing", 20, "MERGE_AND_REPLACE_LIST", value)
        (patch,) = other["spec"]["configPatches"]
        vhost = {"name": f"{target.host}:{PORT}"}
        patch["match"] = {"context": "SIDECAR_OUTBOUND", "routeConfiguration": {"vhost": vhost}}
        with lab.applied(STAGING, [other]):
            lost = verify(lab, lambda found: found["exit"] == 1, "--watch", "1", host=target.host)
    (found,) = result["mirrors"]
    note(f"{result['exit']}, {idle['exit']}, {lost['exit']}; {found['copies']} copies seen", "verify's report")
    assert (result["exit"], idle["exit"], lost["exit"]) == (0, 2, 1), (result, idle, lost)
    assert found["copies"] > 0
    assert causes(lost) == [Cause.NO_POLICY.value]
    claims = {each["title"]: each for each in found["claims"]}
    assert "none by the proxy's route" in claims["leaves other requests alone"]["seen"]


def test_routes_that_lost_the_overlay_are_counted(lab: Lab, case: Any) -> None:
    note = case("verify of an overlay that somebody replaced on one route", SOURCE, Cause.NOT_EVERYWHERE)
    value = {"route": {"request_mirror_policies": [{"cluster": echo("v2", HTTP).cluster_name}]}}
    other = filtered("replacing", 20, "MERGE_AND_REPLACE_LIST", value, name="rest")
    with lab.applied(STAGING, [owner()]), overlaid(lab, mirror()), lab.applied(STAGING, [other]):
        result = verify(lab, lambda found: Cause.NOT_EVERYWHERE.value in causes(found), "--calls", "30")
    note(", ".join(causes(result)), "verify's report")
    assert (result["exit"], causes(result)[:1]) == (1, [Cause.NOT_EVERYWHERE.value]), result


def test_frozen_routing_is_told_with_the_filters_that_change_routes(lab: Lab, case: Any) -> None:
    """Merged into the owner's redirect, it makes a route that Envoy refuses, and all others with it."""
    note = case("verify while a proxy refuses its routes", SOURCE, Cause.FROZEN)
    with lab.applied(STAGING, [owner()]), overlaid(lab, mirror()):
        before = dump(lab.gateway)
        with lab.applied(STAGING, [filtered("freezing", 20, "MERGE", {"route": {"timeout": "3s"}})]):
            result = verify(lab, lambda found: Cause.FROZEN.value in causes(found), "--calls", "30")
            told_before = lab.rejects()[STAGING]
            lab.outpost.ask("apply", STAGING, owner(10))
            wait_until(lambda: lab.rejects()[STAGING] > told_before, what="the change is refused, too", timeout=30)
            frozen = dump(lab.gateway)
        wait_until(lambda: dump(lab.gateway) != before, what="the owner's change arrives", timeout=30)
    lab.refused[STAGING] = lab.rejects()[STAGING]
    (found,) = result["mirrors"]
    (told,) = [each for each in found["causes"] if each["cause"] == Cause.FROZEN.value]
    note(told["detail"], "verify's report")
    assert result["exit"] == 1
    assert "istio-system/freezing" in told["detail"]
    assert "frozen" in told["detail"]
    assert frozen == before
