"""Where commands print what people read."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ..operations.plaintext import LAYOUT, printable

UNBOUNDED: Final = 10_000
"""Columns where nothing is a terminal: files and pipelines get whole lines, which can be searched and cut."""


class PlainConsole(Console):
    """A console that no text works: control characters, C1 and marks of direction are printed as escapes.

    Names, paths, headers and messages come from clusters, recordings and whoever called; rich itself only takes some
    control characters away.
    """

    def render_str(self, text: str, **kwargs: Any) -> Text:  # noqa: ANN401 -- rich's own keyword arguments
        """Return styled text, escaped before its width is measured."""
        return super().render_str(printable(text, keep=LAYOUT), **kwargs)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything, escaped where a part brought text of its own; rich's controls stay."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, keep=LAYOUT), segment.style)


def open_console(*, stderr: bool = False) -> Console:
    """Return a console for standard output, or for standard error.

    On a terminal lines are wrapped to its width; elsewhere they are neither wrapped nor cropped, whatever ``COLUMNS``
    says. Text that does not print is escaped.
    """
    found = PlainConsole(stderr=stderr)
    return found if found.is_terminal else PlainConsole(stderr=stderr, width=UNBOUNDED)
