"""WebSockets with real frames: a mirror as Istio has it gets all of them, ours none unless that is waived."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Waiver

from .lab import Lab, settled
from .overlays import AIM, HOST, HTTP, PORT, call, mirror, overlaid, owner, settled_dump, undisturbed
from .terms import STAGING, TESTING, echo

pytestmark = pytest.mark.stage

SOURCE = "overlays"
SOCKETS = 20
MESSAGES = 50
LEAST = 0.9
"""Part of the messages that must have come when the clients are gone: copies end with their calls."""
WAIVER = Waiver(reason="a test of WebSockets, whose messages change nothing")

Talk = dict[str, Any]


def talk(lab: Lab, host: str = HOST) -> Talk:
    """Open WebSockets at the gateway and send messages over each; every one comes back."""
    result = call(lab, SOCKETS, protocol="websocket", authority=f"{host}:{PORT}", messages=MESSAGES, concurrency=4)
    assert (result["good"], result["versions"]) == (SOCKETS, {"v1": SOCKETS}), result["failures"]
    assert result["messages"] == {str(MESSAGES): SOCKETS}
    return result


def copied(lab: Lab, result: Talk, role: str = STAGING, version: str = "v3") -> tuple[int, int]:
    """How many handshakes and how many messages of a run a mirror got."""
    due = SOCKETS * MESSAGES
    settled(lambda: {"calls": lab.seen(role, version, result["run"])["messages"]}, complete=due)
    seen = lab.seen(role, version, result["run"])
    return seen["calls"], seen["messages"]


@contextmanager
def by_hand(lab: Lab) -> Iterator[None]:
    """A VirtualService with a mirror as Istio's documentation has it."""
    written = owner(100)
    target = {"host": str(echo("v3", HTTP).host), "port": {"number": PORT}}
    written["spec"]["http"] = [{**written["spec"]["http"][0], "name": "by-hand", "mirror": target}]
    with lab.applied(STAGING, [written]):
        settled_dump(lab.gateway, echo("v3", HTTP).cluster_name)
        yield


def test_a_mirror_by_hand_gets_every_frame(lab: Lab, case: Any) -> None:
    wanted = f"{SOCKETS} answered, and all handshakes and {SOCKETS * MESSAGES} messages at the mirror but the last"
    note = case("WebSockets and a mirror by hand", SOURCE, wanted)
    with by_hand(lab):
        seen = copied(lab, talk(lab))
    note(f"{seen[0]} handshakes, {seen[1]} messages", "the servers' own records")
    assert seen[0] == SOCKETS
    assert LEAST * SOCKETS * MESSAGES <= seen[1] <= SOCKETS * MESSAGES


def test_mirrors_of_a_service_get_no_frame(lab: Lab, case: Any) -> None:
    note = case("WebSockets and our mirrors", SOURCE, f"{SOCKETS} answered, 0 at either mirror; GETs still copied")
    mirrors = (tm.InClusterMirror(percent=100, service=echo("v3", HTTP)), lab.in_testing(HTTP))
    with lab.route(*mirrors, protocol=HTTP, primary=echo("v1", HTTP)) as route:
        result = talk(lab, route.host)
        reads = lab.call(route, 50)
        gets = [
            settled(lambda role=role, version=version: lab.seen(role, version, reads["run"]), complete=50)["calls"]
            for role, version in ((STAGING, "v3"), (TESTING, "v1"))
        ]
        seen = [copied(lab, result), copied(lab, result, TESTING, "v1")]
    note(f"{seen[0]} and {seen[1]}; {gets[0]} and {gets[1]} GETs", "the servers' own records")
    assert seen == [(0, 0), (0, 0)]
    assert gets == [50, 50]


@pytest.mark.parametrize("waived", [False, True])
def test_an_overlay_leaves_them_out_unless_waived(lab: Lab, case: Any, *, waived: bool) -> None:
    due = SOCKETS if waived else 0
    name = "WebSockets and an overlay" + (" with a waiver" if waived else "")
    note = case(name, SOURCE, f"{SOCKETS} answered, {due} handshakes and {due * MESSAGES} messages copied; GETs too")
    with lab.applied(STAGING, [owner(100)]):
        undisturbed(lab)
        with overlaid(lab, mirror(websockets=WAIVER if waived else None)):
            seen = copied(lab, talk(lab))
            reads = call(lab, 50)
            gets = settled(lambda: lab.seen(STAGING, "v3", reads["run"]), complete=50)["calls"]
            heads = [dict(each["headers"]) for each in lab.records(STAGING, "v3", reads["run"])]
    note(f"{seen[0]} handshakes, {seen[1]} messages; {gets} GETs", "the servers' own records")
    assert seen[0] == due
    assert LEAST * due * MESSAGES <= seen[1] <= due * MESSAGES
    assert gets == 50
    assert not [head for head in heads if AIM in head]
