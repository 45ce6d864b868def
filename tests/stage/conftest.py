"""The embedded stage for tests: brought up once, after the tests that bring up and end stages of their own."""

import os
import platform
from collections.abc import Iterator

import pytest

from components.rehearsal.places import cache_directory
from components.rehearsal.progress import PlainProgress
from components.rehearsal.stage import Stage
from components.rehearsal.toolchain import missing_parts
from tests.support.lasting import end_unused

BUILD_SECONDS = 2700
"""Limit of the test that has to build the tool chain first; a warm one is up in about ten seconds."""

SLOW_FOLDERS = ("acceptance", "operations")
"""Suites that take minutes each; `make test-slow` runs them."""

STAGE_SECONDS = 300
"""Limit of every other test on the stage."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with stages of their own first, because a machine holds one stage at a time."""
    on_stage = [item for item in items if item.get_closest_marker("stage") is not None]
    shared = [item for item in on_stage if "stage" in getattr(item, "fixturenames", ())]
    own = [item for item in on_stage if item not in shared]
    items[:] = [item for item in items if item not in on_stage] + own + shared
    building = bool(missing_parts(cache_directory()))
    for item in on_stage:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow_stage)
        if building:
            # Whichever test comes first waits for the build, also one with a limit of its own.
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS), append=False)
        elif item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STAGE_SECONDS))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    end_unused(item, nextitem)


@pytest.fixture(scope="session", autouse=True)
def _capable_machine() -> None:
    if "CI" not in os.environ and (platform.system() != "Linux" or os.geteuid() != 0):
        pytest.skip("the embedded stage needs Linux and root")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """Two empty clusters, `staging` and `testing`; each test removes what it makes in them."""
    with Stage.up(PlainProgress()) as running:
        yield running
