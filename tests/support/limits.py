"""Limits that count what they are named for: a test's limit the test, never what was built or started for many."""

from collections.abc import Generator
from typing import Any, Final

import pytest

SHARED_SECONDS: Final = 900
"""Limit of making something that several tests share, e.g. a stage with both stacks."""

BUILD_SECONDS: Final = 7200
"""Limit of installing and building with empty caches, waiting for another process that does the same included."""

BUILDING: Final = ("prepared", "toolchain", "oracle_files", "prometheus_folder", "yaml_host", "typescript")
"""Fixtures that install and build."""


class SharedFixtureLimits:
    """A plugin beside pytest-timeout, which would count a session's fixtures against the test that comes first."""

    def __init__(self) -> None:
        self._running: tuple[pytest.Item, Any] | None = None
        self._lent = False

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:
        if not self._lent:
            self._running = (item, settings)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        if fixturedef.scope == "function" or self._running is None:
            return (yield)
        item, settings = self._running
        hooks = request.config.pluginmanager.hook
        own = BUILD_SECONDS if fixturedef.argname in BUILDING else SHARED_SECONDS
        self._lent = True
        hooks.pytest_timeout_cancel_timer(item=item)
        hooks.pytest_timeout_set_timer(item=item, settings=settings._replace(timeout=own))
        try:
            return (yield)
        finally:
            hooks.pytest_timeout_cancel_timer(item=item)
            hooks.pytest_timeout_set_timer(item=item, settings=settings)
            self._lent = False
