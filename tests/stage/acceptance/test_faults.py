"""Faults of mirrors and of what is around them, while 200 calls a second run: clients notice nothing, nothing stays."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Match, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

from .lab import Lab
from .terms import GATEWAY, NAMESPACE, SAY_HELLO, STAGING, TESTING, echo
from .trials import Fault, Subject, Track, run_trial, track

pytestmark = pytest.mark.stage

SOURCE = "faults"
WANTED = "all calls answered, median within 1.5x, nothing in flight, memory and copies back within 10 s"
MATCH = Match(rpc_methods=[SAY_HELLO])
CUT_SECONDS = 8.0
"""How long the link is cut."""


@pytest.fixture(scope="module")
def outside(lab: Lab) -> Iterator[Track]:
    """A mirror to the server outside, which can misbehave on the wire."""
    server = lab.outside_server
    subject = Subject(mirror=lab.outside(Protocol.GRPC, match=MATCH), seen=lambda run: server.seen(run)["calls"])
    with track(lab, subject) as place:
        yield place


@pytest.fixture(scope="module")
def testing(lab: Lab) -> Iterator[Track]:
    """A mirror to testing, through both gateways."""
    subject = Subject(
        mirror=lab.in_testing(Protocol.GRPC, match=MATCH),
        seen=lambda run: lab.greeted(TESTING, "v1", run).calls,
    )
    with track(lab, subject) as place:
        yield place


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("connection refused", {"mode": "refuse"}),
        ("200 ms slow", {"mode": "delay", "seconds": 0.2}),
        ("hangs after accepting", {"mode": "silent"}),
        ("hangs after the request", {"mode": "hang"}),
        ("answers 503", {"mode": "status", "status": 503}),
        ("answers early", {"mode": "early"}),
        ("resets every request", {"mode": "reset"}),
        ("trickles its answer", {"mode": "trickle", "seconds": 0.5}),
    ],
)
def test_mirror_misbehaves(lab: Lab, outside: Track, case: Any, name: str, mode: dict[str, Any]) -> None:
    note = case(f"Mirror: {name}", SOURCE, WANTED)
    trial = run_trial(lab, outside, Fault(whole=lambda: lab.outside_server.misbehaving(**mode)))
    note(str(trial), "client; admin pages of staging's gateway; the mirror's own record")
    trial.check()


def test_mirror_drops_packets(lab: Lab, outside: Track, case: Any) -> None:
    note = case("Mirror: packets dropped", SOURCE, WANTED)
    trial = run_trial(lab, outside, Fault(whole=lab.outside_server.dropped))
    note(str(trial), "client; admin pages of staging's gateway; the mirror's own record")
    trial.check()


def test_link_is_cut_and_restored(lab: Lab, testing: Track, case: Any) -> None:
    note = case("Link to testing cut for 8 s", SOURCE, WANTED)

    def cut() -> None:
        lab.stage.run_in_fabric(["ip", "link", "set", f"tm-{TESTING}", "down"], timeout=10)
        try:
            time.sleep(CUT_SECONDS)  # the length of the fault itself
        finally:
            lab.stage.run_in_fabric(["ip", "link", "set", f"tm-{TESTING}", "up"], timeout=10)

    trial = run_trial(lab, testing, Fault(during=cut), calls=2000)
    note(str(trial), "client; admin pages of staging's gateway; pod log in testing")
    trial.check()


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("testing's gateway", (TESTING, "internal-gateway")),
        ("staging's istiod", (STAGING, "istiod")),
        ("staging's gateway", (STAGING, "internal-gateway")),
        ("the primary's pod", (STAGING, "greeter-v1")),
        ("the mirror's pod", (TESTING, "greeter-v1")),
    ],
)
def test_replaced(lab: Lab, testing: Track, case: Any, name: str, where: tuple[str, str]) -> None:
    note = case(f"Replaced: {name}", SOURCE, WANTED)
    trial = run_trial(lab, testing, Fault(during=rollout(lab, *where)), calls=2000)
    note(str(trial), "client; admin pages of staging's gateway; pod log in testing")
    trial.check()


_NAMESPACES = {"istiod": "istio-system", "internal-gateway": GATEWAY.namespace}


def rollout(lab: Lab, role: str, deployment: str) -> Callable[[], None]:
    """Return what replaces every pod of a Deployment, and waits until the old ones are gone."""

    namespace = _NAMESPACES.get(deployment, NAMESPACE)

    def replace() -> None:
        lab.stage.kubectl(role, "-n", namespace, "rollout", "restart", f"deployment/{deployment}")
        wait_until(lambda: lab.meshes.all_ready(role), what=f"{deployment} is replaced", timeout=60)

    return replace


def test_testing_gateway_is_killed(lab: Lab, testing: Track, case: Any) -> None:
    note = case("Killed: testing's gateway", SOURCE, WANTED)

    def kill() -> None:
        selector = "--selector=istio=internal-gateway"
        lab.stage.kubectl(TESTING, "-n", GATEWAY.namespace, "delete", "pod", selector, "--force", "--grace-period=0")
        wait_until(lambda: lab.meshes.all_ready(TESTING), what="the gateway is back", timeout=60)

    trial = run_trial(lab, testing, Fault(during=kill), calls=2000)
    note(str(trial), "client; admin pages of staging's gateway; pod log in testing")
    trial.check()


def test_istiod_is_down(lab: Lab, testing: Track, case: Any) -> None:
    note = case("Down: staging's istiod", SOURCE, WANTED)

    def scale(replicas: int) -> None:
        lab.stage.kubectl(STAGING, "-n", "istio-system", "scale", "deployment/istiod", f"--replicas={replicas}")

    def down() -> None:
        scale(0)
        try:
            wait_until(
                lambda: not lab.outpost.ask("find", STAGING, "v1", "Pod", "istio-system", "app=istiod"),
                what="istiod is gone",
                timeout=60,
            )
        finally:
            scale(1)

    try:
        trial = run_trial(lab, testing, Fault(during=down), calls=2000)
    finally:
        wait_until(lambda: lab.meshes.all_ready(STAGING), what="istiod is back", timeout=60)
    note(str(trial), "client; admin pages of staging's gateway; pod log in testing")
    trial.check()


def test_kubelet_is_restarted(lab: Lab, testing: Track, case: Any) -> None:
    note = case("Restarted: staging's kubelet", SOURCE, WANTED)
    trial = run_trial(lab, testing, Fault(during=lambda: _restart_kubelet(lab)))
    note(str(trial), "client; admin pages of staging's gateway; pod log in testing")
    trial.check()


def _restart_kubelet(lab: Lab) -> None:
    lab.stage.processes.restart(f"{STAGING}-kubelet")
    wait_until(lambda: lab.meshes.all_ready(STAGING), what="all pods are ready", timeout=60)


def test_upload_to_a_mirror_that_does_not_read(lab: Lab, case: Any) -> None:
    """The one fault that a primary can feel: its own stream waits for the mirror's until the brake ends that."""
    note = case("Mirror: 20 MiB streamed, not read", SOURCE, "all uploads answered, nothing in flight, memory back")
    http = Protocol.HTTP
    subject = Subject(
        mirror=lab.outside(http, match=Match(http_methods=["POST", "GET"])),
        seen=lambda run: lab.outside_server.seen(run)["calls"],
        protocol=http,
        primary=echo("v1", http),
    )
    with track(lab, subject) as place:
        trial = run_trial(
            lab,
            place,
            Fault(whole=lambda: lab.outside_server.misbehaving("unread")),
            calls=4,
            attempts=1,
            **{"rate": 0, "concurrency": 4, "method": "POST", "body_bytes": 20 << 20, "timeout": 60},
        )
    note(str(trial), "client; admin pages of staging's gateway; the mirror's own record")
    assert trial.with_fault["good"] == 4, trial.with_fault["failures"]
    assert trial.idle_after <= 10
    assert trial.copies_after <= 10
