"""What happens around every command: help, errors, interruption, exit codes."""

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from pulumi_traffic_mirror.cli import app, main
from pulumi_traffic_mirror.cli.failures import TRACEBACK_VARIABLE
from pulumi_traffic_mirror.cli.options import input_file, output_file
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError

ROOT = Path(__file__).parents[3]
Work = Callable[[], None]


@pytest.fixture(autouse=True)
def signal_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Registers the only command, ``try``, that does what it is given."""

    def give(work: Work) -> None:
        module = types.ModuleType("pulumi_traffic_mirror.cli.try")
        module.__dict__["register"] = lambda application: application.command("try")(work)
        monkeypatch.setattr(app, "COMMANDS", {"try": "Try something."})
        monkeypatch.setitem(sys.modules, "pulumi_traffic_mirror.cli.try", module)

    return give


def failing(error: BaseException) -> Work:
    def work() -> None:
        raise error

    return work


def test_what_holds_ends_with_zero(command: Callable[[Work], None]) -> None:
    command(lambda: typer.echo("done"))
    assert main(["try"]) == 0


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_chooses_its_exit_code(command: Callable[[Work], None], code: int) -> None:
    command(failing(typer.Exit(code)))
    assert main(["try"]) == code


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ValidationError(field="--calls", value=0, rule="must be positive", remedy="Use 500"),
            "traffic-mirror: --calls = 0: must be positive. Use 500.",
        ),
        (
            OperationError("The API server cannot be reached", remedy="Check the network"),
            "traffic-mirror: The API server cannot be reached. Check the network.",
        ),
    ],
)
def test_a_known_error_is_one_message_and_exit_code_2(
    command: Callable[[Work], None], capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    command(failing(error))
    assert main(["try"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == words


def test_what_the_system_refuses_is_no_defect(
    command: Callable[[Work], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(failing(PermissionError(13, "Permission denied", "/recordings")))
    assert main(["try"]) == 2
    text = capsys.readouterr().err
    assert "Permission denied: '/recordings'. Check the path" in text
    assert "defect" not in text


def test_a_defect_names_its_place_and_shows_a_traceback_only_on_demand(
    command: Callable[[Work], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(failing(KeyError("lost")))
    assert main(["try"]) == 2
    text = capsys.readouterr().err
    assert "unexpected KeyError at " in text
    assert "test_cli_app.py:" in text
    assert "Traceback" not in text
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    assert main(["try"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_ends_with_130_after_cleaning_up(command: Callable[[Work], None]) -> None:
    cleaned: list[bool] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            cleaned.append(True)

    command(work)
    assert main(["try"]) == 130
    assert cleaned == [True]


def test_sigterm_ends_with_143_after_cleaning_up(command: Callable[[Work], None]) -> None:
    cleaned: list[bool] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    command(work)
    assert main(["try"]) == 143
    assert cleaned == [True]


def test_an_unknown_command_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command"]) == 2
    assert "no-such-command" in capsys.readouterr().err


def test_help_lists_commands_without_importing_them(
    command: Callable[[Work], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(failing(AssertionError("not called")))
    monkeypatch.delitem(sys.modules, "pulumi_traffic_mirror.cli.try")
    assert main(["--help"]) == 0
    assert "Try something." in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_it_runs_as_a_module_without_the_libraries_of_its_commands(words: list[str]) -> None:
    code = (
        "import sys; from pulumi_traffic_mirror.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'pulumi', 'kubernetes', 'grpc', 'pyarrow', 'scipy', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_completion_offers_the_commands(command: Callable[[Work], None]) -> None:
    del command
    environment = {
        **os.environ,
        "_TRAFFIC_MIRROR_COMPLETE": "complete_bash",
        "COMP_WORDS": "traffic-mirror --ver",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pulumi_traffic_mirror.cli"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "--version" in done.stdout


def test_a_file_to_write_is_checked_before_the_work(tmp_path: Path) -> None:
    assert output_file(None, option="--html") is None
    assert output_file(tmp_path / "report.html", option="--html") == tmp_path / "report.html"
    for path in (tmp_path, tmp_path / "missing" / "report.html"):
        with pytest.raises(ValidationError, match="--html"):
            output_file(path, option="--html")


def test_a_file_to_read_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="--staging"):
        input_file(tmp_path / "missing", option="--staging")
