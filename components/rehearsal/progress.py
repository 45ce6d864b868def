"""Progress of long steps: a live display on a terminal, one plain line per event elsewhere."""

import sys
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import Progress as RichBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_SECONDS_READ_BETTER_BELOW = 90.0


class Progress(Protocol):
    """What long steps report to. Every method may be called from several threads at once."""

    def step(
        self, name: str, *, usual_seconds: float | None = None, log: Path | None = None
    ) -> AbstractContextManager[None]:
        """Show that a step runs for as long as the context is open.

        Args:
            name: What is being done, e.g. ``"build kubernetes"``.
            usual_seconds: How long it usually takes, in seconds; None when it is short.
            log: File that receives the step's output; None when there is none.
        """
        ...

    def note(self, text: str) -> None:
        """Show one line that is not a step."""
        ...


def describe_step(name: str, usual_seconds: float | None, log: Path | None) -> str:
    """Return the line that announces a step: name, usual duration, log."""
    hints: list[str] = []
    if usual_seconds is not None:
        hints.append(f"usually {human_duration(usual_seconds)}")
    if log is not None:
        hints.append(f"log {log}")
    return f"{name} ({', '.join(hints)})" if hints else name


def human_duration(seconds: float) -> str:
    """Return a duration as people say it: ``"40 s"``, ``"5 min"``."""
    if seconds < _SECONDS_READ_BETTER_BELOW:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


class SilentProgress:
    """Shows nothing; for tests and programs with a display of their own."""

    @contextmanager
    def step(self, name: str, *, usual_seconds: float | None = None, log: Path | None = None) -> Generator[None]:
        """Show nothing."""
        del name, usual_seconds, log
        yield

    def note(self, text: str) -> None:
        """Show nothing."""


class PlainProgress:
    """One line when a step starts and one when it ends, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @contextmanager
    def step(self, name: str, *, usual_seconds: float | None = None, log: Path | None = None) -> Generator[None]:
        """Print a line now and one with the duration at the end."""
        self.note(f"{describe_step(name, usual_seconds, log)} ...")
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self.note(f"{name}: failed after {time.monotonic() - start:.1f} s")
            raise
        self.note(f"{name}: {time.monotonic() - start:.1f} s")

    def note(self, text: str) -> None:
        """Print one line with the time since the start."""
        # Nobody left to read it, e.g. behind a closed pipe, must not keep a clean-up from its work.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(f"[{time.monotonic() - self._started:6.1f} s] {text}\n")
            self._stream.flush()


class RichProgress:
    """A live line with a spinner and the elapsed time per running step; finished steps stay as text."""

    def __init__(self, bar: RichBar) -> None:
        self._bar = bar

    @contextmanager
    def step(self, name: str, *, usual_seconds: float | None = None, log: Path | None = None) -> Generator[None]:
        """Show a spinner until the step ends."""
        task = self._bar.add_task(describe_step(name, usual_seconds, log), total=None)
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self._bar.console.print(Text.assemble(("✗ ", "red"), name))
            raise
        else:
            elapsed = time.monotonic() - start
            self._bar.console.print(Text.assemble(("✓ ", "green"), name, (f"  {elapsed:.1f} s", "dim")))
        finally:
            self._bar.remove_task(task)

    def note(self, text: str) -> None:
        """Print one line above the live display."""
        self._bar.console.print(text, highlight=False, markup=False)


@contextmanager
def open_progress(stream: TextIO | None = None) -> Generator[Progress]:
    """Yield a display for `stream` (standard error by default), live only when it is a terminal."""
    target = stream or sys.stderr
    if not target.isatty():
        yield PlainProgress(target)
        return
    bar = RichBar(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=target),
        transient=True,
    )
    with bar:
        yield RichProgress(bar)
