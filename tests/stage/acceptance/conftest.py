"""Both meshes for the acceptance cases, and the report of what came of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from components.rehearsal.stage import Stage

from .collector import Collector
from .lab import Lab
from .meshes import Meshes
from .outpost import Outpost
from .outside import OutsideServer
from .report import PROPERTY
from .terms import STAGING, TESTING


def pytest_configure(config: pytest.Config) -> None:
    # As a plugin of its own it hears of tests in other folders too.
    config.pluginmanager.register(Collector())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these cases after all others on the stage, which expect clusters without a mesh."""
    ours = [item for item in items if "lab" in getattr(item, "fixturenames", ())]
    items[:] = [item for item in items if item not in ours] + ours


@pytest.fixture(scope="session")
def lab(stage: Stage) -> Iterator[Lab]:
    """Istio, gateways, greeters and echo servers in both clusters."""
    with ExitStack() as ended:
        outpost = Outpost(stage.fabric_command, stage.kubeconfigs)
        ended.callback(outpost.close)
        outside = OutsideServer(stage, outpost)
        ended.callback(outside.close)
        meshes = Meshes(stage, outpost)
        with stage.progress.step("bring the meshes up"):
            meshes.bring_up()
        yield Lab(stage=stage, outpost=outpost, meshes=meshes, outside_server=outside)


@pytest.fixture(autouse=True)
def _no_rejects(request: pytest.FixtureRequest) -> Iterator[None]:
    """No proxy refuses a configuration during any case."""
    if "lab" not in request.fixturenames:
        yield
        return
    lab: Lab = request.getfixturevalue("lab")
    yield
    assert {role: lab.rejects(role) for role in (STAGING, TESTING)} == {STAGING: 0, TESTING: 0}


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
