"""What goes wrong in a deployment, in words that a user can act on."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import StageError


@dataclass(frozen=True, kw_only=True)
class ResourceFailure:
    """One thing that failed."""

    resource: str
    """``type name`` of the resource; empty when the program or the engine itself failed."""
    message: str


class EngineError(StageError):
    """A deployment failed.

    Attributes:
        stack: The stack; empty when none was at work yet.
        failures: Everything that failed, in order.
        log: The whole output of the engine; ``None`` when it wrote none.
    """

    def __init__(
        self,
        problem: str,
        *,
        remedy: str,
        stack: str = "",
        failures: tuple[ResourceFailure, ...] = (),
        log: Path | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        self.stack = stack
        self.failures = failures
        self.log = log
        super().__init__(problem, remedy=remedy, details=details)


_LIST_HEAD: Final = re.compile(r"^\d+ errors? occurred:\s*\* ")
"""How the engine begins a list of errors, also of one."""

_PROGRAM_HEAD: Final = re.compile(
    r"^(an unhandled error occurred: )?(python inline source runtime error: )?"
    r"(Program failed with an unhandled exception:)?"
)
"""What the engine and its language hosts put before the words of a program's exception."""


def plain_message(message: str) -> str:
    """Return an error's own words, without traceback and without what the engine puts around them."""
    text = _PROGRAM_HEAD.sub("", without_traceback(message)).strip()
    return _LIST_HEAD.sub("", text)


def without_traceback(message: str) -> str:
    """Return an error's own words: of a Python traceback, only the last line is kept.

    Args:
        message: What the engine reports, e.g. of a program that raised.
    """
    before, mark, after = message.partition("Traceback (most recent call last):")
    if not mark:
        return message.strip()
    raised = [line for line in after.splitlines() if line and not line.startswith((" ", "\t"))]
    last = raised[-1].strip() if raised else ""
    said = _PROGRAM_HEAD.sub("", before.strip()).strip()
    return said or last.partition(": ")[2] or last
