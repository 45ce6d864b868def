"""Comparing what primary and mirror answered."""

from .differences import Change, Difference
from .pairing import Source
from .result import DiffResult, EndpointResult, FieldResult, Standing
from .run import DiffJob, diff, one_recording
from .tally import Example

__all__ = [
    "Change",
    "DiffJob",
    "DiffResult",
    "Difference",
    "EndpointResult",
    "Example",
    "FieldResult",
    "Source",
    "Standing",
    "diff",
    "one_recording",
]
