"""What tests of the command need."""

import pytest

from pulumi_traffic_mirror.rehearsal.toolchain import find_envoy, find_oracle
from tests.support.what_if import CACHE


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """istiod in memory and Envoy, as the command finds them; without them the test is skipped."""
    if find_oracle(CACHE) is None or find_envoy(CACHE) is None:
        pytest.skip("no istiod in memory, or no Envoy: python -m pulumi_traffic_mirror.rehearsal.toolchain")
    monkeypatch.setenv("TRAFFIC_MIRROR_CACHE", str(CACHE))
