"""Comparing what primary and mirror answered."""

from .comparison import DiffJob
from .differences import Change, Difference
from .following import Follower
from .pairing import Source
from .result import DiffResult, EndpointResult, FieldResult, Standing
from .run import diff, one_recording
from .tally import Example

__all__ = [
    "Change",
    "DiffJob",
    "DiffResult",
    "Difference",
    "EndpointResult",
    "Example",
    "FieldResult",
    "Follower",
    "Source",
    "Standing",
    "diff",
    "one_recording",
]
