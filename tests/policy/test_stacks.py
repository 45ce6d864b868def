"""Both stacks of the program under the pack: as they are, and with one thing wrong at a time."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model import Brakes
from pulumi_traffic_mirror.model.render import traffic_policy
from pulumi_traffic_mirror.model.rules import Rule
from pulumi_traffic_mirror_policies.pack import every_rule
from tests.policy.driver import UNKNOWN, Given, InProcess, cluster_object, recorded
from tests.program.test_program import ROOT, deploy

STACKS = ("staging", "testing")
RECIPE = ROOT / "tests" / "data" / "published_recipe"


@cache
def registered(stack: str, *, preview: bool = False) -> list[Given]:
    return recorded(deploy(stack, preview=preview))


def changed(given: list[Given], type_: str, change: Callable[[Any], None]) -> list[Given]:
    """The resources with the first one of a type changed."""
    first = next(one for one in given if one.type.endswith(f":{type_}"))
    props = copy.deepcopy(dict(first.props))
    change(props)
    return [replace(one, props=props) if one is first else one for one in given]


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_of_a_stack_breaks_a_rule(stack: str) -> None:
    assert InProcess().judge(registered(stack)).said == []


def test_rules_on_mirrors_are_judged_in_staging() -> None:
    """Green means judged: no rule of the model finds that it does not apply."""
    report = InProcess().judge(registered("staging"))
    whole_stack = {
        rule.id
        for rule in every_rule()
        if isinstance(rule, Rule) and not rule.decided_by and rule.id.startswith("mirror-")
    }
    assert report.not_applicable.isdisjoint(whole_stack - {"mirror-host-limits"})


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_judges_all_but_the_names_of_new_service_accounts(stack: str) -> None:
    report = InProcess().judge(registered(stack, preview=True))
    assert report.policies == {"not-judged"}
    assert {line.message.split("not judged: ")[1].split(".")[0] for line in report.said} == {
        "gke-node-account",
        "iam-wide-grant",
    }


def _percent(props: Any) -> None:
    for entry in props["spec"]["http"]:
        for mirror in entry.get("mirrors", []):
            mirror["percentage"] = {"value": 101.0}


def _no_limits(props: Any) -> None:
    for policy in [props["spec"], *props["spec"].get("subsets", [])]:
        policy.pop("trafficPolicy", None)


def _empty_filter(props: Any) -> None:
    props["spec"]["configPatches"] = []


def _public_gateway(props: Any) -> None:
    props["values"]["service"]["annotations"] = {}


def _expired(props: Any) -> None:
    props["metadata"]["annotations"]["pulumi-traffic-mirror/expires"] = "2026-12-31"


def _public_nodes(props: Any) -> None:
    props["privateClusterConfig"]["enablePrivateNodes"] = False


def _open_endpoint(props: Any) -> None:
    props["controlPlaneEndpointsConfig"] = {}


def _role(props: Any) -> None:
    props["role"] = "roles/container.admin"


def _root(props: Any) -> None:
    props["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = False


def _tag(props: Any) -> None:
    props["spec"]["template"]["spec"]["containers"][0]["image"] = "greeter:latest"


@pytest.mark.parametrize(
    ("type_", "change", "rules"),
    [
        ("VirtualService", _percent, {"mirror-percent-range"}),
        ("VirtualService", _expired, {"mirror-expired"}),
        ("DestinationRule", _no_limits, {"mirror-no-brakes"}),
        ("EnvoyFilter", _empty_filter, {"mirror-unbounded-life", "mirror-credentials"}),
        ("Release", lambda props: props.update(chart="gateway", values={}), {"load-balancer-open"}),
        ("Cluster", _public_nodes, {"gke-private-nodes"}),
        ("Cluster", _open_endpoint, {"gke-endpoint-open"}),
        ("Cluster", lambda props: props.update(deletionProtection=False), {"gke-deletion-protection"}),
        ("IAMMember", _role, {"gke-node-roles"}),
        ("Deployment", _root, {"pod-restricted"}),
        ("Deployment", _tag, {"image-digest"}),
    ],
)
def test_one_wrong_thing_is_refused_by_its_rules(type_: str, change: Callable[[Any], None], rules: set[str]) -> None:
    report = InProcess().judge(changed(registered("staging"), type_, change))
    assert {line.policy for line in report.mandatory} >= rules


def test_the_stack_that_owns_the_traffic_is_protected_and_the_other_need_not_be() -> None:
    testing = registered("testing")
    assert any(one.props.get("deletionProtection") is False for one in testing)
    report = InProcess({"gke-deletion-protection": {"disposableStacks": ["development"]}}).judge(testing)
    assert report.of("gke-deletion-protection")


def test_a_mirror_that_ends_within_a_week_is_reported_and_stops_nothing() -> None:
    def soon(props: Any) -> None:
        props["metadata"]["annotations"]["pulumi-traffic-mirror/expires"] = "2027-01-04"

    report = InProcess().judge(changed(registered("staging"), "VirtualService", soon))
    assert report.mandatory == []
    assert {line.policy for line in report.said} == {"mirror-expires-soon"}


def test_clusters_of_one_stack_are_kept_apart() -> None:
    """What is defined in one cluster helps nobody in the other."""
    staging = registered("staging")
    other = Given("pulumi:providers:kubernetes", "elsewhere", {"clusterIdentifier": "elsewhere"})
    moved = [replace(one, provider=other) if one.type.endswith(":DestinationRule") else one for one in staging]
    assert InProcess().judge(moved).of("mirror-no-brakes")


def test_two_providers_of_one_cluster_are_one_cluster() -> None:
    staging = registered("staging")
    identity = {"clusterIdentifier": "staging"}
    first, second = (Given("pulumi:providers:kubernetes", name, identity) for name in ("first", "second"))
    shared = [
        replace(one, provider=(first if one.type.endswith(":VirtualService") else second)) if one.provider else one
        for one in staging
    ]
    assert InProcess().judge(shared).mandatory == []


def test_a_published_recipe_is_refused_on_both_sides() -> None:
    """Plain YAML of somebody else for two clusters, without a component of ours."""
    given: list[Given] = []
    for folder in STACKS:
        provider = Given("pulumi:providers:kubernetes", folder, {"clusterIdentifier": folder})
        for path in sorted((RECIPE / folder).glob("*.yaml")):
            given += [cluster_object(document, provider=provider, stack=folder) for document in _documents(path)]
    refused = {line.policy for line in InProcess().judge(given).mandatory}
    assert refused >= {"mirror-no-brakes", "mirror-credentials", "mirror-plain-text", "receiver-no-route"}


def _documents(path: Path) -> list[Any]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def test_routes_of_the_gateway_api_are_judged() -> None:
    backend = {"name": "greeter-v2", "port": 8000}
    route = cluster_object(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "greeter", "namespace": "hello"},
            "spec": {
                "parentRefs": [{"name": "entrance"}],
                "hostnames": ["greeter.example"],
                "rules": [
                    {
                        "backendRefs": [{"name": "greeter-v1", "port": 8000}],
                        "filters": [
                            {"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": 101}}
                        ],
                    }
                ],
            },
        }
    )
    refused = {line.policy for line in InProcess().judge([route]).mandatory}
    assert refused >= {"mirror-percent-range", "mirror-no-brakes", "mirror-side-effects"}


def test_no_secret_of_a_stack_is_repeated_in_a_message() -> None:
    value = "-----BEGIN PRIVATE KEY-----\nMIIEvQ-not-a-key\n-----END PRIVATE KEY-----"
    given = [
        cluster_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"key": value}}),
        cluster_object({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "y"}, "data": {"key": value}}),
    ]
    report = InProcess().judge(given)
    assert [line.urn for line in report.of("secret-in-clear")] == [given[0].urn]
    assert "MIIEvQ" not in json.dumps([line.message for line in report.said])


@pytest.mark.parametrize(("place", "field"), [(("spec", "host"), "spec.host"), (("metadata", "namespace"), "metadata")])
def test_a_correct_program_can_be_previewed_while_its_destination_rule_is_not_known(
    place: tuple[str, str], field: str
) -> None:
    """What an unknown object may be is not absent."""
    mirror = {"destination": {"host": "greeter.hello.svc.cluster.local", "subset": "v2", "port": {"number": 8000}}}
    route = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "greeter", "namespace": "hello"},
        "spec": {"hosts": ["greeter.hello.svc.cluster.local"], "http": [{"timeout": "8s", "mirrors": [mirror]}]},
    }
    rule: dict[str, Any] = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "greeter", "namespace": "hello"},
        "spec": {
            "host": "greeter.hello.svc.cluster.local",
            "subsets": [{"name": "v2", "labels": {"version": "v2"}}],
            "trafficPolicy": traffic_policy(Brakes()),
        },
    }
    rule[place[0]][place[1]] = UNKNOWN
    report = InProcess().judge([cluster_object(route), cluster_object(rule)])
    about_rule = {"mirror-subset-undefined", "mirror-no-brakes"}
    assert about_rule.isdisjoint({line.policy for line in report.mandatory})
    (listed,) = [line.message for line in report.of("not-judged") if "DestinationRule" in line.message]
    assert field in listed
    assert about_rule <= {word.strip(",.") for word in listed.split()}


def test_a_managed_mesh_is_known_by_its_revision_object() -> None:
    """Its namespaces need not name a revision."""
    given = registered("staging")
    assert not InProcess(only="envoy-filter-too-new").judge(given).said
    control_plane = next(one for one in given if one.props.get("chart") == "istiod")
    without = [one for one in given if one is not control_plane]
    metadata = {"name": "asm-managed", "namespace": "istio-system"}
    revision = cluster_object(
        {"apiVersion": "mesh.cloud.google.com/v1beta1", "kind": "ControlPlaneRevision", "metadata": metadata},
        provider=next(one for one in given if one.type.endswith(":EnvoyFilter")).provider,
    )
    said = InProcess(only="envoy-filter-too-new").judge([*without, revision]).said
    assert any("managed, by ControlPlaneRevision asm-managed" in line.message for line in said)
