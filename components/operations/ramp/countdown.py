"""A bound on time that can stand still."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Countdown:
    """Calls something once, when its time is over; it counts only while it runs. Safe in several threads."""

    def __init__(
        self,
        seconds: float,
        expire: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        timer: Callable[[float, Callable[[], None]], threading.Timer] = threading.Timer,
    ) -> None:
        """Prepare it; it does not run yet.

        Args:
            seconds: The time; 0 for no bound.
            expire: Called in a thread of its own.
            clock: Seconds since any fixed moment; must not follow the wall clock, which jumps.
            timer: Makes what waits.
        """
        self._left = seconds
        self._bounded = seconds > 0
        self._expire = expire
        self._clock = clock
        self._new_timer = timer
        self._timer: threading.Timer | None = None
        self._since = 0.0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Go on counting; no effect while it does."""
        with self._lock:
            if self._bounded and self._timer is None:
                self._since = self._clock()
                self._timer = self._new_timer(max(0.0, self._left), self._expire)
                self._timer.daemon = True
                self._timer.start()

    def stop(self) -> None:
        """Count no more, until it runs again; no effect while it stands still."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._left -= self._clock() - self._since

    @contextmanager
    def standing_still(self) -> Generator[Callable[[], None]]:
        """Stand still, at most for the block.

        Yields:
            To be called when it should go on before the block's end.
        """
        self.stop()
        try:
            yield self.run
        finally:
            self.run()
