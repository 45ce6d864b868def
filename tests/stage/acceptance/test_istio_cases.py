"""Istio's own cases for mirrors: every share, HTTP and gRPC, through sidecar and gateway, in and out of the cluster."""

from contextlib import ExitStack
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import Match, Protocol

from .lab import Lab, Mirror, Route, calls_of, settled
from .report import band, span
from .terms import PLAIN_TEXT, SAY_HELLO, STAGING, TESTING, echo, greeter

pytestmark = pytest.mark.stage

SOURCE = "Istio, tests/integration/pilot/mirror_test.go"
SHARES = {"I1": None, "I2": 50, "I3": 10, "I4": 0}
CALLS = 500


def in_cluster(protocol: Protocol, share: float | None) -> tm.InClusterMirror:
    """Return a mirror to v2; a share of None is left out, as in Istio's first case."""
    service = greeter("v2") if protocol is Protocol.GRPC else echo("v2", protocol)
    values: dict[str, Any] = {} if share is None else {"percent": share}
    match = Match(rpc_methods=[SAY_HELLO]) if protocol is Protocol.GRPC else None
    return tm.InClusterMirror(**{"percent": 100, "service": service, "match": match, **values})


def across(lab: Lab, protocol: Protocol, share: float | None) -> tm.CrossClusterMirror:
    """Return a mirror to testing."""
    values: dict[str, Any] = {} if share is None else {"percent": share}
    match = Match(rpc_methods=[SAY_HELLO]) if protocol is Protocol.GRPC else None
    return lab.in_testing(protocol, match=match, **values)


def arrivals(lab: Lab, protocol: Protocol, run: str, *, at: str) -> Any:
    """Return what the primary, v2 or testing has seen of a run."""
    role, version = {"primary": (STAGING, "v1"), "v2": (STAGING, "v2"), "testing": (TESTING, "v1")}[at]
    read = lab.greeted if protocol is Protocol.GRPC else lab.seen
    return read(role, version, run)


def copied(lab: Lab, route: Route, *, at: str, most: int) -> Any:
    """Make calls that the primary must answer, each once, and return what the mirror has seen of them."""
    result = lab.call(route, CALLS)
    copies = settled(lambda: arrivals(lab, route.protocol, result["run"], at=at), complete=most or 1)
    assert result["versions"] == {"v1": CALLS}, result["failures"]
    assert calls_of(arrivals(lab, route.protocol, result["run"], at="primary")) == CALLS
    return copies


@pytest.mark.parametrize("name", list(SHARES))
@pytest.mark.parametrize("path", ["sidecar", "gateway", "gateway-testing"])
@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_share(lab: Lab, case: Any, protocol: Protocol, path: str, name: str) -> None:
    share = SHARES[name]
    percent = 100 if share is None else share
    least, most = band(CALLS, percent)
    note = case(f"{name} {protocol.value} {path}", SOURCE, f"{span(least, most)} of {CALLS} calls are mirrored")
    via, at = ("sidecar", "v2") if path == "sidecar" else ("gateway", "testing" if "testing" in path else "v2")
    mirror: Mirror = across(lab, protocol, share) if at == "testing" else in_cluster(protocol, share)
    primary = greeter() if protocol is Protocol.GRPC else echo("v1", protocol)
    with lab.route(mirror, protocol=protocol, primary=primary, via=via) as route:
        copies = copied(lab, route, at=at, most=most)
        counts = [calls_of(copies)]
        # Chance leads one count in 370 out of three standard deviations, though the share is right.
        if least < most and not least <= counts[0] <= most:
            copies = copied(lab, route, at=at, most=most)
            counts.append(calls_of(copies))
    note(
        f"{', then '.join(str(count) for count in counts)} of {CALLS} mirrored",
        "pod log" if protocol is Protocol.GRPC else "the server's own record",
    )
    assert least <= counts[-1] <= most
    requests = copies.calls + copies.repeats if protocol is Protocol.GRPC else copies["requests"]
    assert requests == calls_of(copies), "a call was mirrored more than once"


@pytest.mark.parametrize("path", ["sidecar", "gateway"])
@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_host_outside_the_mesh(lab: Lab, case: Any, protocol: Protocol, path: str) -> None:
    """The client knows neither name nor address of the server outside; only the proxy reaches it."""
    note = case(f"I5 {protocol.value} {path}", SOURCE, f"{CALLS} of {CALLS} calls reach a host outside the mesh")
    match = Match(rpc_methods=[SAY_HELLO]) if protocol is Protocol.GRPC else None
    primary = greeter() if protocol is Protocol.GRPC else echo("v1", protocol)
    outside = lab.outside(protocol, match=match)
    with ExitStack() as stack:
        mirror: Mirror = outside
        if path == "sidecar":
            # Its ServiceEntry is the component's; callers inside the mesh then mirror to it like to any Service.
            stack.enter_context(lab.route(outside, protocol=protocol, primary=primary, service_entries_only=True))
            service = tm.Destination(str(outside.contract.mirror_host), outside.contract.port)
            mirror = tm.InClusterMirror(
                percent=100, service=service, name="outside", match=match, plain_text=PLAIN_TEXT
            )
        route = stack.enter_context(lab.route(mirror, protocol=protocol, primary=primary, via=path))
        result = lab.call(route, CALLS)
        copies = settled(lambda: lab.outside_server.seen(result["run"]), complete=CALLS)
    note(f"{copies['calls']} of {CALLS}", "the outside server's own record")
    assert result["versions"] == {"v1": CALLS}, result["failures"]
    assert copies["calls"] == copies["requests"] == CALLS
    assert copies["marks"] == {"mirror": CALLS}
