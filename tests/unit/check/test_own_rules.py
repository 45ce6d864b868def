"""Rules of an organisation's own, by the example's package as it is installed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror import extensions
from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from tests.unit.model.samples import sending

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "own-rules"
ID = "acme-routes-have-an-owner"


@pytest.fixture
def _fresh() -> Iterator[None]:
    """Found rules are kept for the life of a process."""
    extensions.own_rules.cache_clear()
    yield
    extensions.own_rules.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _fresh: None) -> Path:
    """The example, installed from its folder into one of its own."""
    target = tmp_path / "site"
    command = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run([sys.executable, *command], cwd=EXAMPLE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)], check=True)
    monkeypatch.syspath_prepend(str(target))
    return target


def check(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    file = folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": sending()}), encoding="utf-8")
    main(["check", str(file), *options])
    return json.loads(capsys.readouterr().out)


def test_check_and_the_pack_know_the_rules_of_a_package_that_is_installed(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check(tmp_path, capsys, "--json")["findings"]
    (own,) = [each for each in found if each["rule"] == ID]
    assert own["remedy"] == "Add the annotation acme.example/owner"
    driver = check(tmp_path, capsys, "--sarif")["runs"][0]["tool"]["driver"]
    assert ID in {each["id"] for each in driver["rules"]}
    script = "from datetime import datetime, UTC; from pulumi_traffic_mirror_policies.pack import make_policies;"
    script += "print([each.name for each in make_policies(lambda: datetime.now(UTC))])"
    environment = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"}
    pack = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert f"'{ID}'" in pack.stdout


@pytest.mark.usefixtures("_fresh")
def test_without_such_packages_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert extensions.own_rules() == ()
    assert not [each for each in check(tmp_path, capsys, "--json")["findings"] if each["rule"] == ID]


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no_such_module_anywhere:RULES", "must be importable (ModuleNotFoundError"),
        ("json:dumps", "must name a Rule or a list of rules, and names function"),
        ("pulumi_traffic_mirror.model.rules:RULES", "must be an id that no other rule has"),
    ],
)
def test_an_entry_point_that_names_no_rules_is_refused(value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint(name="acme", value=value, group=extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda **_: [entry])
    with pytest.raises(ValidationError) as refusal:
        extensions.own_rules()
    assert words in str(refusal.value)
    assert "entry point 'acme'" in refusal.value.field
