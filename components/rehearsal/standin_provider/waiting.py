"""Bounded waits that end at once when the engine cancels."""

import threading
import time
from collections.abc import Callable

from .cluster import UnreachableError
from .errors import CancelledError

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0


class Waiter:
    """Polls a condition until it holds, a time is over or the provider is told to stop."""

    def __init__(self, stop: threading.Event) -> None:
        """Let ``stop`` end every wait."""
        self._stop = stop

    def check(self) -> None:
        """Raise when the provider is to stop.

        Raises:
            CancelledError: The engine cancelled, or the provider ends.
        """
        if self._stop.is_set():
            raise CancelledError("the operation was cancelled")

    def until(self, holds: Callable[[], bool], timeout_seconds: float, *, outlasts_outage: bool = False) -> bool:
        """Poll ``holds`` with growing pauses; return whether it held before the time was over.

        Args:
            holds: Cheap test; also run once at the very end of the time.
            timeout_seconds: Longest wait.
            outlasts_outage: Whether a server that does not answer is waited for as well.

        Raises:
            CancelledError: The engine cancelled, or the provider ends.
            UnreachableError: The server did not answer, with ``outlasts_outage`` still at the end of the time.
        """
        deadline = time.monotonic() + timeout_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            self.check()
            try:
                if holds():
                    return True
            except UnreachableError:
                if not outlasts_outage or time.monotonic() >= deadline:
                    raise
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._stop.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
