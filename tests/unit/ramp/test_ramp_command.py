"""The commands around a ramp: what they show, and what they refuse, without any cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.cli.app import main
from components.cli.ramp import _percent_at
from components.model import ValidationError
from components.operations.ramp.run import RampJob
from components.operations.ramp.state import Phase, StateFile


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / ".traffic-mirror" / "ramp.staging.testing.json")


def begun(phase: Phase, **changes: Any) -> Any:
    job = RampJob(stack="staging", key="mirrors.crossCluster.percent", mirror="testing", start=1.0)
    return job.new_state().to(phase, percent=5.0, good=5.0, **changes)


def status(file: StateFile, *words: str) -> int:
    return main(["ramp", "status", "--project", str(file.path.parents[1]), *words])


def test_status_tells_a_killed_ramp_from_one_that_runs(file: StateFile, capsys: pytest.CaptureFixture[str]) -> None:
    file.write(begun(Phase.MEASURING))
    with file.held():
        assert status(file) == 0
        assert "5 % is in force, measuring" in capsys.readouterr().out
    assert status(file) == 1
    assert "5 % is in force, interrupted" in capsys.readouterr().out


def test_status_as_json_has_the_whole_state(file: StateFile, capsys: pytest.CaptureFixture[str]) -> None:
    file.write(begun(Phase.ROLLED_BACK, reason="at 25 %: copies in flight"))
    assert status(file, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["phase"], shown["percent"], shown["running"]) == ("rolled back", 5.0, False)
    assert shown["reason"] == "at 25 %: copies in flight"


def test_a_finished_ramp_is_not_gone_on_with(file: StateFile, capsys: pytest.CaptureFixture[str]) -> None:
    file.write(begun(Phase.DONE))
    assert status(file) == 0
    assert main(["ramp", "resume", "--project", str(file.path.parents[1])]) == 2
    assert "has ended at 5 % (done)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "There is no ramp in"),
        (["resume"], "There is no ramp in"),
        (["run"], "--staging = None: must be given"),
        (["run", "--staging", "absent"], "--staging = 'absent': must be a file that exists"),
    ],
)
def test_what_is_missing_is_named(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ramp", *words, "--project", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_a_project_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    assert main(["ramp", "run", "--staging", str(kubeconfig), "--project", str(tmp_path)]) == 2
    assert "must be a folder with Pulumi.yaml" in capsys.readouterr().err


CONFIG: dict[str, Any] = {"traffic-mirror:mirrors": {"crossCluster": {"percent": 10}}, "other:percent": "2.5"}


@pytest.mark.parametrize(
    ("key", "percent"), [("mirrors.crossCluster.percent", 10), ("traffic-mirror:mirrors.crossCluster.percent", 10)]
)
def test_the_share_in_force_is_read_from_the_configuration(key: str, percent: float) -> None:
    assert _percent_at(CONFIG, key) == percent
    assert _percent_at(CONFIG, "other:percent") == 2.5


@pytest.mark.parametrize("key", ["mirrors.inCluster.percent", "mirrors", "absent"])
def test_a_key_without_a_share_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="must name a percentage"):
        _percent_at(CONFIG, key)
