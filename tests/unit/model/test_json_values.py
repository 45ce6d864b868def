"""What YAML says and JSON cannot: keys that are no texts, bytes, dates."""

from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model.rules import UNKNOWN
from pulumi_traffic_mirror.model.rules.jsonvalues import as_json
from tests.support.refusals import entry, to
from tests.unit.model.samples import Object, findings, mesh, refused


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ({5: 2, True: 3, None: 4, 0.5: 5, "a": 6}, {"5": 2, "true": 3, "null": 4, "0.5": 5, "a": 6}),
        ({date(2026, 1, 2): "a", b"b": "c"}, {"2026-01-02": "a", "b": "c"}),
        ([b"a\xff", date(2026, 1, 2)], ["a\ufffd", "2026-01-02"]),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00Z"),
        ({"a": None, "b": [None, {"c": None}]}, {"b": [None, {}]}),
        (MappingProxyType({"a": (1, UNKNOWN)}), {"a": [1, UNKNOWN]}),
    ],
)
def test_values_are_put_into_json(value: Any, made: Any) -> None:
    assert as_json(value) == made


def test_what_is_json_is_handed_on_as_it_is() -> None:
    value = {"a": [1, 0.5, True, "b", None, {"c": UNKNOWN}]}
    assert as_json(value) is value


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("hosts: [web.example]\nhttp: !!binary aGVsbG8=", "it must be a list, not a text"),
        ("hosts: [web.example]\nhttp: 2026-01-01", "it must be a list, not a text"),
        ("hosts: !!set {web.example}", "it must be a list, not that"),
        ("{on: 5, 2: 2, null: 3, hosts: {on: 5}}", "it must be a list, not an object"),
    ],
)
def test_what_yaml_says_is_refused_as_what_it_is_in_json(written: str, reason: str) -> None:
    subject = {**to(), "spec": yaml.safe_load(written)}
    assert f"it is refused: {reason}" in refused(subject)


def test_null_is_not_given_to_any_rule() -> None:
    plain, written = entry(), entry()
    written["spec"]["http"][0] |= {"mirrors": None, "mirrorPercentage": None, "timeout": None, "headers": None}
    written["metadata"] |= {"annotations": None, "labels": {"a": None}}

    def said(subject: Object) -> list[tuple[str, str, str]]:
        return [(each.rule, each.field, each.message) for each in findings(mesh([subject]))]

    assert said(written) == said(plain)
