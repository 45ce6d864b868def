"""What the tests with a real proxy need."""

import platform
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.toolchain import ensure_envoy
from tests.support.loopback_envoy import BINARY_VARIABLE, CACHE, find_envoy


@pytest.fixture
def envoy() -> Path:
    """A real Envoy, installed first where there is none; skipped on machines for which none is published."""
    found = find_envoy()
    if found is None and platform.system() != "Linux":
        pytest.skip(f"no Envoy: name one by {BINARY_VARIABLE}")
    return found or ensure_envoy(CACHE, SilentProgress())
