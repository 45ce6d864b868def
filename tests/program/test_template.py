"""The template for ``pulumi new``, rendered as the command renders it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.program.test_examples import kubeconfig
from tests.support.recording import run_program

TEMPLATE = Path(__file__).resolve().parents[2] / "template"
GIVEN = {
    "context": "x",
    "host": "shop.example.com",
    "target": "orders-next.shop.svc.cluster.local",
    "until": "2999-01-31",
}


def rendered(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The new project's file, and what the command asks for, by key."""
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    text = (folder / "Pulumi.yaml").read_text(encoding="utf-8")
    text = text.replace("${PROJECT}", "orders-mirror").replace("${DESCRIPTION}", "Copies of orders")
    project: dict[str, Any] = yaml.safe_load(text)
    asked = project.pop("template")["config"]
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    return project, asked


@pytest.mark.parametrize("preview", [False, True])
def test_a_new_project_mirrors_what_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preview: bool
) -> None:
    project, asked = rendered(tmp_path / "new")
    assert (project["name"], project["runtime"]["name"]) == ("orders-mirror", "python")
    assert all(each["description"] for each in asked.values())
    assert {key for key, each in asked.items() if "default" not in each} == set(GIVEN)
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig("192.0.2.1"), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(file))
    config = {**{key: each.get("default") for key, each in asked.items()}, **GIVEN}
    recording = run_program(
        tmp_path / "new" / "__main__.py",
        project="orders-mirror",
        config={f"orders-mirror:{key}": value for key, value in config.items()},
        preview=preview,
    )
    (mirror,) = recording.exports["mirrors"]
    assert (mirror["name"], mirror["percent"]) == ("orders-next", 1.0)
    assert mirror["expires"].startswith("2999-01-31")


def test_it_needs_nothing_but_the_package() -> None:
    assert (TEMPLATE / "requirements.txt").read_text(encoding="utf-8").split() == ["pulumi-traffic-mirror"]
