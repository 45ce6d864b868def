"""Writing a replay's responses as a recording, paired with the recorded ones by request identifier."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import Final

from ..recording import Exchange, RecordingWriter, Side
from ..recording.redaction import RedactionRules, Redactor
from .outcome import Outcome

_WRITE_ROWS: Final = 256
"""Results written at once."""

_MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Bytes of bodies that wait for a slow storage, beside as many being written; with more of them nothing is sent."""

_MAX_WAITING_ROWS: Final = 16 * _WRITE_ROWS


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
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    def add(self, exchange: Exchange, outcome: Outcome, *, sent_at: datetime) -> None:
        """Take one outcome."""
        result = replace(
            exchange,
            side=self._side,
            source=self._source,
            started_at=sent_at,
            status=outcome.status,
            grpc_status=outcome.grpc_status,
            first_byte_us=outcome.first_byte_us,
            duration_us=outcome.duration_us,
            ending=outcome.ending,
            response=outcome.response,
        )
        self._waiting.append(result)
        self._waiting_bytes += result.kept_bytes
        if len(self._waiting) >= _WRITE_ROWS and self._writing is None:
            self._writing = asyncio.create_task(self._drain(_WRITE_ROWS))
        if self._waiting_bytes > _MAX_WAITING_BYTES or len(self._waiting) > _MAX_WAITING_ROWS:
            self._has_room.clear()

    async def room(self) -> None:
        """Wait while the storage is far behind, so that memory stays bounded."""
        await self._has_room.wait()

    async def close(self) -> None:
        """Write what is left and finish the file."""
        if self._writing is not None:
            await self._writing
        await self._drain(1)
        await asyncio.to_thread(self._finish)

    async def _drain(self, at_least: int) -> None:
        while len(self._waiting) >= at_least:
            batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
            await asyncio.to_thread(self._write, batch)
            self._has_room.set()
        self._writing = None

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
