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
            field=option, value=str(folder), rule=f"must be a folder with {file}", remedy="Check the path"
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

    def up(self, tell: Tell, *, timeout_seconds: float = 0.0) -> dict[str, int]:
        """Deploy, and return the number of resources by operation.

        Args:
            tell: Told each line of the engine.
            timeout_seconds: Bound on it, after which it is cancelled in order; 0 for none.

        Raises:
            OperationError: The deployment failed, or its time was over.
        """
        return self._run("up", tell, timeout_seconds)

    def preview(self, tell: Tell, *, timeout_seconds: float = 0.0) -> dict[str, int]:
        """Tell what :meth:`up` would change; same arguments and errors."""
        return self._run("preview", tell, timeout_seconds)

    def _run(self, verb: str, tell: Tell, timeout_seconds: float) -> dict[str, int]:
        before = Path.cwd()
        expired = threading.Event()
        timer = threading.Timer(timeout_seconds, _cancel, [expired])
        timer.daemon = True
        if timeout_seconds > 0:
            timer.start()
        try:
            # A program in this process may print; standard output is for the command's own result.
            with redirect_stdout(sys.stderr):
                result: Any = getattr(self._stack, verb)(on_output=tell, color="never")
        except self._command_error as error:
            if expired.is_set():
                raise OperationError(
                    f"Stack {self._choice.stack} was not deployed within {timeout_seconds:g} s, and was cancelled",
                    remedy="Give it more time with --timeout",
                ) from error
            raise self._explain(error, f"cannot be deployed ({verb})") from error
        finally:
            timer.cancel()
            os.chdir(before)
        summary: Mapping[Any, Any] = (
            result.change_summary if verb == "preview" else result.summary.resource_changes or {}
        )
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


def _cancel(expired: threading.Event) -> None:
    """Tell the engine what Ctrl-C tells it: it ends the steps that run, writes its state and gives the lock back."""
    psutil: Any = importlib.import_module("psutil")
    expired.set()
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
