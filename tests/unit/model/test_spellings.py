"""Protobuf lets fields be written in two ways, and shares with several denominators: each is read like the other."""

import copy
import re
from typing import Any

import pytest

from pulumi_traffic_mirror.model import IstioBehaviour
from tests.unit.model.samples import NEW, OLD, Object, findings, in_cluster, mesh, of_kind, receiving, route, sending

SPELLED = ("EnvoyFilter", "VirtualService", "DestinationRule")


def camel(value: Any) -> Any:
    """A value with the names of all fields in lowerCamelCase; names of extensions stay."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub("(?<=[a-z])_([a-z])", lambda found: found[1].upper(), key): camel(item) for key, item in value.items()
    }


def respelled(objects: list[Object]) -> list[Object]:
    return [{**each, "spec": camel(each["spec"])} if each["kind"] in SPELLED else each for each in objects]


def without(objects: list[Object], *names: str) -> list[Object]:
    """Objects without fields of these names, wherever they are."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return [cut(item) for item in value]
        if isinstance(value, dict):
            return {key: cut(item) for key, item in value.items() if key not in names}
        return value

    return [cut(each) for each in objects]


@pytest.mark.parametrize("istio", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize(
    "lost",
    [
        [],
        ["max_stream_duration"],
        ["request_headers_mutations"],
        ["request_mutations"],
        ["http_filters"],
        ["runtime_fraction"],
        ["default_value"],
        ["common_http_protocol_options"],
        ["typed_extension_protocol_options"],
    ],
    ids=lambda lost: "-".join(lost) or "nothing",
)
def test_both_spellings_of_a_field_give_the_same_findings(istio: IstioBehaviour, lost: list[str]) -> None:
    staging, testing = without(sending(route(istio=istio)), *lost), without(receiving(), *lost)
    plain = findings(mesh(staging, testing, istio=istio))
    spelled = findings(mesh(respelled(staging), respelled(testing), istio=istio))
    assert [(each.rule, each.object, each.message) for each in spelled] == [
        (each.rule, each.object, each.message) for each in plain
    ]


def share_of(objects: list[Object]) -> dict[str, Any]:
    """The share of the first mirror in the filter that replaces Istio's list."""
    patches = of_kind(objects, "EnvoyFilter")["spec"]["configPatches"]
    values = (patch["patch"]["value"] for patch in patches if patch["applyTo"] == "HTTP_ROUTE")
    lists = (value["route"]["request_mirror_policies"] for value in values if value.get("route"))
    return next(policies[0]["runtime_fraction"]["default_value"] for policies in lists if policies)


@pytest.mark.parametrize(
    ("share", "drifts"),
    [
        ({"numerator": 500_000, "denominator": "MILLION"}, False),
        ({"numerator": 5_000, "denominator": "TEN_THOUSAND"}, False),
        ({"numerator": 50, "denominator": "HUNDRED"}, False),
        ({"numerator": 50}, False),
        ({"numerator": 51}, True),
        ({"denominator": "HUNDRED"}, True),
        ({"numerator": 50, "denominator": "DOZEN"}, True),
        ({"numerator": 50, "denominator": "MILLION"}, True),
    ],
)
def test_a_share_is_read_with_every_denominator(share: dict[str, Any], *, drifts: bool) -> None:
    objects = copy.deepcopy(sending(route(mirrors=[in_cluster(percent=50)])))
    found = share_of(objects)
    found.clear()
    found.update(share)
    rules = {finding.rule for finding in findings(mesh(objects))}
    assert ("mirror-policy-drift" in rules) is drifts, rules


@pytest.mark.parametrize(("percent", "drifts"), [(100, False), (50, True)])
def test_a_policy_without_a_share_mirrors_everything(percent: float, *, drifts: bool) -> None:
    objects = without(sending(route(mirrors=[in_cluster(percent=percent)])), "runtime_fraction")
    assert ("mirror-policy-drift" in {finding.rule for finding in findings(mesh(objects))}) is drifts


def test_the_filters_of_a_cluster_that_scrubs_are_envoys_own_and_end_with_the_codec() -> None:
    """Envoy refuses a chain of upstream filters that does not end with the codec, and a refused cluster is silent."""
    patches = of_kind(sending(route(istio=OLD)), "EnvoyFilter")["spec"]["configPatches"]
    options = [
        patch["patch"]["value"]["typed_extension_protocol_options"] for patch in patches if "cluster" in str(patch)
    ]
    chains = [chain for each in options for values in each.values() if (chain := values.get("http_filters"))]
    assert chains
    prefix = "type.googleapis.com/envoy.extensions.filters.http"
    for mutation, codec in chains:
        assert mutation["name"] == "envoy.filters.http.header_mutation"
        assert mutation["typed_config"]["@type"] == f"{prefix}.header_mutation.v3.HeaderMutation"
        assert codec == {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": f"{prefix}.upstream_codec.v3.UpstreamCodec"},
        }
