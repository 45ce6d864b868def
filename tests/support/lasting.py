"""What outlives single tests, but not the last one that uses it: a machine holds one stage, and a stage one engine."""

from collections import defaultdict
from contextlib import ExitStack

import pytest

_ends: dict[str, ExitStack] = defaultdict(ExitStack)


def until_last_use_of(fixture: str) -> ExitStack:
    """What is entered here ends after the last test of a row of tests with the session's fixture ``fixture``."""
    return _ends[fixture]


def end_unused(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End what the next test does not use any more; to be called when a test is torn down."""
    for fixture, ends in _ends.items():
        if fixture in getattr(item, "fixturenames", ()) and fixture not in getattr(nextitem, "fixturenames", ()):
            ends.close()
