"""The oracle as a process: a question in, an answer out, and a fresh one now and then."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FuturesTimeoutError
from contextlib import suppress
from types import TracebackType
from typing import Final, cast

from ..errors import OperationError
from .answers import Answer
from .question import Question

QUESTIONS: Final = 150
"""How many questions one process answers: it keeps about 6 MB of each (measured)."""

PATIENCE: Final = 120.0
"""Seconds that an answer may take; a small mesh takes 0.06 s, one with a thousand services some seconds."""


AMBIENT: Final = "PILOT_ENABLE_AMBIENT"
"""istiod's environment variable for ambient mode."""


class OracleError(OperationError):
    """The oracle could not be started, ended, or answered too late."""


class Oracle:
    """Answers questions, in one process after the other for each mode of istiod; a context manager, which ends them.

    Args:
        command: What starts it: the program with the files of the CustomResourceDefinitions of Istio and of the
            Gateway API, or a container of it, see :func:`in_container`.
        environment: What it gets of the caller's environment; default nothing, because PILOT_ variables would change
            what istiod does.
        patience: Seconds that an answer may take.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, patience: float = PATIENCE
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment or {"HOME": "/nonexistent"})
        self._patience = patience
        self._processes: dict[bool, subprocess.Popen[str]] = {}
        self._asked = {False: 0, True: 0}
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> "Oracle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ambient in tuple(self._processes):
            self._end(ambient=ambient)
        self._thread.shutdown()

    def ask(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            OracleError: There is no answer; the process is ended then, and the next question starts another.
        """
        ambient = question.ambient
        if self._asked[ambient] >= QUESTIONS:
            self._end(ambient=ambient)
        process = self._processes.get(ambient) or self._start(ambient=ambient)
        self._asked[ambient] += 1
        exchange = self._thread.submit(_exchange, process, json.dumps(question.to_json()))
        try:
            line = exchange.result(self._patience)
        except FuturesTimeoutError:
            self._end(ambient=ambient)
            raise OracleError(
                f"istiod gave no answer within {self._patience:g} s", remedy="Give it fewer objects at once"
            ) from None
        except OSError:
            line = ""
        if not line:
            reason = _last_words(process)
            self._end(ambient=ambient)
            raise OracleError(
                f"istiod ended while it read these objects: {reason}",
                remedy="Leave out objects until it answers; the last one left out is the cause",
            )
        return cast("Answer", json.loads(line))

    def _start(self, *, ambient: bool) -> subprocess.Popen[str]:
        environment = {**self._environment, AMBIENT: "true" if ambient else "false"}
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        except OSError as error:
            raise OracleError(
                f"{self._command[0]} cannot be started: {error.strerror}", remedy="Build the oracle again"
            ) from error
        self._processes[ambient], self._asked[ambient] = process, 0
        return process

    def _end(self, *, ambient: bool) -> None:
        process = self._processes.pop(ambient, None)
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what could not be written any more is of no use to anybody
                    pipe.close()


def in_container(image: str) -> list[str]:
    """The command that starts a container of an image, whose entry point is the oracle; it reaches no network.

    Raises:
        OracleError: There is no program that runs containers.
    """
    program = shutil.which("docker") or shutil.which("podman")
    if program is None:
        raise OracleError("no docker and no podman is there to run the image", remedy="Install one of them")
    return [program, "run", "--rm", "--interactive", "--network=none", f"--env={AMBIENT}", "--", image]


def _exchange(process: "subprocess.Popen[str]", line: str) -> str:
    if process.stdin is None or process.stdout is None:
        return ""
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()


def _last_words(process: "subprocess.Popen[str]") -> str:
    process.kill()
    process.wait()
    said = [line for line in process.stderr.read().splitlines() if line.strip()] if process.stderr else []
    return said[0] if said else "it said nothing"
