"""Recorded text, shown to people: what an application sent must not work their terminal, nor break a page."""

from typing import Final

LAYOUT: Final = "\n\t"
"""What does not print and may stay where lines are laid out: no terminal obeys it otherwise."""


def printable(text: str, *, keep: str = "") -> str:
    """Return text with every character that does not print as an escape.

    Args:
        text: Any text, lone surrogates and control characters included.
        keep: Characters that stay although they do not print, such as line feeds.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode("ascii") for one in text
    )
