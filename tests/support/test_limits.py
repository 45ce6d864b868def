"""A test's limit counts the test; what is made for a session has a limit of its own."""

from collections import namedtuple
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.limits import BUILD_SECONDS, SHARED_SECONDS, SharedFixtureLimits

Settings = namedtuple("Settings", "timeout method")


class Timers:
    """Stands for pytest-timeout: remembers which timers ran, one after the other."""

    def __init__(self) -> None:
        self.plugin = SharedFixtureLimits()
        self.running: float | None = None
        self.seen: list[float] = []

    def pytest_timeout_set_timer(self, *, item: Any, settings: Any) -> None:
        assert self.running is None
        self.plugin.pytest_timeout_set_timer(item, settings)
        self.running = settings.timeout
        self.seen.append(settings.timeout)

    def pytest_timeout_cancel_timer(self, *, item: Any) -> None:
        del item
        self.running = None

    def set_up(self, fixture: str, scope: str, *, fails: bool = False) -> float | None:
        """Set a fixture up; the limit that was in force meanwhile."""
        request: Any = SimpleNamespace(config=SimpleNamespace(pluginmanager=SimpleNamespace(hook=self)))
        fixturedef: Any = SimpleNamespace(scope=scope, argname=fixture)
        steps: Generator[None, object, object] = self.plugin.pytest_fixture_setup(fixturedef, request)
        next(steps)
        during = self.running
        if fails:
            with pytest.raises(RuntimeError):
                steps.throw(RuntimeError())
        else:
            with pytest.raises(StopIteration):
                steps.send("made")
        return during


@pytest.fixture
def timers() -> Timers:
    made = Timers()
    made.pytest_timeout_set_timer(item="test", settings=Settings(timeout=120.0, method="signal"))
    return made


@pytest.mark.parametrize(
    ("fixture", "scope", "limit"),
    [
        ("prepared", "session", BUILD_SECONDS),
        ("toolchain", "session", BUILD_SECONDS),
        ("stage", "session", SHARED_SECONDS),
        ("installation", "module", SHARED_SECONDS),
        ("own", "function", 120),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_is_shared_has_a_limit_of_its_own(
    timers: Timers, fixture: str, scope: str, limit: float, *, fails: bool
) -> None:
    assert timers.set_up(fixture, scope, fails=fails) == limit
    assert timers.running == 120, "the test itself has its whole limit"


def test_without_a_limit_there_is_none(timers: Timers) -> None:
    del timers
    assert Timers().set_up("stage", "session") is None
