"""The embedded stage for tests: brought up once, after the tests that bring up and end stages of their own."""

import os
import platform
from collections.abc import Iterator

import pytest

from pulumi_traffic_mirror.rehearsal.places import state_directory
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress, SilentProgress
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.stage.footprint import Footprint, take_footprint
from tests.support.lasting import end_unused, in_rows

SLOW_FOLDERS = ("acceptance", "operations")
"""Suites that take minutes each; `make test-slow` runs them."""

STAGE_SECONDS = 300
"""Limit of a test on the stage, unless it has one of its own."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with stages of their own first, and users of one in a row: a machine holds one stage at a time."""
    on_stage = [item for item in items if item.get_closest_marker("stage") is not None]
    shared = [item for item in on_stage if "stage" in getattr(item, "fixturenames", ())]
    own = [item for item in on_stage if item not in shared]
    items[:] = [item for item in items if item not in on_stage] + in_rows(own) + in_rows(shared)
    for item in on_stage:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow_stage)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STAGE_SECONDS))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    end_unused(item, nextitem)


@pytest.fixture(scope="session", autouse=True)
def _capable_machine() -> None:
    if "CI" not in os.environ and (platform.system() != "Linux" or os.geteuid() != 0):
        pytest.skip("the embedded stage needs Linux and root")


@pytest.fixture(scope="session")
def prepared(_capable_machine: None) -> None:
    """Everything that a stage needs is installed and built."""
    Stage.prepare(PlainProgress())


@pytest.fixture(autouse=True)
def _prepared_for_stages(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("stage") is not None:
        request.getfixturevalue("prepared")


@pytest.fixture
def before() -> Iterator[Footprint]:
    """What there is before the test, without what a run that was killed left; no stage remains after the test."""
    Stage.end(SilentProgress())
    yield take_footprint(state_directory())
    Stage.end(SilentProgress())


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Two empty clusters, `staging` and `testing`; each test removes what it makes in them."""
    with Stage.up(PlainProgress()) as running:
        yield running
