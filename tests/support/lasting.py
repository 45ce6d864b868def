"""What outlives single tests, but not the last one that uses it: a machine holds one stage, and a stage one engine."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import pytest

LASTING: Final = ("lab", "mirrored")
"""Fixtures of a session that end with their last use."""

_ends: Final = {fixture: ExitStack() for fixture in LASTING}


def until_last_use_of(fixture: str) -> ExitStack:
    """What is entered here ends after the last test with the session's fixture ``fixture``, one of `LASTING`."""
    return _ends[fixture]


def in_rows(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put tests with the same lasting fixtures one after another: what has ended is not made again."""
    return sorted(items, key=lambda item: [fixture not in getattr(item, "fixturenames", ()) for fixture in LASTING])


def end_unused(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End what the next test does not use any more; to be called when a test is torn down."""
    for fixture, ends in _ends.items():
        if fixture in getattr(item, "fixturenames", ()) and fixture not in getattr(nextitem, "fixturenames", ()):
            ends.close()
