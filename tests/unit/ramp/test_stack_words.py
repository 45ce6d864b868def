"""A failed deployment is told by the engine's diagnostics, not by whatever it wrote last."""

import shutil
import signal
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from components.operations.ramp.stack import PulumiStack, _cancel, said_by_engine
from components.rehearsal.processes import wait_until

FAILED = """ code: 255
 stdout: Updating (staging):
    pulumi:pulumi:Stack demo-staging  error: Program failed
Diagnostics:
  pulumi:pulumi:Stack (demo-staging):
    error: Program failed with an unhandled exception: broken program

Outputs:
    kubeconfig: "[secret]"
Resources:
    1 errored
 stderr: """


def test_diagnostics_are_shown_without_outputs() -> None:
    assert said_by_engine(FAILED) == [
        "  pulumi:pulumi:Stack (demo-staging):",
        "    error: Program failed with an unhandled exception: broken program",
    ]


def test_without_diagnostics_errors_are_shown() -> None:
    assert said_by_engine(" code: 255\n stdout:\n stderr: error: no stack named 'x' found\n") == [
        " stderr: error: no stack named 'x' found"
    ]
    assert said_by_engine("killed") == ["killed"]


def test_the_engine_is_interrupted_and_nobody_else(tmp_path: Path) -> None:
    engine = tmp_path / "pulumi-engine"
    engine.symlink_to(shutil.which("sleep") or "sleep")
    expired = threading.Event()
    with subprocess.Popen([engine, "60"]) as ended, subprocess.Popen(["sleep", "60"]) as other:
        try:
            wait_until(lambda: psutil.Process(ended.pid).name() == engine.name, what="the engine runs", timeout=30)
            _cancel(expired)
            assert ended.wait(timeout=30) == -signal.SIGINT
            assert other.poll() is None
        finally:
            ended.kill()
            other.kill()
    assert expired.is_set()


def test_a_name_with_a_point_stays_one_name_in_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = object.__new__(PulumiStack)
    paths: list[str] = []
    monkeypatch.setattr(stack, "_config", lambda *words: paths.append(words[-2]), raising=False)
    stack.set_object(
        "branches.b", {"headers": {"x-user": "a", "x.user": "b"}, "rpcMethods": ["s.S/M"], 'a"b': {"c": 1}}
    )
    assert paths == [
        "branches.b.headers.x-user",
        'branches.b.headers["x.user"]',
        "branches.b.rpcMethods[0]",
        r'branches.b["a\"b"].c',
    ]


class Prints:
    """Stands for a stack of the Automation API whose program prints."""

    def preview(self, **_: object) -> SimpleNamespace:
        print("hello")
        return SimpleNamespace(change_summary={"same": 1})


def test_what_a_program_prints_is_no_part_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    stack = object.__new__(PulumiStack)
    stack._stack, stack._command_error = Prints(), RuntimeError
    assert stack.preview(lambda _: None) == {"same": 1}
    assert capsys.readouterr() == ("", "hello\n")
