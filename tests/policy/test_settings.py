"""Levels, settings and waivers: what is accepted, what it changes, and what is refused."""

import dataclasses
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from google.protobuf import json_format
from pulumi_policy import policy
from pulumi_policy.deserialize import deserialize_properties, serialize_properties
from pulumi_policy.proxy import unknown_checking_proxy

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.rules import Rule, run_rules
from pulumi_traffic_mirror_policies import adaptors
from pulumi_traffic_mirror_policies.documents import read_examples
from pulumi_traffic_mirror_policies.meshes import read_stack
from pulumi_traffic_mirror_policies.pack import every_rule
from pulumi_traffic_mirror_policies.parameters import (
    PARAMETERS,
    WAIVER_BOUNDS,
    WHOLE_CLUSTER,
    Settings,
    read_settings,
    schema_of,
)
from pulumi_traffic_mirror_policies.resources import read_resource
from pulumi_traffic_mirror_policies.rules.registry import OrganisationLimits
from pulumi_traffic_mirror_policies.sdk import check_configuration
from tests.policy.driver import NOW, Given, InProcess, cluster_object
from tests.policy.examples import resources

EXAMPLES = read_examples()
RULES = {rule.id: rule for rule in every_rule()}
RULE_IDS = set(RULES)
WAIVER = {"resource": "greeter", "reason": "is rebuilt by March", "until": "2027-03-31"}


def pod(**metadata: Any) -> Given:
    return cluster_object(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "greeter", "namespace": "hello", **metadata},
            "spec": {"containers": [{"name": "greeter", "image": "registry.example/greeter:1"}]},
        }
    )


def judged_with(rule_id: str, config: dict[str, Any], given: Given, now: datetime = NOW) -> tuple[int, int]:
    """Count what stands, and what is listed as waived."""
    report = InProcess({rule_id: config}, now, only=rule_id).judge([given])
    return len(report.of(rule_id)), len(report.of("waivers-in-force"))


def test_every_field_of_the_rules_settings_can_be_set() -> None:
    fields = {field.name for field in dataclasses.fields(OrganisationLimits)}
    assert {each.field for each in (*PARAMETERS, *WAIVER_BOUNDS) if each.name != WHOLE_CLUSTER} == fields


def test_every_setting_is_read_by_some_rule() -> None:
    declared = {name for rule in RULES.values() for name in rule.settings}
    assert declared == {parameter.field for parameter in PARAMETERS}


class Watched:
    """Settings that note which of them are read."""

    def __init__(self, settings: Any, read: set[str]) -> None:
        self._settings = settings
        self._read = read

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._settings, name)


@pytest.mark.parametrize("rule_id", sorted(RULE_IDS))
def test_a_rule_reads_exactly_the_settings_that_it_declares(rule_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a setting would be silently without effect, on this rule or on another one that reads it as well."""
    read: set[str] = set()

    def watched(rule: Any, config: Any, stack: str) -> Settings:
        made = read_settings(rule, config, stack)
        limits: Any = Watched(made.limits, read)
        return dataclasses.replace(made, limits=limits)

    monkeypatch.setattr(adaptors, "read_settings", watched)
    example = EXAMPLES[rule_id]
    InProcess({rule_id: example.config}, only=rule_id).judge(resources(example.refused))
    for_all = {bound.field for bound in WAIVER_BOUNDS}
    assert read - for_all == set(RULES[rule_id].settings) - {"complete"}


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_rules_that_depend_on_what_is_missing_can_be_told_that_nothing_is(rule: Any) -> None:
    """What only a whole cluster breaks, is broken by something that is not there."""
    if isinstance(rule, Rule):
        example = EXAMPLES[rule.id]
        settings = read_settings(rule, example.config, "staging").limits
        pack = InProcess(only=rule.id)
        given = [read_resource(pack._resource(each)) for each in resources(example.refused)]
        only_whole: set[str] = set()
        for seen in (given, given[:1]):
            part, whole = (
                {str(found) for found in run_rules(read_stack(seen, NOW, complete=complete).mesh, [rule], settings)}
                for complete in (False, True)
            )
            only_whole |= whole - part
        assert bool(only_whole) == ("complete" in rule.settings)


@pytest.mark.parametrize("rule_id", sorted(RULE_IDS))
def test_settings_of_an_example_fit_the_schema(rule_id: str) -> None:
    config = EXAMPLES[rule_id].config
    schema = {"type": "object", "additionalProperties": False, "properties": schema_of(RULES[rule_id]).properties}
    jsonschema.validate(config, schema)
    read_settings(RULES[rule_id], config, "staging")


def test_a_waiver_turns_a_refusal_into_a_line_of_the_list() -> None:
    assert judged_with("image-digest", {}, pod()) == (1, 0)
    assert judged_with("image-digest", {"waivers": [WAIVER]}, pod()) == (0, 1)
    report = InProcess({"image-digest": {"waivers": [WAIVER]}}, only="image-digest").judge([pod()])
    line = report.of("waivers-in-force")[0]
    assert line.level == "advisory"
    assert "is rebuilt by March (until 2027-03-31)" in line.message


@pytest.mark.parametrize("name", ["greeter", "Pod hello/greeter", pod().urn])
def test_a_waiver_names_its_resource_in_one_of_three_ways(name: str) -> None:
    assert judged_with("image-digest", {"waivers": [{**WAIVER, "resource": name}]}, pod()) == (0, 1)
    assert judged_with("image-digest", {"waivers": [{**WAIVER, "resource": f"{name}x"}]}, pod()) == (1, 0)


def test_a_waiver_holds_through_its_last_day_and_not_beyond() -> None:
    config = {"waivers": [WAIVER]}
    last_second = datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC)
    assert judged_with("image-digest", config, pod(), last_second) == (0, 1)
    assert judged_with("image-digest", config, pod(), last_second + timedelta(seconds=1)) == (1, 0)
    after = InProcess({"image-digest": config}, last_second + timedelta(days=1), only="image-digest")
    assert "its waiver ended with 2027-03-31" in after.judge([pod()]).of("image-digest")[0].message


def route(annotations: dict[str, str]) -> Given:
    mirror = {"destination": {"host": "v2", "port": {"number": 8000}}, "percentage": {"value": 10}}
    return cluster_object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "greeter", "namespace": "hello", "annotations": annotations},
            "spec": {"hosts": ["greeter.example"], "http": [{"mirrors": [mirror]}]},
        }
    )


REASON = "pulumi-traffic-mirror/waive.mirror-target-short-name"
UNTIL = "pulumi-traffic-mirror/waived-until.mirror-target-short-name"


@pytest.mark.parametrize(
    ("end", "outcome", "said"),
    [
        ({}, (1, 0), "it has no end"),
        ({UNTIL: "2027-03-31"}, (0, 1), ""),
        ({UNTIL: "2026-03-31"}, (1, 0), "means v2.hello.svc"),
        ({UNTIL: "soon"}, (1, 0), "means v2.hello.svc"),
        ({"pulumi-traffic-mirror/expires": "2027-02-01"}, (0, 1), "(until 2027-02-01)"),
        ({"pulumi-traffic-mirror/expires": "2026-02-01"}, (1, 0), "it ended with 2026-02-01"),
        ({"pulumi-traffic-mirror/expires": "soon"}, (1, 0), "its end 'soon' cannot be read"),
    ],
)
def test_a_waiver_on_an_object_needs_an_end(end: dict[str, str], outcome: tuple[int, int], said: str) -> None:
    given = route({REASON: "the only namespace with a v2", **end})
    assert judged_with("mirror-target-short-name", {}, given) == outcome
    report = InProcess(only="mirror-target-short-name").judge([given])
    assert said in "".join(line.message for line in report.said)


@pytest.mark.parametrize(
    ("bounds", "outcome", "said"),
    [
        ({}, (0, 1), ""),
        ({"maxWaiverDays": 30}, (1, 0), "more than 30 days from now"),
        ({"objectWaivers": False}, (1, 0), "objects may carry none here"),
    ],
)
def test_an_organisation_bounds_or_forbids_waivers(bounds: dict[str, Any], outcome: tuple[int, int], said: str) -> None:
    given = route({REASON: "the only namespace with a v2", UNTIL: "2027-03-31"})
    assert judged_with("mirror-target-short-name", bounds, given) == outcome
    report = InProcess({"mirror-target-short-name": bounds}, only="mirror-target-short-name").judge([given])
    assert said in "".join(line.message for line in report.said)
    forbidden = {"objectWaivers": False}
    assert judged_with("image-digest", {"waivers": [WAIVER], **forbidden}, pod()) == (0, 1), "not the object's"
    assert judged_with("image-digest", {"waivers": [WAIVER], "maxWaiverDays": 1}, pod()) == (1, 0)


def test_a_waiver_of_one_rule_leaves_the_others() -> None:
    report = InProcess({"image-digest": {"waivers": [WAIVER]}}).judge([pod()])
    assert report.of("pod-restricted")


def test_the_share_is_limited_by_stack() -> None:
    config = {"maxPercent": 100, "maxPercentByStack": {"staging": 5}}
    elsewhere = dataclasses.replace(route({}), stack="development")
    assert judged_with("mirror-percent-limit", config, route({})) == (1, 0)
    assert judged_with("mirror-percent-limit", config, elsewhere) == (0, 0)


def test_a_stack_counts_as_a_part_of_its_cluster_unless_it_is_told_otherwise() -> None:
    example = resources(EXAMPLES["gateway-undefined"].refused)
    assert InProcess(only="gateway-undefined").judge(example).of("gateway-undefined") == []
    whole = InProcess({"gateway-undefined": {"wholeCluster": True}}, only="gateway-undefined")
    assert whole.judge(example).of("gateway-undefined")


@pytest.mark.parametrize(
    ("rule_id", "config", "field"),
    [
        ("nonsense", {}, "policy"),
        ("image-digest", {"nonsense": 1}, "image-digest.nonsense"),
        ("image-digest", {"allowedImages": "registry.example/"}, "image-digest.allowedImages"),
        ("image-digest", {"allowedImages": [""]}, "image-digest.allowedImages[0]"),
        ("firewall-open", {"publicPorts": [0]}, "firewall-open.publicPorts[0]"),
        ("firewall-open", {"publicPorts": [8000.5]}, "firewall-open.publicPorts[0]"),
        ("firewall-open", {"publicPorts": ["http"]}, "firewall-open.publicPorts[0]"),
        ("mirror-percent-limit", {"maxPercent": 101}, "mirror-percent-limit.maxPercent"),
        ("mirror-percent-limit", {"maxPercent": True}, "mirror-percent-limit.maxPercent"),
        (
            "mirror-percent-limit",
            {"maxPercentByStack": {"staging": 101}},
            "mirror-percent-limit.maxPercentByStack.staging",
        ),
        ("mirror-percent-limit", {"maxPercentByStack": 5}, "mirror-percent-limit.maxPercentByStack"),
        ("mirror-lifetime", {"maxLifetimeDays": 0}, "mirror-lifetime.maxLifetimeDays"),
        (
            "mirror-method-not-allowed",
            {"allowedRpcMethods": ["SayHello"]},
            "mirror-method-not-allowed.allowedRpc",
        ),
        ("gateway-undefined", {"wholeCluster": "yes"}, "gateway-undefined.wholeCluster"),
        ("image-digest", {"waivers": WAIVER}, "image-digest.waivers"),
        ("image-digest", {"waivers": ["greeter"]}, "image-digest.waivers[0]"),
        ("image-digest", {"waivers": [{"resource": "greeter"}]}, "image-digest.waivers[0]"),
        ("image-digest", {"waivers": [{**WAIVER, "resource": ""}]}, "image-digest.waivers[0].resource"),
        ("image-digest", {"waivers": [{**WAIVER, "reason": "because"}]}, "image-digest.waivers[0].reason"),
        ("image-digest", {"waivers": [{**WAIVER, "until": "2027-02-30"}]}, "image-digest.waivers[0].until"),
        ("image-digest", {"waivers": [{**WAIVER, "until": 2027}]}, "image-digest.waivers[0].until"),
    ],
)
def test_a_wrong_configuration_is_refused(rule_id: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_configuration(rule_id, config, RULES)
    assert caught.value.field.startswith(field)
    assert caught.value.remedy


REPAIRED = sorted(rule.id for rule in RULES.values() if rule.repair)


@pytest.mark.parametrize("rule_id", REPAIRED)
def test_rules_that_declare_a_repair_have_one(rule_id: str) -> None:
    example = EXAMPLES[rule_id]
    pack = InProcess({rule_id: example.config}, only=rule_id)
    given = resources(example.refused)
    mended = [dataclasses.replace(each, props=serialize_properties(pack.remedied(each))) for each in given]
    assert pack.judge(given).of(rule_id)
    assert pack.judge(mended).of(rule_id) == []


@pytest.mark.parametrize("rule_id", sorted(RULE_IDS | {"not-judged"}))
def test_a_rule_without_a_repair_cannot_be_told_to_repair(rule_id: str) -> None:
    if rule_id in REPAIRED:
        check_configuration(rule_id, {}, RULES, "remediate")
        return
    with pytest.raises(ValidationError, match="Choose mandatory or advisory") as caught:
        check_configuration(rule_id, {}, RULES, "remediate")
    assert caught.value.field == f"{rule_id}.enforcementLevel"


@pytest.mark.parametrize("rule_id", sorted(rule.id for rule in RULES.values() if getattr(rule, "decided_by", ())))
def test_what_one_object_decides_needs_no_other(rule_id: str) -> None:
    example = EXAMPLES[rule_id]
    kinds = getattr(RULES[rule_id], "decided_by")  # noqa: B009 -- only the model's rules have it
    given = resources(example.refused)
    alone = [each for each in given if each.props["kind"] in kinds]
    whole, part = (InProcess({rule_id: example.config}, only=rule_id).judge(each) for each in (given, alone))
    assert [line.message for line in whole.of(rule_id)] == [line.message for line in part.of(rule_id)]


@pytest.mark.parametrize(("percent", "told"), [(10, 1), (100, 0)])
def test_a_limit_holds_for_an_overlay_s_mirror_before_its_filter_is_made(percent: int, told: int) -> None:
    given = resources(EXAMPLES["overlay-redirect"].accepted)
    report = InProcess({"mirror-percent-limit": {"maxPercent": percent}}, only="mirror-percent-limit").judge(given)
    assert ["100 % are mirrored" in each.message for each in report.of("mirror-percent-limit")] == [True] * told


def test_the_sdk_has_the_parts_that_the_pack_replaces() -> None:
    """They are private: a new release of the SDK fails here first, and not in silence."""
    assert policy.json_format.MessageToDict is json_format.MessageToDict
    assert policy.deserialize_properties is deserialize_properties
    assert policy.unknown_checking_proxy is unknown_checking_proxy
    assert inspect.isfunction(policy._PolicyAnalyzerServicer.Configure)
