"""From the event loop to the files: a bounded queue that never makes anybody wait, and one writer thread."""

import logging
from collections import deque
from threading import Event, Thread
from typing import Final

from .budget import MemoryBudget
from .counters import Counters
from .exchange import Ending, Exchange
from .redaction import Redactor
from .writing import RecordingWriter

_LOG = logging.getLogger(__name__)

_INTERVAL_SECONDS: Final = 0.2
"""How often the writer looks for work: seldom enough to convert hundreds of rows at once."""


class RecordingSink:
    """Takes finished exchanges, redacts and writes them in a thread of its own."""

    def __init__(
        self,
        *,
        writer: RecordingWriter,
        redactor: Redactor,
        budget: MemoryBudget,
        counters: Counters,
        max_waiting: int,
    ) -> None:
        """Prepare; :meth:`start` begins to write.

        Args:
            writer: Used by the thread alone from now on.
            redactor: Applied before anything is written.
            budget: Where the exchanges' memory is given back.
            counters: Where drops and totals are counted.
            max_waiting: Exchanges that may wait; further ones are dropped.
        """
        self._writer = writer
        self._redactor = redactor
        self._budget = budget
        self._counters = counters
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Exchange, int]] = deque()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="recording-writer", daemon=True)

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def offer(self, exchange: Exchange, reserved: int) -> None:
        """Take an exchange, or drop it when the writer is too far behind; never waits.

        Args:
            exchange: What was recorded.
            reserved: Bytes to give back to the budget once it is written or dropped.
        """
        if len(self._waiting) >= self._max_waiting:
            self._counters.dropped_queue += 1
            self._budget.give(reserved)
            return
        self._counters.recorded += 1
        self._counters.reset += exchange.ending is Ending.RESET
        self._counters.cut += exchange.ending is Ending.CUT
        self._counters.truncated += exchange.request.truncated or exchange.response.truncated
        self._waiting.append((exchange, reserved))

    def close(self, *, timeout_seconds: float = 30.0) -> bool:
        """Write what waits, finish the file, and stop; False when that took too long."""
        self._stop.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            self._write_waiting()
        self._write_waiting()
        try:
            self._writer.close()
        except Exception as error:  # see _write_waiting
            _LOG.error("recording could not be finished: %s", error)
        self._count()

    def _write_waiting(self) -> None:
        batch: list[Exchange] = []
        freed = 0
        while self._waiting and len(batch) < self._max_waiting:
            exchange, reserved = self._waiting.popleft()
            freed += reserved
            redacted = self._redacted(exchange)
            if redacted is not None:
                batch.append(redacted)
        try:
            self._writer.write(batch)
        except Exception as error:
            # Clients of buckets raise what they like. Whatever it was, the thread must live on to write what comes.
            _LOG.error("recording could not be written: %s", error)
        self._budget.give(freed)
        self._count()

    def _redacted(self, exchange: Exchange) -> Exchange | None:
        try:
            redacted = self._redactor.apply(exchange)
        except Exception:
            # One strange body must neither be kept unredacted nor end the recording of all others.
            self._counters.redaction_failures += 1
            _LOG.exception("redaction failed for %s", exchange.path.partition("?")[0])
            return None
        self._counters.redactions += redacted.redactions
        return redacted

    def _count(self) -> None:
        self._counters.written = self._writer.rows_written
        self._counters.lost = self._writer.rows_lost
        self._counters.files = self._writer.files_written
