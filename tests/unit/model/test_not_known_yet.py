"""What a deployment decides: where nothing known is found and something unknown is left, a rule is not judged."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import UNKNOWN, ClusterObjects, Mesh, Outcome, run_rules
from tests.unit.model.samples import findings, mesh, sending

Change = Callable[[dict[str, Any]], None]


def put(*path: str, value: Any = UNKNOWN) -> Change:
    def change(found: dict[str, Any]) -> None:
        for key in path[:-1]:
            found = found[key]
        found[path[-1]] = value

    return change


def outcomes(kind: str, change: Change) -> dict[str, set[tuple[str, str]]]:
    """Objects and fields by outcome, with the objects of a kind changed."""
    objects = sending()
    for found in objects:
        if found["kind"] == kind:
            change(found)
    findings = run_rules(Mesh(clusters=[ClusterObjects(name="staging", objects=objects, complete=False)]))
    return {
        outcome: {(found.object.partition(" ")[0], found.field) for found in findings if found.outcome is outcome}
        for outcome in Outcome
    }


UNTOUCHED = outcomes("", lambda found: None)


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("DestinationRule", put("spec", "host"), "spec.host"),
        ("DestinationRule", put("spec"), "spec"),
        ("DestinationRule", put("metadata", "namespace"), "metadata.namespace"),
        ("DestinationRule", put("metadata"), "metadata"),
        ("ServiceEntry", put("spec", "hosts"), "spec.hosts"),
        ("ServiceEntry", put("metadata", "namespace"), "metadata.namespace"),
        ("EnvoyFilter", put("spec", "configPatches"), "spec.configPatches"),
        ("EnvoyFilter", put("metadata", "namespace"), "metadata.namespace"),
        ("VirtualService", put("metadata", "namespace"), "metadata.namespace"),
        ("VirtualService", put("spec", "http"), "spec.http"),
    ],
)
def test_what_is_unknown_breaks_no_rule_and_is_named(kind: str, change: Change, field: str) -> None:
    found = outcomes(kind, change)
    assert found[Outcome.BROKEN] <= UNTOUCHED[Outcome.BROKEN]
    assert (kind, field) in found[Outcome.NOT_JUDGED]


@pytest.mark.parametrize("kind", ["DestinationRule", "ServiceEntry", "EnvoyFilter", "VirtualService"])
def test_a_name_that_nobody_looks_up_may_be_unknown(kind: str) -> None:
    assert outcomes(kind, put("metadata", "name")) == UNTOUCHED


def test_what_is_known_is_judged_beside_what_is_not() -> None:
    objects = sending()
    rules = [found for found in objects if found["kind"] == "DestinationRule" and "v2" in str(found["spec"]["host"])]
    del rules[0]["spec"]["trafficPolicy"]["connectionPool"]
    later = copy.deepcopy(rules[0])
    later["spec"]["host"] = UNKNOWN
    mesh = Mesh(clusters=[ClusterObjects(name="staging", objects=[*objects, later], complete=False)])
    assert "mirror-no-brakes" in {found.rule for found in run_rules(mesh) if found.outcome is Outcome.BROKEN}


@pytest.mark.parametrize("value", [UNKNOWN, {"value": UNKNOWN}, {"value": 1}])
def test_a_field_that_istio_does_not_know_is_told_whatever_it_holds(value: Any) -> None:
    objects = sending()
    spec = next(found["spec"] for found in objects if found["kind"] == "VirtualService")
    spec["http"][0] |= {"mirrorpercentage": value, "mirrorsPercentage": 1}
    found = {each.field: each for each in findings(mesh(objects), "field-unknown")}
    assert set(found) == {"spec.http[0].mirrorpercentage", "spec.http[0].mirrorsPercentage"}
    assert {each.outcome for each in found.values()} == {Outcome.BROKEN}
    assert bool(found["spec.http[0].mirrorpercentage"].mend) is (value == {"value": 1})
