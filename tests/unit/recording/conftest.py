"""What the tests with a real proxy need."""

from pathlib import Path

import pytest

from tests.support.loopback_envoy import BINARY_VARIABLE, find_envoy

_ENVOY = find_envoy()


@pytest.fixture
def envoy() -> Path:
    """A real Envoy; without one on this machine the test is skipped."""
    if _ENVOY is None:
        pytest.skip(f"no Envoy: set {BINARY_VARIABLE}, or build the stage once")
    return _ENVOY
