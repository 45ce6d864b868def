"""Both meshes for the acceptance cases, and the report of what came of them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.support.lasting import until_last_use_of

from .collector import Collector
from .lab import Lab
from .meshes import Meshes
from .outpost import Outpost
from .outside import OutsideCaller, OutsideServer
from .report import PROPERTY
from .terms import PORTS

STAGE_PORTS = (2379, 6443, 9000, 9001, 10250, 15000, 15012, 15017, *PORTS.values())
"""Of the database, the API server, the kubelet, istiod, proxies, gateways, and the cases' own servers."""


def pytest_configure(config: pytest.Config) -> None:
    # As a plugin of its own it hears of tests in other folders too.
    config.pluginmanager.register(Collector())


def take_ports(until: ExitStack) -> tuple[int, ...]:
    """Take the ports that programs of the stage listen on, on the machine itself; return them."""
    for port in STAGE_PORTS:
        with suppress(OSError):  # somebody else has it: as good
            until.enter_context(socket.create_server(("", port)))
    return STAGE_PORTS


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Istio, gateways, greeters and echo servers in both clusters of a stage of these cases' own."""
    with until_last_use_of("lab") as end:
        taken = take_ports(end)
        stage = end.enter_context(Stage.up(PlainProgress()))
        outpost = Outpost(stage.fabric_command, stage.kubeconfigs)
        end.callback(outpost.close)
        outside = OutsideServer(stage, outpost)
        end.callback(outside.close)
        caller = OutsideCaller(stage, outpost)
        end.callback(caller.close)
        meshes = Meshes(stage, outpost)
        with stage.progress.step("bring the meshes up"):
            meshes.bring_up()
        yield Lab(
            stage=stage, outpost=outpost, meshes=meshes, outside_server=outside, outside_caller=caller, taken=taken
        )


@pytest.fixture(autouse=True)
def _no_rejects(request: pytest.FixtureRequest) -> Iterator[None]:
    """No proxy refuses a configuration during any case that does not want it to."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab: Lab = request.getfixturevalue("lab")
    yield
    rejects = lab.rejects()
    more = [role for role in rejects if rejects[role] > lab.refused[role]]
    lab.refused.update(rejects)  # fewer, where a case has replaced an istiod: it counts anew
    assert not more, {role: lab.rejections(role) for role in more}


@dataclass
class Note:
    """What a case says about itself in the report."""

    entry: dict[str, Any]

    def __call__(self, figure: str, evidence: str) -> None:
        """Say what was measured, and by what."""
        self.entry.update(figure=figure, evidence=evidence)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Callable[[str, str, str], Note]:
    """Give a function that begins the report's entry: name, source, and what must hold."""

    def begin(name: str, source: str, wanted: str) -> Note:
        entry = {"case": name, "source": source, "wanted": wanted, "figure": "", "evidence": ""}
        request.node.user_properties.append((PROPERTY, entry))
        return Note(entry)

    return begin
