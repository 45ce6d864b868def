"""What of routes and EnvoyFilters the API server or Istio's webhook refuses, and why."""

import pytest

from tests.support.refusals import CASES, Object, http_route, to
from tests.unit.model.samples import findings, mesh, refused


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_said_with_its_reason(name: str) -> None:
    subject, reason = CASES[name]
    found = refused(subject)
    assert bool(found) is bool(reason)
    assert any(reason in each for each in found) or not reason


@pytest.mark.parametrize(
    ("subject", "likely"),
    [
        (http_route({"retry": {"attempts": 0}}), True),
        (http_route({"retry": {"attempts": "0"}}), False),
        (to(port=80), False),
    ],
)
def test_what_depends_on_the_release_is_likely_and_counts(subject: Object, likely: bool) -> None:
    judged = mesh([subject])
    assert [each.likely for each in findings(judged, "object-refused")] == [likely]
    assert bool(judged.clusters[0].is_refused(judged.clusters[0].of(subject["kind"])[0])) is not likely
