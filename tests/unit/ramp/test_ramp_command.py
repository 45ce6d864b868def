"""The commands around a ramp: what they show, and what they refuse, without any cluster."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli import ramp as command
from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.cli.ramp import _percent_at
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.ramp.gates import Measurement
from pulumi_traffic_mirror.operations.ramp.run import RampJob
from pulumi_traffic_mirror.operations.ramp.state import Phase, StateFile
from pulumi_traffic_mirror.operations.verify.job import VerifyJob
from tests.unit.verify.test_verify_report import report


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


def test_status_says_which_deployment_was_under_way_when_it_was_killed(
    file: StateFile, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write(replace(begun(Phase.APPLYING), target=25.0))
    assert status(file) == 1
    assert "A deployment of 25 % was under way; 'ramp resume' deploys 5 %." in capsys.readouterr().out


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


class Stack:
    """Stands for a stack: keeps what was done; a deployment of 25 % fails."""

    def __init__(self) -> None:
        self.done: list[float | str] = []
        self.meters: list[tuple[VerifyJob, str]] = []
        self.report: Any = {}

    def config(self) -> Mapping[str, Any]:
        return CONFIG

    def set_number(self, key: str, value: float) -> None:
        assert key == "mirrors.crossCluster.percent"
        self.done.append(value)

    def up(self, tell: Callable[[str], None], *, begun: Callable[[], None]) -> None:
        del tell
        begun()
        self.done.append("up")
        if self.done[-2] == 25:
            raise OperationError("Stack staging cannot be deployed", remedy="Correct that")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()
    measured = Measurement(percent=0, calls=100, failed=0, p95_seconds=0.01, seconds=5, copies=10)
    monkeypatch.setattr(command, "open_stack", lambda *_: made)

    def meter(job: VerifyJob, mirror: str) -> Callable[..., Measurement]:
        made.meters.append((job, mirror))
        return lambda percent, _: replace(measured, percent=percent, report=made.report)

    monkeypatch.setattr(command, "Meter", meter)
    return made


def run(file: StateFile, *words: str) -> int:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    kubeconfig = file.path.parents[1] / "kubeconfig"
    kubeconfig.touch()
    given = ("--staging", str(kubeconfig), "--project", str(file.path.parents[1]), *words)
    return main(["ramp", "run", *given])


def test_a_dry_run_says_the_steps_and_changes_nothing(
    file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "testing is good at 10 %. It would go to 25 %, 50 %, 100 %, each by pulumi up" in said
    assert (stack.done, file.read()) == ([], None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rate", "inf"], "--rate = inf: must be above 0"),
        (["--hold", "nan"], "--hold = nan: must be above 0"),
        (["--rate", "100001", "--hold", "1"], "--rate = 100001.0: must be from 0"),
        (["--hold", "1e9"], "--rate times --hold = 20000000000: must be from 1"),
        (["--hold", "1e308"], "--rate times --hold = 9223372036854775807: must be from 1"),
        (["--rate", "1e308"], "--rate"),
        (["--gateway", "gate.example"], "--gateway = 'gate.example': must be HOST:PORT"),
        (["--path", "orders"], "--path = 'orders': must begin with /"),
        (["--watch", "-1"], "--watch = -1.0: must be from 0"),
        (
            ["--hold", "900"],
            "--timeout = 3600.0: must be longer than the 3600 s that 4 measurements of --hold take",
        ),
        (["--watch", "1000"], "--timeout = 3600.0: must be longer than the 4000 s that 4 measurements of --watch take"),
        (["--hold", "1"], "--hold = 1.0: must be long enough for 23 calls: fewer do not tell 25 % from nothing"),
        (["--html", "/no/such/folder/report.html"], "--html = '/no/such/folder/report.html'"),
    ],
)
def test_a_dry_run_refuses_what_the_ramp_would(
    words: list[str], said: str, file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--dry-run", *words) == 2
    assert said in capsys.readouterr().err
    assert stack.done == []


def test_a_ramp_is_one_deployment_for_each_step(
    file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--steps", "50,100") == 0
    assert stack.done == [50, "up", 100, "up"]
    assert "testing: 100 % is in force, done" in capsys.readouterr().out


def test_calls_are_made_where_the_options_say_also_after_an_interruption(file: StateFile, stack: Stack) -> None:
    given = ("--staging-context", "blue", "--gateway", "127.0.0.1:1", "--rate", "10", "--hold", "6")
    assert run(file, "--steps", "25,50", *given) == 2
    assert main(["ramp", "resume", "--project", str(file.path.parents[1])]) == 2
    for job, mirror in stack.meters:
        assert (mirror, job.staging.context, job.receiving, job.address) == ("testing", "blue", (), "127.0.0.1:1")
        assert (job.calls, job.calls_per_second) == (60, 10)
    assert len(stack.meters) == 2


@pytest.mark.parametrize(
    ("words", "path", "watched"), [(["--path", "/orders"], "/orders", 0), (["--watch", "7"], None, 7)]
)
def test_http_and_watching_are_measured_as_verify_does(
    words: list[str], path: str | None, watched: float, file: StateFile, stack: Stack
) -> None:
    assert run(file, "--steps", "50", *words) == 0
    ((job, _),) = stack.meters
    assert (job.http.path if job.http else None, job.watch_seconds) == (path, watched)


def test_a_resumed_ramp_is_held_against_its_bound_too(
    file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--steps", "25,50") == 2
    capsys.readouterr()
    assert main(["ramp", "resume", "--project", str(file.path.parents[1]), "--timeout", "100"]) == 2
    assert "must be longer than the 180 s that 3 measurements of --hold take" in capsys.readouterr().err
    assert len(stack.meters) == 1


def test_the_page_has_the_steps_and_the_report_of_the_last_one(
    file: StateFile, stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.report = report().to_json()
    assert run(file, "--steps", "50", "--html", str(tmp_path / "page.html")) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for words in ("Ramp of testing, 50 % in force", "<h2>Steps</h2>", "before the ramp", "all pass", "<svg"):
        assert words in page
    assert "The mirrors do what they should" in capsys.readouterr().out
    assert status(file, "--html", str(tmp_path / "again.html")) == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_a_deployment_that_fails_leaves_the_share_in_force_in_the_configuration(
    file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "--steps", "20,25,50") == 2
    assert stack.done == [20, "up", 25, "up", 20]
    assert "Stack staging cannot be deployed" in capsys.readouterr().err
    assert main(["ramp", "resume", "--project", str(file.path.parents[1]), "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["start"], planned["steps"]) == (20, [25, 50])


def test_a_ramp_that_stands_is_not_begun_anew(
    file: StateFile, stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write(begun(Phase.INTERRUPTED))
    assert run(file) == 2
    assert "A ramp of testing stands at 5 % (interrupted)" in capsys.readouterr().err
    assert stack.done == []
