"""Running a part of an operation in a child process, for example inside a network namespace.

The child reads one JSON object from standard input and writes JSON objects to standard output, one per line: the
results as they come, or one ``{"error": …}``. Secrets are no part of either: a job names kubeconfig files.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, cast

from ..model import JsonObject, ValidationError
from .errors import OperationError

Wrap = Callable[[Sequence[str]], Sequence[str]]
"""Makes the command of a program into one that runs it elsewhere, e.g. ``["nsenter", "--net=…", *command]``."""

Write = Callable[[Mapping[str, object]], None]
"""Sends one JSON object to the parent."""

PACKAGE = __name__.rpartition(".")[0]
SHOWN_CHARACTERS = 2000


def unwrapped(command: Sequence[str]) -> Sequence[str]:
    """Return the command as it is: the child runs where the parent runs."""
    return command


def child_command(module: str) -> list[str]:
    """Return the command that runs a module of this package as a child.

    Args:
        module: Name of the module in this package, e.g. ``"calls"``.
    """
    # -P, so that the caller's directory cannot put other modules in front.
    return [sys.executable, "-P", "-m", f"{PACKAGE}.{module}"]


def run_child(
    module: str, job: Mapping[str, object], *, wrap: Wrap = unwrapped, timeout_seconds: float
) -> Iterator[JsonObject]:
    """Run a module of this package in a child process and yield the objects that it writes.

    Args:
        module: Name of the module in this package.
        job: Its job.
        wrap: Where the child runs.
        timeout_seconds: The child is killed after this many seconds, > 0.

    Raises:
        OperationError: The child said why it cannot do the job, ended without a word, or took too long.
    """
    command = list(wrap(child_command(module)))
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise OperationError(f"Cannot start {command[0]}: {error}", remedy="Install it, then try again") from error
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout_seconds, kill)
    timer.start()
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.append(_stream(process.stderr).read()))
    reader.start()
    try:
        yield from _converse(process, job)
        code = process.wait()
        reader.join()
        if late.is_set():
            raise OperationError(
                f"{module} did not end within {timeout_seconds:g} s", remedy="Allow more time, or look what hangs"
            )
        if code != 0:
            last = errors[0].strip()[-SHOWN_CHARACTERS:] if errors else ""
            raise OperationError(f"{module} ended with code {code}", remedy=last or "Try again")
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            _stream(stream).close()


def _converse(process: "subprocess.Popen[str]", job: Mapping[str, object]) -> Iterator[JsonObject]:
    """Send the job and yield the answers; an answer that is an error is raised."""
    stdin = _stream(process.stdin)
    try:
        stdin.write(json.dumps(job))
        stdin.close()
    except BrokenPipeError:
        # The child ended before it read; its exit code and standard error say why.
        return
    for line in _stream(process.stdout):
        answer = json.loads(line)
        if "error" in answer:
            raise OperationError(answer["error"]["problem"], remedy=answer["error"]["remedy"])
        yield answer


def _stream(stream: IO[str] | None) -> IO[str]:
    """Return a pipe that was asked for, so that it cannot be missing."""
    return cast("IO[str]", stream)


def serve_job(work: Callable[[dict[str, Any], Write], None]) -> int:
    """Do a child's part: read the job, do the work, and return the exit code.

    Args:
        work: Takes the job and a function that writes one JSON object; a :class:`ValidationError` or
            :class:`OperationError` of it goes to the parent.
    """
    try:
        work(json.load(sys.stdin), _write)
    except OperationError as error:
        _write({"error": {"problem": error.problem, "remedy": error.remedy}})
    except ValidationError as error:
        _write({"error": {"problem": f"{error.field} = {error.value!r}: {error.rule}", "remedy": error.remedy}})
    return 0


def _write(answer: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
    sys.stdout.flush()
