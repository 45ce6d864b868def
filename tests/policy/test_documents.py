"""The documentation of the pack is what the rules say."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from pulumi_traffic_mirror_policies.documents import DOCS, pages
from pulumi_traffic_mirror_policies.pack import every_rule
from pulumi_traffic_mirror_policies.sdk import check_configuration
from tests.policy.driver import PACK, ROOT

PAGES = pages()
DOCUMENT = PAGES["policies.md"]
RULES = {rule.id: rule for rule in every_rule()}
CI = ROOT / "examples" / "ci"
MODULES = sorted(path for path in PACK.rglob("*.py"))


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "run: python -m pulumi_traffic_mirror_policies.documents"


@pytest.mark.parametrize("rule_id", RULES)
def test_every_rule_has_its_section_on_one_page(rule_id: str) -> None:
    (section,) = [page.split(f"\n### {rule_id}\n")[1] for page in PAGES.values() if f"\n### {rule_id}\n" in page]
    section = section.split("\n### ")[0].split("\n## ")[0]
    for part in ("* Why: ", "* Source: ", "* Remedy: ", "Level: ", "Refused", "```yaml"):
        assert part in section
    rule = RULES[rule_id]
    assert rule.why.endswith(".")
    assert not rule.title.endswith(".")
    assert not rule.remedy.endswith(".")


@pytest.mark.parametrize("path", sorted(CI.glob("*.json")), ids=lambda path: path.name)
def test_ready_configurations_are_accepted(path: Path) -> None:
    for name, given in json.loads(path.read_text()).items():
        settings = given if isinstance(given, dict) else {}
        check_configuration(name, {key: value for key, value in settings.items() if key != "enforcementLevel"}, RULES)


def test_the_configuration_in_the_document_is_accepted() -> None:
    block = re.search(r"^    \{\n(?:      .*\n)+    \}", DOCUMENT, re.MULTILINE)
    assert block
    for name, given in json.loads(block[0]).items():
        settings = given if isinstance(given, dict) else {}
        check_configuration(name, {key: value for key, value in settings.items() if key != "enforcementLevel"}, RULES)


def test_the_ready_workflow_takes_the_pack_from_the_package_as_the_readme_does() -> None:
    for text in ((CI / "github.yaml").read_text(), (ROOT / "README.md").read_text()):
        assert "pulumi-traffic-mirror[cli,policy]" in text
        assert '--policy-pack "$(traffic-mirror policies --path)"' in text
    assert (PACK / "PulumiPolicy.yaml").is_file()


def test_the_ready_workflow_judges_by_the_base_branch_with_secrets_in_one_step() -> None:
    job = yaml.safe_load((CI / "github.yaml").read_text())["jobs"]["preview"]
    (preview,) = [step for step in job["steps"] if "pulumi preview" in step.get("run", "")]
    assert "--policy-pack-config base/" in preview["run"]
    assert "secrets." not in str({**job, "steps": [step for step in job["steps"] if step is not preview]})
    installs = [line for step in job["steps"] for line in step.get("run", "").splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


@pytest.mark.parametrize("workflow", sorted(CI.glob("*.yaml")), ids=lambda path: path.stem)
def test_ready_workflows_name_actions_by_their_commit(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in used), used


def test_the_pack_needs_what_the_extra_names() -> None:
    (line,) = [line for line in (PACK / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    name, extra = line.rstrip("]").split("[")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert name == project["name"]
    assert extra in project["optional-dependencies"]


def test_only_the_process_reads_the_clock() -> None:
    for path in MODULES:
        assert (".now(" in path.read_text()) == (path.name == "__main__.py"), path.name
