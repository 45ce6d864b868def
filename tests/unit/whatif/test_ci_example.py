"""The workflow for pull requests: what it runs is run, on a base, a change of manifests, and a change of a program."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.cli.app import main
from tests.support.shop import exchange, record, shop, to, written
from tests.support.what_if import needs_programs

pytestmark = [pytest.mark.slow, needs_programs]

FILE = Path(__file__).parents[3] / "examples" / "ci" / "what-if.yaml"
BEFORE, AFTER = shop({"route": [to("cart")]}), shop({"route": [to("next")]})


def job() -> Mapping[str, Any]:
    [found] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["jobs"].values()
    return found


def words(command: str) -> list[str]:
    """A line of the workflow as the runner's shell splits it, without the program's name."""
    for name, value in job()["env"].items():
        command = command.replace(f"${name}", value)
    program, *found = shlex.split(command)
    assert program == "traffic-mirror"
    return found


def step(name: str) -> Any:
    return next(each for each in job()["steps"] if each.get("name") == name)


def for_programs() -> dict[str, str]:
    """The lines that are commented out, by the file that each writes; the last one compares."""
    marked = [line.strip() for line in FILE.read_text(encoding="utf-8").splitlines() if line.strip().startswith("#   ")]
    lines = " ".join(line.removeprefix("#   ").strip() for line in marked).replace("\\ ", "")
    commands = lines.replace(" pulumi preview", "\npulumi preview").replace(" traffic-mirror", "\ntraffic-mirror")
    return {command.rpartition(" > ")[2]: command for command in commands.splitlines()}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runner's working folder: the change, its base below ``before``, and a sample of a recording."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before").mkdir()
    written(tmp_path / "before" / "manifests", BEFORE)
    record(tmp_path / "recording", *(exchange(number, f"/orders/{number}") for number in range(50)))
    assert main(["recordings", "sample", "recording", "what-if/requests"]) == 0
    nothing = {"expected": [], "unseen": []}
    (tmp_path / "what-if" / "expected.json").write_text(json.dumps(nothing), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("objects", "code", "said"), [(BEFORE, 0, "nothing changes"), (AFTER, 1, "**other cluster**")])
def test_a_change_of_manifests(checkout: Path, objects: Sequence[Mapping[str, Any]], code: int, said: str) -> None:
    written(checkout / "manifests", objects)
    assert main(words(step("Compare")["run"])) == code
    assert said in (checkout / "what-if.md").read_text(encoding="utf-8")
    assert "--body-file what-if.md" in step("Comment")["run"]


def test_a_change_of_a_program(checkout: Path) -> None:
    exported, previewed, compare = for_programs()
    resources = [
        {"type": "kubernetes:x", "urn": f"urn:pulumi:a::b::kubernetes:x::{number}", "inputs": each, "outputs": each}
        for number, each in enumerate(BEFORE)
    ]
    (checkout / exported).write_text(json.dumps({"deployment": {"resources": resources}}), encoding="utf-8")
    steps = [
        {"op": "update", "newState": {**resource, "inputs": each, "outputs": each}}
        for resource, each in zip(resources, AFTER, strict=True)
    ]
    (checkout / previewed).write_text(json.dumps({"config": {}, "steps": steps}), encoding="utf-8")
    assert main(words(for_programs()[compare])) == 1
    assert "**other cluster**" in (checkout / "what-if.md").read_text(encoding="utf-8")
