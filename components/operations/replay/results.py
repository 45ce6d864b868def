"""Writing a replay's responses as a recording, paired with the recorded ones by request identifier."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import Final

from ..recording import Ending, Exchange, RecordingWriter, Side
from ..recording.redaction import RedactionRules, Redactor
from .outcome import Outcome

_WRITE_ROWS: Final = 256
"""Results written at once."""


class ResultWriter:
    """Collects outcomes and writes them in a thread; redacts as the recorder did."""

    def __init__(
        self,
        writer: RecordingWriter,
        *,
        rules: Sequence[RedactionRules],
        side: Side,
        source: str,
        on_loss: Callable[[int], None],
    ) -> None:
        """Prepare to write.

        Args:
            writer: Where to.
            rules: What must not be kept.
            side: Which side the responses stand for.
            source: What wrote them, e.g. the run's identifier.
            on_loss: Told how many results a failing storage lost.
        """
        self._writer = writer
        self._side = side
        self._source = source
        self._on_loss = on_loss
        self._redactors = [Redactor(one) for one in rules]
        self._waiting: list[Exchange] = []
        self._lock = asyncio.Lock()

    async def add(self, exchange: Exchange, outcome: Outcome, *, sent_at: datetime) -> None:
        """Take one outcome; waits when the storage is behind, which slows nothing but the replay."""
        self._waiting.append(
            replace(
                exchange,
                side=self._side,
                source=self._source,
                started_at=sent_at,
                status=outcome.status,
                grpc_status=outcome.grpc_status,
                first_byte_us=outcome.first_byte_us,
                duration_us=outcome.duration_us,
                ending=Ending.RESET if outcome.failure else Ending.COMPLETE,
                response=outcome.response,
            )
        )
        if len(self._waiting) >= _WRITE_ROWS:
            await self._flush()

    async def close(self) -> None:
        """Write what is left and finish the file."""
        await self._flush()
        async with self._lock:
            await asyncio.to_thread(self._finish)

    async def _flush(self) -> None:
        async with self._lock:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, batch)

    def _write(self, batch: list[Exchange]) -> None:
        lost = self._writer.rows_lost
        try:
            self._writer.write([reduce(_redacted, self._redactors, exchange) for exchange in batch])
        except Exception:  # clients of buckets raise what they like
            self._on_loss(self._writer.rows_lost - lost)

    def _finish(self) -> None:
        lost = self._writer.rows_lost
        try:
            self._writer.close()
        except Exception:  # see above
            self._on_loss(self._writer.rows_lost - lost)


def _redacted(exchange: Exchange, redactor: Redactor) -> Exchange:
    return redactor.apply(exchange)
