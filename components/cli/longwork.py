"""Work that takes a while: shown as it proceeds, ended in time."""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Final, TypeAlias, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ..operations.errors import OperationError

_T = TypeVar("_T")

Timeout: TypeAlias = Annotated[float, typer.Option(help="Give up after this time.", metavar="SECONDS")]
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


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
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise OperationError(f"It did not end within {seconds:g} s", remedy="Give it more time with --timeout")
    return done[0]
