"""The recorder by configuration alone, and its objects under the policy pack and the rules."""

import json
import re
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model import ValidationError
from tests.policy.driver import InProcess, recorded
from tests.program.test_program import ADDRESS, ROOT, TESTING, config, deploy
from tests.support.recording import refused

IMAGE = f"registry.example/recorder@sha256:{'0' * 64}"
TYPE = "trafficmirror:index:TrafficRecorder"
STACKS = ("staging", "testing")


@pytest.mark.parametrize("stack", STACKS)
def test_the_recorder_is_there_when_it_has_an_image(stack: str) -> None:
    assert not deploy(stack).of_type(TYPE)
    recording = deploy(stack, recorder={"image": IMAGE, "samplePercent": 5, "storage": {"volumeGib": 50}})
    (filter_,) = [child for child in recording.children_of(recording.one(TYPE)) if child.type.endswith(":EnvoyFilter")]
    assert filter_.input("spec.workloadSelector.labels") == {"istio": "internal-gateway"}
    # Testing's gateway gets mirrors, whose identifiers pair them with their primaries.
    kept = [patch["applyTo"] for patch in filter_.input("spec.configPatches")].count("NETWORK_FILTER")
    assert kept == (1 if stack == "testing" else 0)
    assert recording.one("kubernetes:core/v1:PersistentVolumeClaim")
    assert recording.exports["recordings"]["at"] == "/recordings"


def test_the_section_in_the_documentation_makes_a_recorder() -> None:
    text = (ROOT / "docs" / "guides" / "record-and-replay.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    section = yaml.safe_load(block.replace("…   #", f"{'0' * 64}   #"))["traffic-mirror:recorder"]
    recording = deploy("staging", recorder=section)
    assert recording.one("kubernetes:core/v1:PersistentVolumeClaim").input("spec.resources.requests.storage") == "20Gi"


@pytest.mark.parametrize("stack", STACKS)
def test_the_recorder_breaks_no_rule_of_the_policy_pack(stack: str) -> None:
    bucket = {"url": "gs://bucket/x", "accountAnnotations": {"iam.gke.io/gcp-service-account": "a@b"}}
    for storage in ({}, bucket):
        assert InProcess().judge(recorded(deploy(stack, recorder={"image": IMAGE, "storage": storage}))).said == []


def test_the_collector_knows_mirrors_by_the_contract_s_mark() -> None:
    contract = {**config("testing")["traffic-mirror:contract"], "scrub": {"markHeader": "x-copy"}}
    settings = deploy("testing", contract=contract, recorder={"image": IMAGE}).one(
        "kubernetes:core/v1:ConfigMap", "recorder-settings"
    )
    assert json.loads(settings.inputs["data"]["settings.json"])["mark_header"] == "x-copy"


@pytest.mark.parametrize(
    ("recorder", "said"),
    [
        ({"image": "recorder:1"}, "traffic-mirror:recorder.image in Pulumi.staging.yaml"),
        ({"image": IMAGE, "sample": 5}, "traffic-mirror:recorder.sample in Pulumi.staging.yaml"),
        ({"image": IMAGE, "samplePercent": 0}, "traffic-mirror:recorder.samplePercent in Pulumi.staging.yaml"),
        (
            {"image": IMAGE, "redaction": {"jsonPaths": ["a"]}},
            "traffic-mirror:recorder.redaction.jsonPaths[0] in Pulumi.staging.yaml",
        ),
        (
            {"image": IMAGE, "storage": {"url": "gs://b", "volumeGib": 1}},
            "traffic-mirror:recorder.storage.volumeGib in Pulumi.staging.yaml",
        ),
        (
            {"image": IMAGE, "storage": {"url": "/recordings"}},
            "traffic-mirror:recorder.storage.url in Pulumi.staging.yaml",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_file(recorder: dict[str, Any], said: str) -> None:
    values = {**config("staging"), "traffic-mirror:recorder": recorder}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=values,
        stack="staging",
        outputs=ADDRESS,
        stack_references=TESTING,
    )
    assert said in str(refusal.error)
