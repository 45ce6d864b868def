"""Work that takes a while: shown as it proceeds, ended in time."""

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Final, TypeAlias, TypeVar

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ..model.checks import bounded
from ..operations.errors import OperationError
from .console import open_console

_T = TypeVar("_T")

_SHORTEST: Final = 0.1
_LONGEST: Final = 366 * 86_400.0
"""A year; the system's own clocks take no more than some hundred."""


def in_time(seconds: float | None) -> float | None:
    """Check ``--timeout``.

    Raises:
        ValidationError: It is no time that anybody waits: nothing, for ever, or not a number.
    """
    if seconds is not None:
        bounded(seconds, "--timeout", _SHORTEST, _LONGEST, "seconds")
    return seconds


Timeout: TypeAlias = Annotated[
    float, typer.Option(help="Give up after this time.", metavar="SECONDS", callback=in_time)
]
"""``--timeout``"""

_PLAIN_STEP: Final = 0.1
"""Without a terminal one line is printed for each tenth."""


@contextmanager
def showing(what: str) -> Generator[Callable[[float], None]]:
    """Show how far something is, on standard error: a bar on a terminal, plain lines elsewhere.

    Args:
        what: What is being done, e.g. ``"compare"``.

    Yields:
        To be called with the share that is done, 0 to 1.
    """
    if not sys.stderr.isatty():
        shown = [0.0]

        def plain(share: float) -> None:
            if share >= shown[0] + _PLAIN_STEP:
                shown[0] = share
                typer.echo(f"{what}: {share:.0%}", err=True)

        yield plain
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=open_console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def in_time_only(seconds: float) -> Callable[[], None]:
    """Return what work on local files calls now and then, and which raises ``OperationError`` once time is up."""
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise OperationError(f"It did not end within {seconds:g} s", remedy="Give it more time with --timeout")

    return check


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, or give up; it runs in a thread, so that a storage that hangs cannot hang us.

    Raises:
        OperationError: It took longer.
    """
    done: list[_T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:
        if thread.is_alive():
            # Nobody waits for what it started: at the end Python would, however long that takes.
            for process in multiprocessing.active_children():
                process.kill()
    if failed:
        raise failed[0]
    if not done:
        raise OperationError(f"It did not end within {seconds:g} s", remedy="Give it more time with --timeout")
    return done[0]
