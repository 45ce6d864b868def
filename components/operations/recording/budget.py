"""A bound on memory that several threads share."""

from threading import Lock


class MemoryBudget:
    """Counts bytes in use against a limit; never waits.

    Whoever is refused keeps less or drops what it has: recording must not slow traffic down.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """Bytes in use now."""
        return self._used

    def take(self, wanted: int) -> bool:
        """Reserve ``wanted`` bytes, all or nothing."""
        with self._lock:
            if self._used + wanted > self.limit:
                return False
            self._used += wanted
            return True

    def give(self, amount: int) -> None:
        """Return bytes that were taken before."""
        with self._lock:
            self._used -= amount
