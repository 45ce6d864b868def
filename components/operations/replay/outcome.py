"""What came back for one request."""

import time
from typing import Final, NamedTuple

from ..recording import Ending, Part

US_PER_SECOND: Final = 1_000_000


class Outcome(NamedTuple):
    """The response, as far as it came."""

    status: int | None = None
    """HTTP status; ``None`` when not even headers came."""
    grpc_status: int | None = None
    first_byte_us: int | None = None
    duration_us: int = 0
    """Microseconds from sending to the end."""
    response: Part = Part()
    failure: str = ""
    """Why there is no whole answer, in words that can be counted; empty if there is one."""
    ending: Ending = Ending.COMPLETE


def microseconds_since(started: float) -> int:
    """Return the time since a value of ``time.perf_counter()``."""
    return int((time.perf_counter() - started) * US_PER_SECOND)
