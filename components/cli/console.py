"""Where commands print what people read."""

from typing import Final

from rich.console import Console

UNBOUNDED: Final = 10_000
"""Columns where nothing is a terminal: files and pipelines get whole lines, which can be searched and cut."""


def open_console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error.

    On a terminal lines are wrapped to its width; elsewhere they are neither wrapped nor cropped, whatever ``COLUMNS``
    says.
    """
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=UNBOUNDED)
