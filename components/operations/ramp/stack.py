"""One stack of the user's Pulumi project, changed by its configuration and ``pulumi up`` only."""

import importlib
import json
import os
import re
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ...model import JsonValue, ValidationError
from ..errors import OperationError

SHOWN_LINES: Final = 12
"""Lines of the engine's output that an error shows."""

SECTIONS: Final = ("Outputs:", "Resources:", "Policies:")
"""Headings after the engine's diagnostics; outputs may be long and tell nothing about a failure."""

PREPARATION_SECONDS: Final = 1_800.0
"""Bound on what the engine does before a deployment: it downloads missing plugins of a hundred megabytes."""

_PLAIN_NAME: Final = re.compile(r"[\w-]+", re.ASCII)

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class StackChoice:
    """Which stack.

    Raises:
        ValidationError: There is no such project or program.
    """

    project: Path
    """Folder with ``Pulumi.yaml``."""

    stack: str
    """Name of the stack."""

    program: Path | None = None
    """Folder of ``__main__.py``, to run it in this process; None to let Pulumi's language host run the project."""

    def __post_init__(self) -> None:
        _check_file(self.project, "Pulumi.yaml", "--project")
        if self.program is not None:
            _check_file(self.program, "__main__.py", "--program")


def _check_file(folder: Path, file: str, option: str) -> None:
    if not (folder / file).is_file():
        raise ValidationError(
            field=option,
            value=str(folder),
            rule=f"must be a folder with {file}",
            remedy=f"Run the command in such a folder, or name one with {option}",
        )


class PulumiStack:
    """A stack, by Pulumi's Automation API.

    Raises:
        OperationError: Pulumi is missing, or the stack does not exist.
    """

    def __init__(self, choice: StackChoice) -> None:
        self._choice = choice
        automation: Any = importlib.import_module("pulumi.automation")
        self._command_error: type[Exception] = automation.CommandError
        program = self._program if choice.program is not None else None
        try:
            workspace = automation.LocalWorkspace(work_dir=str(choice.project), program=program)
            self._stack: Any = automation.Stack.select(choice.stack, workspace)
        except FileNotFoundError as error:
            raise OperationError("Pulumi is not on the search path", remedy="Install it, or add its folder") from error
        except (automation.CommandError, RuntimeError) as error:
            raise self._explain(error, "cannot be used") from error

    def _program(self) -> None:
        if self._choice.program is not None:
            folder = self._choice.program.absolute()
            os.chdir(folder)
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    def config(self) -> dict[str, JsonValue]:
        """Return the configuration that is not secret, by key with namespace.

        Raises:
            OperationError: It cannot be read.
        """
        try:
            found: Mapping[str, Any] = self._stack.get_all_config()
        except self._command_error as error:
            raise self._explain(error, "has no readable configuration") from error
        values: dict[str, JsonValue] = {}
        for key, item in found.items():
            if not item.secret:
                values[key] = _parsed(item.value)
        return values

    def set_number(self, key: str, value: float) -> None:
        """Set a number below a key, e.g. ``mirrors.crossCluster.percent``.

        Raises:
            OperationError: Pulumi refuses.
        """
        self._config("set", "--path", "--type", "float", "--", key, f"{value:g}")

    def set_object(self, key: str, value: Mapping[str, JsonValue]) -> None:
        """Set an object below a key, value by value.

        Raises:
            OperationError: Pulumi refuses.
        """
        for name, item in value.items():
            inner = key + _step(name)
            if isinstance(item, Mapping):
                self.set_object(inner, cast("Mapping[str, JsonValue]", item))
            elif isinstance(item, list):
                for index, each in enumerate(item):
                    self._config("set", "--path", "--type", "string", "--", f"{inner}[{index}]", str(each))
            else:
                kinds: dict[type, str] = {bool: "bool", int: "int", float: "float"}
                kind = kinds.get(type(item), "string")
                text = str(item).lower() if isinstance(item, bool) else str(item)
                self._config("set", "--path", "--type", kind, "--", inner, text)

    def remove(self, key: str) -> None:
        """Remove what is below a key.

        Raises:
            OperationError: Pulumi refuses.
        """
        self._config("rm", "--path", "--", key)

    def _config(self, verb: str, *words: str) -> None:
        workspace: Any = self._stack.workspace
        arguments = ["config", verb, "--stack", self._choice.stack, *words]
        try:
            workspace.pulumi_command.run(arguments, str(self._choice.project), dict(workspace.env_vars))
        except self._command_error as error:
            raise self._explain(error, "does not take the configuration") from error

    def up(
        self, tell: Tell, *, timeout_seconds: float = 0.0, begun: Callable[[], None] = lambda: None
    ) -> dict[str, int]:
        """Deploy, and return the number of resources by operation.

        Args:
            tell: Told each line of the engine.
            timeout_seconds: Bound on it, after which it is cancelled in order; 0 for none. It counts from when the
                engine begins to deploy: what it installs before is bounded by :data:`PREPARATION_SECONDS`.
            begun: Called when the engine begins to deploy.

        Raises:
            OperationError: The deployment failed, or its time was over.
        """
        before = Path.cwd()
        limit = _DeploymentLimit(timeout_seconds, begun)
        try:
            # A program in this process may print; standard output is for the command's own result.
            with redirect_stdout(sys.stderr), limit:
                result: Any = self._stack.up(on_output=tell, on_event=limit.follow, color="never")
        except self._command_error as error:
            if limit.exceeded:
                raise OperationError(
                    f"Stack {self._choice.stack} {limit.exceeded}, and was cancelled", remedy=limit.remedy
                ) from error
            raise self._explain(error, "cannot be deployed") from error
        finally:
            os.chdir(before)
        summary: Mapping[Any, Any] = result.summary.resource_changes or {}
        return {str(getattr(key, "value", key)): int(count) for key, count in summary.items()}

    def _explain(self, error: Exception, what: str) -> OperationError:
        text = str(error)
        lines = said_by_engine(text)
        remedy = "Correct that and try again"
        if "currently locked" in text or "conflict" in type(error).__name__.lower():
            remedy = "Wait until the other update ends; if it was killed, run 'pulumi cancel'"
        shown = "\n  ".join(lines[-SHOWN_LINES:])
        return OperationError(f"Stack {self._choice.stack} {what}:\n  {shown}", remedy=remedy)


def _step(name: str) -> str:
    """Return a name as a step of a configuration path, in which a point would part it."""
    if _PLAIN_NAME.fullmatch(name):
        return f".{name}"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{quoted}"]'


class _DeploymentLimit:
    """Bounds a deployment from when the engine begins it. What the engine installs before has a bound of its own."""

    def __init__(self, seconds: float, begun: Callable[[], None]) -> None:
        self._seconds = seconds
        self._begun = begun
        self._deploying = False
        self._timer: threading.Timer | None = None
        self.exceeded = ""
        """Which bound is over, in words; empty while none is."""

    @property
    def remedy(self) -> str:
        return "Give it more time with --timeout" if self._deploying else "Look why the engine does not begin"

    def follow(self, event: Any) -> None:  # noqa: ANN401 -- the Automation API's events are untyped
        """Take an event of the engine; its prelude comes when plugins are installed and before anything changes."""
        if not self._deploying and event.prelude_event:
            self._deploying = True
            self._begun()
            self._start(self._seconds, "was not deployed")

    def __enter__(self) -> None:
        self._start(PREPARATION_SECONDS, "did not begin to deploy")

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, seconds: float, what: str) -> None:
        def expire() -> None:
            self.exceeded = f"{what} within {seconds:g} s"
            _cancel_engine()

        if self._timer is not None:
            self._timer.cancel()
        if seconds > 0:
            self._timer = threading.Timer(seconds, expire)
            self._timer.daemon = True
            self._timer.start()


def _cancel_engine() -> None:
    """Tell the engine what Ctrl-C tells it: it ends the steps that run, writes its state and gives the lock back."""
    psutil: Any = importlib.import_module("psutil")
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if child.name().startswith("pulumi"):
                child.send_signal(signal.SIGINT)


def said_by_engine(text: str) -> list[str]:
    """Return the lines of a failed command that say why: its diagnostics, else what it wrote as errors.

    Args:
        text: All that the command wrote.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for begin in (index for index, line in enumerate(lines) if line.strip() == "Diagnostics:"):
        end = next((i for i in range(begin + 1, len(lines)) if lines[i].strip() in SECTIONS), len(lines))
        return lines[begin + 1 : end]
    return [line for line in lines if "error:" in line] or lines


def _parsed(value: str) -> JsonValue:
    """A structured value as what it is, a text as a text."""
    try:
        found: JsonValue = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, dict | list) else value
