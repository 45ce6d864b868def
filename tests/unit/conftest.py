"""What the tests with a real proxy need."""

from pathlib import Path

import pytest

from tests.support.loopback_envoy import BINARY_VARIABLE, find_envoy


@pytest.fixture
def envoy() -> Path:
    """A real Envoy; without one on this machine the test is skipped."""
    found = find_envoy()
    if found is None:
        pytest.skip(f"no Envoy: set {BINARY_VARIABLE}, or build the stage once")
    return found
