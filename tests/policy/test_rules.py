"""Each rule with input that it refuses, accepts, does not apply to, and cannot know yet."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pulumi_traffic_mirror_policies.documents import read_examples
from pulumi_traffic_mirror_policies.pack import every_rule
from tests.policy.driver import UNKNOWN, Given, InProcess, Report, cluster_object
from tests.policy.examples import resources

EXAMPLES = read_examples()
RULES = {rule.id: rule for rule in every_rule()}
NEVER_REFUSES = "mirrors-readable"
"""Says only that a list of mirrors is not known yet."""

UNRELATED = Given("random:index/randomPet:RandomPet", "pet", {"length": 2})


def judge(rule_id: str, given: Sequence[Given]) -> Report:
    return InProcess({rule_id: EXAMPLES[rule_id].config}, only=rule_id).judge(given)


def test_every_rule_has_an_example_and_every_example_a_rule() -> None:
    assert set(EXAMPLES) == set(RULES)


def test_rules_have_unique_ids() -> None:
    ids = [rule.id for rule in every_rule()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("rule_id", sorted(set(RULES) - {NEVER_REFUSES}))
def test_refuses_its_example(rule_id: str) -> None:
    given = resources(EXAMPLES[rule_id].refused)
    found = judge(rule_id, given).of(rule_id)
    assert found
    assert {line.urn for line in found} <= {one.urn for one in given}
    assert all(RULES[rule_id].remedy[:20] in line.message for line in found)


@pytest.mark.parametrize("rule_id", sorted(rule_id for rule_id, example in EXAMPLES.items() if example.accepted))
def test_accepts_its_example_put_right(rule_id: str) -> None:
    report = judge(rule_id, resources(EXAMPLES[rule_id].accepted))
    assert report.of(rule_id) == []
    assert rule_id not in report.not_applicable


@pytest.mark.parametrize("rule_id", sorted(RULES))
def test_does_not_apply_to_other_resources(rule_id: str) -> None:
    report = judge(rule_id, [UNRELATED])
    assert report.of(rule_id) == []
    assert rule_id in report.not_applicable


def every_path(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from every_path(below, (*path, key))


def with_unknown(props: Mapping[str, Any], path: tuple[str | int, ...]) -> Mapping[str, Any]:
    changed: Any = copy.deepcopy(props)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = UNKNOWN
    return changed


@pytest.mark.parametrize("rule_id", sorted(set(RULES) - {NEVER_REFUSES}))
def test_no_unknown_value_silences_a_rule(rule_id: str) -> None:
    """Wherever a refused example has an unknown value, the rule still refuses it or lists it as not judged."""
    given = resources(EXAMPLES[rule_id].refused)
    listed = 0
    for index, one in enumerate(given):
        for path in every_path(one.props):
            if path[0] in ("apiVersion", "kind"):
                continue  # the resource's type says both
            changed = replace(one, props=with_unknown(one.props, path))
            report = judge(rule_id, [*given[:index], changed, *given[index + 1 :]])
            unjudged = [line for line in report.of("not-judged") if rule_id in line.message]
            assert report.of(rule_id) or unjudged, path
            listed += bool(unjudged)
    # A provider whose cluster is named by a value that is not known yet does name it; a patch is one by its type.
    assert listed or rule_id in ("provider-cluster-identifier", "patch-not-judged")


def test_an_unknown_list_of_mirrors_is_listed_and_every_other_route_is_judged() -> None:
    unknown = resources(EXAMPLES[NEVER_REFUSES].refused)
    wrong = {
        "mirror": {"host": "v2.hello.svc.cluster.local", "port": {"number": 8000}},
        "mirrorPercentage": {"value": 101},
    }
    other = cluster_object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "other", "namespace": "hello"},
            "spec": {"hosts": ["other.example"], "http": [wrong]},
        }
    )
    report = InProcess().judge([*unknown, other])
    assert [line.urn for line in report.of("mirror-percent-range")] == [other.urn]
    listed = [line for line in report.of("not-judged") if line.urn == unknown[0].urn]
    assert [line.level for line in listed] == ["advisory"]
    assert "spec.http" in listed[0].message
    assert "mirror-no-brakes" in listed[0].message


def test_a_rule_ignores_unknown_values_that_it_does_not_read() -> None:
    service = cluster_object(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "gateway", "uid": UNKNOWN},
            "spec": {"type": "LoadBalancer", "clusterIP": UNKNOWN},
        }
    )
    report = InProcess(only="load-balancer-open").judge([service])
    assert [line.level for line in report.of("load-balancer-open")] == ["mandatory"]
    assert report.of("not-judged") == []
