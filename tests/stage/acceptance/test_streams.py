"""Streams of all four kinds are mirrored message by message; reflection passes."""

from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Match, Protocol, Waiver

from .lab import Lab, settled
from .terms import SAY_HELLO, STAGING, TESTING, greeter

pytestmark = pytest.mark.stage

SOURCE = "own"
GRPC = Protocol.GRPC
WAIVER = Waiver(reason="a test of streams, bounded by the brakes")
METHODS = {
    "unary": "SayHello",
    "server": "SayHelloStreamReply",
    "client": "SayHelloClientStream",
    "bidi": "SayHelloBidiStream",
}
MATCH = Match(
    rpc_methods=[SAY_HELLO, "helloworld.Greeter/SayHelloStreamReply"],
    streaming_rpc_methods=["helloworld.Greeter/SayHelloClientStream", "helloworld.Greeter/SayHelloBidiStream"],
    streaming_waiver=WAIVER,
)
CALLS = 100
MESSAGES = 5


@pytest.mark.parametrize("via", ["sidecar", "gateway"])
@pytest.mark.parametrize("kind", list(METHODS))
def test_stream(lab: Lab, case: Any, via: str, kind: str) -> None:
    note = case(f"{kind} call, {via}", SOURCE, f"{CALLS} calls, every message at every mirror")
    mirrors: list[Any] = [tm.InClusterMirror(percent=100, service=greeter("v2"), match=MATCH)]
    places = [(STAGING, "v2")]
    if via == "gateway":
        mirrors.append(lab.in_testing(GRPC, match=MATCH))
        places.append((TESTING, "v1"))
    method = METHODS[kind]
    with lab.route(*mirrors, protocol=GRPC, primary=greeter(), via=via) as route:
        result = lab.call(route, CALLS, rpc=f"helloworld.Greeter/{method}", kind=kind, messages=MESSAGES)
        run = result["run"]
        for role, version in places:
            settled(lambda role=role, version=version: lab.greeted(role, version, run, method), complete=CALLS)
        messages = {role: lab.messages(role, version, run, method) for role, version in places}
    note(f"{ {role: len(found) for role, found in messages.items()} } calls", "pod logs")
    assert result["versions"] == {"v1": CALLS}, result["failures"]
    assert result["messages"] == {str(1 if kind in {"unary", "client"} else MESSAGES): CALLS}
    sent = MESSAGES if kind in {"client", "bidi"} else 1
    assert messages == {role: [sent] * CALLS for role, _ in places}


def test_methods_that_are_not_named_are_not_mirrored(lab: Lab, case: Any) -> None:
    note = case("Unnamed methods", SOURCE, "a mirror of SayHello gets no stream")
    mirror = tm.InClusterMirror(percent=100, service=greeter("v2"), match=Match(rpc_methods=[SAY_HELLO]))
    with lab.route(mirror, protocol=GRPC, primary=greeter()) as route:
        stream = lab.call(route, 50, rpc="helloworld.Greeter/SayHelloBidiStream", kind="bidi", messages=2)
        unary = lab.call(route, 50)
        copies = settled(lambda: lab.greeted(STAGING, "v2", unary["run"]), complete=50)
        streams = lab.greeted(STAGING, "v2", stream["run"], "SayHelloBidiStream")
    note(f"{copies.calls} unary, {streams.calls} streams", "pod log")
    assert stream["good"] == unary["good"] == 50
    assert (copies.calls, streams.calls) == (50, 0)


def test_reflection_passes_and_only_greetings_count(lab: Lab, case: Any) -> None:
    note = case("Reflection", SOURCE, "the client learns the services; mirrors count SayHello only")
    mirrors = [
        tm.InClusterMirror(percent=100, service=greeter("v2"), side_effects=WAIVER),
        lab.in_testing(GRPC, side_effects=WAIVER),
    ]
    list_services = {"rpc": "grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "raw": "3a00"}
    with lab.route(*mirrors, protocol=GRPC, primary=greeter()) as route:
        told = lab.call(route, 5, kind="bidi", **list_services)
        result = lab.call(route, 100)
        counts = {
            role: settled(lambda role=role, v=v: lab.greeted(role, v, result["run"]), complete=100).calls
            for role, v in ((STAGING, "v2"), (TESTING, "v1"))
        }
    note(str(counts), "client; pod logs")
    assert told["good"] == 5, told["failures"]
    assert "helloworld.Greeter" in told["text"]
    assert result["versions"] == {"v1": 100}
    assert counts == {STAGING: 100, TESTING: 100}
