"""Entries that abort requests: where all are, nothing is copied."""

from typing import Any

import pytest

from tests.unit.model.samples import changed, findings, mesh, sending


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"abort": {"httpStatus": 503, "percentage": {"value": 100}}}, True),
        ({"abort": {"httpStatus": 503, "percentage": {"value": 99}}}, False),
        ({"abort": {"httpStatus": 503}}, False),
        ({"delay": {"fixedDelay": "5s", "percentage": {"value": 100}}}, False),
    ],
)
def test_a_mirror_of_requests_that_are_all_aborted_is_never_sent(fault: dict[str, Any], *, told: bool) -> None:
    objects = sending()
    for index in range(len(next(each for each in objects if each["kind"] == "VirtualService")["spec"]["http"])):
        objects = changed(objects, "VirtualService", f"spec.http.{index}.fault", fault)
    said = {each.message for each in findings(mesh(objects), "mirror-never-sent")}
    assert said == ({"its entry aborts every request, so nothing is sent on or copied"} if told else set())
