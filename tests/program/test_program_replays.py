"""Replays by configuration alone, their objects under the policy pack, and how a wrong key is named."""

import re
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model import ValidationError
from tests.policy.driver import InProcess, recorded
from tests.program.test_program import ADDRESS, ROOT, TESTING, config, deploy
from tests.support.recording import refused

IMAGE = f"registry.example/jobs@sha256:{'0' * 64}"
TYPE = "trafficmirror:index:ReplayJob"
JOB = "kubernetes:batch/v1:Job"
REPLAY = {"image": IMAGE, "recording": "gs://lake/monday", "target": "http://v2.example:8000"}
MANY = {**REPLAY, "shards": 4, "begin": "2027-01-31T12:00:00Z"}


@pytest.mark.parametrize("stack", ["staging", "testing"])
def test_each_name_is_a_replay(stack: str) -> None:
    assert not deploy(stack).of_type(TYPE)
    recording = deploy(stack, replays={"monday": {**MANY, "result": "gs://lake/replayed"}, "tuesday": REPLAY})
    assert {each.name for each in recording.of_type(TYPE)} == {"monday", "tuesday"}
    monday = recording.one(JOB, "monday-job")
    assert (monday.input("metadata.namespace"), monday.input("spec.completions")) == ("hello", 4)
    assert recording.one(JOB, "tuesday-job").input("spec.completions") == 1
    assert {name: each["result"] for name, each in recording.exports["replays"].items()} == {
        "monday": "gs://lake/replayed",
        "tuesday": None,
    }


def test_what_is_nested_becomes_the_command_s_words() -> None:
    replay = {
        **REPLAY,
        "target": "https://v2.example",
        "waiver": {"reason": "v2 has data of its own"},
        "rewrites": {"/v1": "/v2"},
        "secrets": {"headers": "credential"},
        "accountAnnotations": {"iam.gke.io/gcp-service-account": "a@b"},
    }
    job = deploy("staging", replays={"monday": replay}).one(JOB, "monday-job")
    (container,) = job.input("spec.template.spec.containers")
    words = " ".join(container["args"])
    assert "--allow-side-effects v2 has data of its own" in words
    assert "--rewrite /v1=/v2" in words
    assert "--header-file /secrets/" in words


def test_the_section_in_the_documentation_makes_replays() -> None:
    text = (ROOT / "docs" / "large-recordings.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(  traffic-mirror:replays:\n.*?)```", text, re.DOTALL)
    section = yaml.safe_load(block.replace("sha256:…", f"sha256:{'0' * 64}"))["traffic-mirror:replays"]
    assert len(deploy("testing", replays=section).of_type(TYPE)) == len(section)


def test_replays_break_no_rule_of_the_policy_pack() -> None:
    assert InProcess().judge(recorded(deploy("testing", replays={"monday": MANY}))).said == []


@pytest.mark.parametrize(
    ("replays", "said"),
    [
        ({"monday": {"image": IMAGE}}, "traffic-mirror:replays.monday.recording in Pulumi.staging.yaml = None"),
        ({"monday": {**REPLAY, "image": "jobs:1"}}, "traffic-mirror:replays.monday.image in Pulumi.staging.yaml"),
        ({"monday": {**REPLAY, "speeed": 2}}, "traffic-mirror:replays.monday.speeed in Pulumi.staging.yaml"),
        ({"monday": {**REPLAY, "shards": 4}}, "traffic-mirror:replays.monday.begin in Pulumi.staging.yaml"),
        ({"monday": {**REPLAY, "maxInFlight": 0}}, "traffic-mirror:replays.monday.maxInFlight in Pulumi.staging.yaml"),
        ({"monday": {**REPLAY, "target": "v2"}}, "traffic-mirror:replays.monday.target in Pulumi.staging.yaml"),
        ({"monday": {**REPLAY, "recording": "/recordings/a"}}, "replays.monday.claim in Pulumi.staging.yaml"),
        ({"my_day": REPLAY}, "traffic-mirror:replays.my_day in Pulumi.staging.yaml = 'my_day'"),
        ({"monday": {**REPLAY, "secrets": {"ca": "tls"}}}, "replays.monday.secrets.ca in Pulumi.staging.yaml"),
        ([1], "traffic-mirror:replays in Pulumi.staging.yaml = [1]: must be an object"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(replays: Any, said: str) -> None:
    values = {**config("staging"), "traffic-mirror:replays": replays}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=values,
        stack="staging",
        outputs=ADDRESS,
        stack_references=TESTING,
    )
    assert said in str(refusal.error)
