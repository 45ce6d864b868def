"""The pack as the engine runs it: a process of its own, asked over gRPC."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import jsonschema
import pytest
from google.protobuf import json_format

from pulumi_traffic_mirror_policies.pack import every_rule
from tests.policy.driver import PACK, UNKNOWN, Given, InProcess, PackProcess, cluster_object, pack_process
from tests.policy.test_stacks import STACKS, registered

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared() -> Iterator[PackProcess]:
    with pack_process() as running:
        yield running


@pytest.fixture
def pack(shared: PackProcess) -> Iterator[PackProcess]:
    shared.configure({})
    yield shared
    shared.configure({})


def route(share: Any = 10, **spec: Any) -> Given:
    mirror = {"host": "v2.hello.svc.cluster.local", "port": {"number": 8000}}
    return cluster_object(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "greeter", "namespace": "hello"},
            "spec": {"hosts": ["greeter.example"], "http": [{"mirror": mirror, "mirrorPercent": share}], **spec},
        }
    )


def test_every_rule_is_a_policy_with_its_words(pack: PackProcess) -> None:
    policies = {policy.name: policy for policy in pack.info().policies}
    assert set(policies) == {rule.id for rule in every_rule()} | {"waivers-in-force", "not-judged"}
    for rule in every_rule():
        assert policies[rule.id].description == f"{rule.title}."
        assert policies[rule.id].remediation_steps == f"{rule.remedy}."


def test_every_schema_of_settings_is_a_schema(pack: PackProcess) -> None:
    for policy in pack.info().policies:
        for schema in json_format.MessageToDict(policy.configSchema.properties).values():
            jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("stack", STACKS)
def test_a_recorded_stack_gets_the_same_answer_as_in_process(pack: PackProcess, stack: str, preview: bool) -> None:
    given = registered(stack, preview=preview)
    answer = pack.judge(given)
    assert answer.mandatory == []
    assert {(line.policy, line.urn) for line in answer.said} == {
        (line.policy, line.urn) for line in InProcess().judge(given).said
    }


def test_a_second_stack_is_judged_by_its_own_values(pack: PackProcess) -> None:
    """Values are kept for one request only, however alike the next one is."""
    assert pack.judge([route(101)]).of("mirror-percent-range")
    assert pack.judge([route(100)]).of("mirror-percent-range") == []
    assert pack.judge([route(101)]).of("mirror-percent-range")


def test_levels_are_those_of_the_configuration(pack: PackProcess) -> None:
    assert [line.level for line in pack.judge([route(101)]).of("mirror-percent-range")] == ["mandatory"]
    pack.configure({"mirror-percent-range": {"enforcementLevel": "advisory"}})
    assert [line.level for line in pack.judge([route(101)]).of("mirror-percent-range")] == ["advisory"]
    pack.configure({"mirror-percent-range": {"enforcementLevel": "disabled"}})
    assert pack.judge([route(101)]).of("mirror-percent-range") == []


def test_what_is_not_known_keeps_the_level_of_what_is(pack: PackProcess) -> None:
    """The SDK alone turns a mandatory policy that meets an unknown value into an advisory one as a whole."""
    mirror = {"host": "v2.hello.svc.cluster.local", "port": {"number": 8000}}
    both = route(http=[{"mirror": mirror, "mirrorPercent": UNKNOWN}, {"mirror": mirror, "mirrorPercent": 101}])
    answer = pack.judge([both])
    assert [line.level for line in answer.of("mirror-percent-range")] == ["mandatory"]
    unjudged = [line for line in answer.of("not-judged") if "http[0].mirrorPercent" in line.message]
    assert [line.level for line in unjudged] == ["advisory"]


def test_previews_that_cannot_be_judged_are_refused_on_request(pack: PackProcess) -> None:
    pack.configure({"not-judged": {"enforcementLevel": "mandatory"}})
    assert [line.policy for line in pack.judge([route(UNKNOWN)]).mandatory if "mirrorPercent" in line.message] == [
        "not-judged"
    ]


def test_lists_begin_anew_with_every_stack(pack: PackProcess) -> None:
    assert pack.judge([route(UNKNOWN)]).of("not-judged")
    assert pack.judge([route(10)]).of("not-judged") == []


def test_settings_reach_their_rule(pack: PackProcess) -> None:
    pack.configure({"mirror-percent-limit": {"maxPercentByStack": {"staging": 5}}})
    assert [line.level for line in pack.judge([route(10)]).of("mirror-percent-limit")] == ["mandatory"]
    assert pack.judge([replace(route(10), stack="development")]).of("mirror-percent-limit") == []


@pytest.mark.parametrize(
    "config",
    [
        {"mirror-percent-limit": {"maxPerCent": 5}},
        {"image-digest": {"waivers": [{"resource": "x", "reason": "no end is given"}]}},
    ],
)
def test_wrong_settings_are_refused_before_anything_is_judged(pack: PackProcess, config: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        pack.configure(config)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert next(iter(config)) in error.details()


def test_a_policy_that_is_misspelt_is_refused(pack: PackProcess) -> None:
    with pytest.raises(grpc.RpcError, match="is none of this pack's"):
        pack.configure({"mirror-percent-limits": {"enforcementLevel": "disabled"}})


def test_remediation_is_made_on_request_only(pack: PackProcess) -> None:
    assert pack.remediate(route(10)) == []
    pack.configure({"mirror-deprecated-percent": {"enforcementLevel": "remediate"}})
    made = [found for found in pack.remediate(route(10)) if found.policyName == "mirror-deprecated-percent"]
    assert len(made) == 1
    assert json_format.MessageToDict(made[0].properties)["spec"]["http"][0]["mirrorPercentage"] == {"value": 10.0}


def test_a_pack_in_an_environment_without_its_packages_says_so_and_ends() -> None:
    bare = [sys.executable, "-I", "-S", str(PACK / "__main__.py")]
    ended = subprocess.run(bare, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert "has no module pulumi_policy. Install 'pulumi-traffic-mirror[policy]' into its environment" in ended.stderr
    assert "Traceback" not in ended.stderr
