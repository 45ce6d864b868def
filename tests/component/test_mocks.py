"""Programs under mocks as users write them, and under those that the library brings, each as a user runs it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest

from pulumi_traffic_mirror.testing import ProviderMocks
from tests.program.test_examples import CONFIG, EXAMPLES

pytestmark = pytest.mark.slow

OWN_PACKAGE = {"other-cloud"}
"""Examples that run a package of their own, which its folder brings."""

ECHO = """
import json, runpy, sys
import pulumi

class Echo(pulumi.runtime.Mocks):
    def new_resource(self, args):
        return f"{args.name}_id", args.inputs
    def call(self, args):
        return {}

for program, values in json.load(sys.stdin).items():
    pulumi.runtime.set_mocks(Echo(), project="p", stack="dev")
    pulumi.runtime.set_all_config({f"p:{key}": value for key, value in values.items()})
    pulumi.runtime.test(lambda: runpy.run_path(program, run_name="__main__"))()
    print(program)
"""
"""What Pulumi's documentation shows: inputs come back, functions return nothing."""


def test_mocks_that_only_echo_do_not_break_a_component(tmp_path: Path) -> None:
    programs = {str(EXAMPLES / name / "__main__.py"): CONFIG[name] for name in sorted(CONFIG.keys() - OWN_PACKAGE)}
    echo = [sys.executable, "-c", ECHO]
    done = subprocess.run(
        echo, input=json.dumps(programs), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines() == list(programs), done.stderr


def test_the_example_test_of_a_program_passes(tmp_path: Path) -> None:
    for file in (EXAMPLES / "both-clusters").glob("*.py"):
        shutil.copy(file, tmp_path)
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(test, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "1 passed" in done.stdout, done.stdout


def test_outputs_and_stack_references_can_be_given() -> None:
    token = "kubernetes:core/v1:Service"
    mocks = ProviderMocks(
        outputs={token: {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}},
        stack_references={"organization/shop/testing": {"receiver": "offered"}},
    )
    given = pulumi.runtime.MockResourceArgs(token, "edge", {"metadata": {"name": "edge", "labels": {"a": "b"}}}, "", "")
    _, service = mocks.new_resource(given)
    assert service["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.7"}]
    assert service["metadata"] == {"name": "edge", "labels": {"a": "b"}}
    name = "organization/shop/testing"
    given = pulumi.runtime.MockResourceArgs("pulumi:pulumi:StackReference", name, {"name": name}, "", name)
    assert mocks.new_resource(given)[1]["outputs"] == {"receiver": "offered"}
    assert [each.name for each in mocks.registered] == ["edge", name]
