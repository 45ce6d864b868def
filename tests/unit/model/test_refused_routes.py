"""What of routes and EnvoyFilters the API server or Istio's webhook refuses, and why."""

import pytest

from tests.support.refusals import CASES
from tests.unit.model.samples import refused


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_said_with_its_reason(name: str) -> None:
    subject, reason = CASES[name]
    found = refused(subject)
    assert bool(found) is bool(reason)
    assert any(reason in each for each in found) or not reason
