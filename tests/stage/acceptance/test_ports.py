"""The stage is a network of its own: what listens on the machine is not in its way."""

import socket
from typing import Any

import pytest

from pulumi_traffic_mirror.model import Match, Protocol

from .collector import STAGE
from .lab import Lab, settled
from .terms import SAY_HELLO, TESTING, greeter

pytestmark = pytest.mark.stage


def test_ports_that_are_taken_are_not_in_the_way(lab: Lab, case: Any) -> None:
    note = case("Ports taken", STAGE, "with all its ports taken on the machine the stage came up, and mirrors")
    for port in lab.taken:
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("", port))
    mirror = lab.in_testing(Protocol.GRPC, match=Match(rpc_methods=[SAY_HELLO]))
    with lab.route(mirror, protocol=Protocol.GRPC, primary=greeter()) as route:
        result = lab.call(route, 50)
        copies = settled(lambda: lab.greeted(TESTING, "v1", result["run"]), complete=50)
    note(f"{len(lab.taken)} ports; {copies.calls} of 50 mirrored", "sockets; pod log in testing")
    assert lab.taken
    assert result["versions"] == {"v1": 50}
    assert copies.calls == 50
