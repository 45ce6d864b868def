"""A failed deployment is told by the engine's diagnostics, not by whatever it wrote last."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.ramp import stack as module
from pulumi_traffic_mirror.operations.ramp.stack import PulumiStack, said_by_engine
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until

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
    with subprocess.Popen([engine, "60"]) as ended, subprocess.Popen(["sleep", "60"]) as other:
        try:
            wait_until(lambda: psutil.Process(ended.pid).name() == engine.name, what="the engine runs", timeout=30)
            module._cancel_engine()
            assert ended.wait(timeout=30) == -signal.SIGINT
            assert other.poll() is None
        finally:
            ended.kill()
            other.kill()


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

    def up(self, **_: object) -> SimpleNamespace:
        print("hello")
        return SimpleNamespace(summary=SimpleNamespace(resource_changes={"same": 1}))


def test_what_a_program_prints_is_no_part_of_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    stack = object.__new__(PulumiStack)
    stack._stack, stack._command_error = Prints(), RuntimeError
    assert stack.up(lambda _: None) == {"same": 1}
    assert capsys.readouterr() == ("", "hello\n")


class Timer:
    """Stands for a timer: the test says when its time is over."""

    made: list["Timer"]

    def __init__(self, seconds: float, expire: Any) -> None:
        self.seconds, self.expire, self.state = seconds, expire, "new"
        self.daemon = False
        self.made.append(self)

    def start(self) -> None:
        self.state = "runs"

    def cancel(self) -> None:
        self.state = "cancelled"


class Deploys:
    """Stands for a stack of the Automation API: the engine installs plugins for long, then it deploys."""

    def __init__(self, *, hangs_while: str = "") -> None:
        self.hangs_while = hangs_while

    def up(self, *, on_event: Any, **_: object) -> SimpleNamespace:
        self._wait("installing")
        on_event(SimpleNamespace(prelude_event=None))
        on_event(SimpleNamespace(prelude_event=object()))
        on_event(SimpleNamespace(prelude_event=None))
        self._wait("deploying")
        return SimpleNamespace(summary=SimpleNamespace(resource_changes={"create": 2}))

    def _wait(self, doing: str) -> None:
        if self.hangs_while == doing:
            Timer.made[-1].expire()
            raise RuntimeError("cancelled")


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    Timer.made = []
    seen: list[bool] = []
    monkeypatch.setattr(module, "threading", SimpleNamespace(Timer=Timer))
    monkeypatch.setattr(module, "_cancel_engine", lambda: seen.append(True))
    return seen


def deploy(stand_in: Deploys, timeout_seconds: float, begun: Callable[[], None] = lambda: None) -> dict[str, int]:
    stack: Any = object.__new__(PulumiStack)
    stack._stack, stack._command_error, stack._choice = stand_in, RuntimeError, SimpleNamespace(stack="demo")
    return stack.up(lambda _: None, timeout_seconds=timeout_seconds, begun=begun)


def test_the_bound_on_a_deployment_begins_when_the_engine_has_installed_what_it_needs(cancelled: list[bool]) -> None:
    begun: list[str] = []
    assert deploy(Deploys(), 60, lambda: begun.append(Timer.made[-1].state)) == {"create": 2}
    assert [(timer.seconds, timer.state) for timer in Timer.made] == [
        (module.PREPARATION_SECONDS, "cancelled"),
        (60, "cancelled"),
    ]
    assert begun == ["runs"]
    assert cancelled == []


@pytest.mark.parametrize(
    ("doing", "bound", "words"),
    [
        ("installing", 60, "did not begin to deploy within 1800 s"),
        ("installing", 0, "did not begin to deploy within 1800 s"),
        ("deploying", 60, "was not deployed within 60 s"),
    ],
)
def test_the_engine_is_cancelled_when_either_bound_is_over(
    cancelled: list[bool], doing: str, bound: float, words: str
) -> None:
    with pytest.raises(OperationError, match=f"Stack demo {words}, and was cancelled"):
        deploy(Deploys(hangs_while=doing), bound)
    assert cancelled == [True]


def test_without_a_bound_only_the_installation_is_timed(cancelled: list[bool]) -> None:
    assert deploy(Deploys(), 0) == {"create": 2}
    assert [timer.seconds for timer in Timer.made] == [module.PREPARATION_SECONDS]
    assert cancelled == []
