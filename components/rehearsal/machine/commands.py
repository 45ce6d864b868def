"""Running other programs to their end, with an error that shows their last words."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import StageError
from .lanes import given_up

POLL_SECONDS = 0.2
"""How often a long program is asked whether it has ended: the longest time that an interruption waits."""

MOVING_SECONDS = 900.0
"""Bound on a program that moves a gibibyte, or reads a thousand modules: a slow disk is slow, not broken."""

SHOWN_LINES = 20
"""How many of a failed program's last lines an error shows."""

PROXY_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)
"""A proxy of the machine must never see traffic of the stage, so its programs do not get these variables."""


def last_lines(text: str, count: int = SHOWN_LINES) -> tuple[str, ...]:
    """Return the last `count` lines of `text` that are not empty."""
    return tuple(line for line in text.splitlines() if line.strip())[-count:]


def last_lines_of(file: Path, count: int = SHOWN_LINES, *, since: int = 0) -> tuple[str, ...]:
    """Return the last `count` lines of a file that are not empty; nothing if it cannot be read.

    Args:
        file: The file.
        count: How many.
        since: Offset in bytes; what lies before it does not count.
    """
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(since, size - 256 * count))
            return last_lines(stream.read().decode(errors="replace"), count)
    except OSError:
        return ()


def run(
    argv: Sequence[str],
    *,
    what: str,
    remedy: str = "See its output below",
    env: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> str:
    """Run a short program and return its standard output.

    Args:
        argv: Program and arguments; never a secret, other users can see them.
        what: What the program does, for the error, e.g. ``"add the network namespace tm-fabric"``.
        remedy: What to do if it fails.
        env: Environment; None means the caller's.
        timeout: Seconds until the program is killed.

    Raises:
        StageError: The program is missing, failed or took too long.
    """
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, env=env, timeout=timeout, errors="replace"
        )
    except FileNotFoundError as error:
        raise StageError(
            f"Cannot {what}: the program {argv[0]} is missing", remedy="Install it, then try again"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise StageError(f"Cannot {what}: {argv[0]} did not end within {timeout:.0f} s", remedy=remedy) from error
    if done.returncode != 0:
        raise StageError(
            f"Cannot {what}: {argv[0]} ended with code {done.returncode}",
            remedy=remedy,
            details=last_lines(done.stderr or done.stdout),
        )
    return done.stdout


def run_logged(
    argv: Sequence[str],
    *,
    what: str,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    remedy: str | None = None,
) -> None:
    """Run a long program with its output appended to `log`; ends the whole process group on any interruption.

    Args:
        argv: Program and arguments.
        what: What the program does, for the error.
        log: File that receives standard output and standard error.
        cwd: Working directory; None means the caller's.
        env: Environment; None means the caller's.
        remedy: What to do if it fails; None points to the log.

    Raises:
        StageError: The program is missing or failed; the error has the log's last lines and path.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begun = output.tell()
        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise StageError(
                f"Cannot {what}: the program {argv[0]} is missing", remedy="Install it, then try again"
            ) from error
        try:
            code = _wait(process, what)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if code != 0:
        raise StageError(
            f"Cannot {what}: {argv[0]} ended with code {code}, log {log}",
            remedy=remedy or "Read the log, repair the cause and start again; finished parts are kept",
            # Not what an earlier program, or an earlier try, wrote into the same log.
            details=last_lines_of(log, since=begun),
        )


def _wait(process: "subprocess.Popen[bytes]", what: str) -> int:
    """Wait until a program ends by itself, or nobody wants its result any more."""
    while True:
        try:
            return process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if given_up():
                raise StageError(f"Gave up to {what}", remedy="Start again; finished parts are kept") from None
