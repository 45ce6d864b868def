"""The documentation of the pack is what the rules say."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from policies.documents import TARGET, render
from policies.pack import every_rule
from policies.sdk import check_configuration
from tests.policy.driver import PACK, ROOT

DOCUMENT = render()
CI = ROOT / "examples" / "ci"
MODULES = sorted(path for path in PACK.rglob("*.py"))


def test_the_document_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == DOCUMENT, "run: python -m policies.documents"


@pytest.mark.parametrize("rule", every_rule(), ids=lambda rule: rule.id)
def test_every_rule_has_its_section(rule: object) -> None:
    rule_id = getattr(rule, "id")  # noqa: B009 -- three kinds of rules
    section = DOCUMENT.split(f"\n## {rule_id}\n")[1].split("\n## ")[0]
    for part in ("* Why: ", "* Source: ", "* Remedy: ", "* Level: ", "Refused", "```yaml"):
        assert part in section


@pytest.mark.parametrize("path", sorted(CI.glob("*.json")), ids=lambda path: path.name)
def test_ready_configurations_are_accepted(path: Path) -> None:
    names = [rule.id for rule in every_rule()]
    for name, given in json.loads(path.read_text()).items():
        settings = given if isinstance(given, dict) else {}
        check_configuration(name, {key: value for key, value in settings.items() if key != "enforcementLevel"}, names)


def test_the_configuration_in_the_document_is_accepted() -> None:
    block = re.search(r"^    \{\n(?:      .*\n)+    \}", DOCUMENT, re.MULTILINE)
    assert block
    names = [rule.id for rule in every_rule()]
    for name, given in json.loads(block[0]).items():
        settings = given if isinstance(given, dict) else {}
        check_configuration(name, {key: value for key, value in settings.items() if key != "enforcementLevel"}, names)


def test_the_ready_workflow_names_what_is_there() -> None:
    workflow = yaml.safe_load((CI / "github.yaml").read_text())
    commands = "\n".join(step.get("run", "") for step in workflow["jobs"]["preview"]["steps"])
    assert "--policy-pack .traffic-mirror/policies" in commands
    assert (PACK / "PulumiPolicy.yaml").is_file()
    manifest = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    # The environment that the workflow makes is the one that the pack runs in.
    assert (PACK / manifest["runtime"]["options"]["virtualenv"]).resolve() == (ROOT / ".venv").resolve()
    assert ".traffic-mirror/.venv" in commands


def test_the_pack_needs_what_the_extra_names() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["policy"]
    lines = (PACK / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == extra


def test_the_readme_puts_the_pack_to_use_as_the_workflow_does() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("git clone --depth 1 --branch v0.1.0 ", "pip install -r .traffic-mirror/policies/requirements.txt"):
        assert command in readme
        assert command in (CI / "github.yaml").read_text()
    assert "pulumi preview --policy-pack .traffic-mirror/policies" in readme


def test_the_pack_knows_nothing_but_the_model() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            imported += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in imported:
                assert not name.startswith("components") or name.startswith("components.model"), f"{path.name}: {name}"


def test_no_module_of_the_pack_hides_one_that_others_import() -> None:
    """A pack's folder is first on the module path of its process."""
    hidden = {path.stem for path in PACK.glob("*.py")} & set(sys.stdlib_module_names)
    assert hidden <= {"__main__"}


def test_only_the_process_reads_the_clock() -> None:
    for path in MODULES:
        assert (".now(" in path.read_text()) == (path.name == "__main__.py"), path.name
