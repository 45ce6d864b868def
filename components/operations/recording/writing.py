"""Writing recordings: Parquet files rolled by time and size, each whole or absent."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .arrow import DAMAGE, RecordBatch, pa, pq
from .exchange import Exchange
from .schema import DICTIONARY_COLUMNS, SCHEMA, to_batch
from .storage import SUFFIX, PendingFile, RecordingStore, named_after

COUNTERS_KEY = "traffic_mirror.counters"
"""Key in a file's metadata: what the recorder counted while it wrote the file, as JSON."""

_MEBI = 1024 * 1024

_CHUNK_ROWS = 512
"""Rows converted at once: enough to make the conversion cheap, few enough (10 ms) not to hold other threads up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollLimits:
    """When a file is finished and the next one begun."""

    max_seconds: float = 60.0
    """Age of a file in seconds; also the most that a killed recorder loses."""
    max_bytes: int = 128 * _MEBI
    """Size of a file in bytes before compression. BigQuery and Spark like 64 MiB to 1 GiB."""
    row_group_bytes: int = 16 * _MEBI
    """Bytes of one row group before compression. A reader needs about this much memory, and a damaged row group loses
    about this much; smaller ones cost engines more to find than to read."""
    keep_bytes: int = 0
    """Bytes of finished files that stay; the oldest are deleted when a file is finished. 0 keeps all."""


class RecordingWriter:
    """Writes exchanges to a store; not safe for several threads.

    A failing disk or bucket raises ``OSError`` from :meth:`write` or :meth:`roll`; the file at hand is then
    dropped and the next call begins a new one.
    """

    def __init__(
        self,
        store: RecordingStore,
        *,
        instance: str,
        limits: RollLimits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        counters: Callable[[], Mapping[str, int]] = dict,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to write; the first file is begun with the first exchange.

        Args:
            store: Where to.
            instance: Distinguishes the writers into one store; becomes part of the file names.
            limits: When to roll.
            now: Wall clock in UTC.
            counters: Totals to note in each file, such as drops.
            notes: Further entries of each file's metadata.
        """
        self._store = store
        self._instance = instance
        self._limits = limits or RollLimits()
        self._now = now
        self._counters = counters
        self._notes = dict(notes or {})
        self._counted: Mapping[str, int] = dict(counters())
        self._sequence = 0
        self._file: PendingFile | None = None
        self._writer: Any = None
        self._opened_at: datetime | None = None
        self._file_bytes = 0
        self._waiting: list[RecordBatch] = []
        self._waiting_bytes = 0
        self.rows_at_risk = 0
        """Exchanges given to :meth:`write` that no finished file holds yet."""
        self.rows_lost = 0
        """Exchanges whose file could not be finished."""
        self.rows_written = 0
        """Exchanges in finished files."""
        self.files_written = 0

    def write(self, exchanges: Sequence[Exchange]) -> None:
        """Take exchanges; they are on disk for readers once their file is rolled."""
        if exchanges and self._opened_at is None:
            self._opened_at = self._now()
        self.rows_at_risk += len(exchanges)
        for chunk in _chunks(exchanges, self._limits.row_group_bytes):
            batch = to_batch(chunk)
            self._waiting.append(batch)
            self._waiting_bytes += batch.nbytes
            if self._waiting_bytes >= self._limits.row_group_bytes:
                self._flush_row_group()
                if self._file_bytes >= self._limits.max_bytes:
                    self.roll()
        self.roll_if_due()

    def roll_if_due(self) -> None:
        """Finish the file when it is old enough; call this now and then also without traffic."""
        if self._opened_at is None:
            return
        if (self._now() - self._opened_at).total_seconds() >= self._limits.max_seconds:
            self.roll()

    def roll(self) -> None:
        """Finish the file at hand, if there is one."""
        try:
            self._flush_row_group()
            if self._file is not None:
                counted = json.dumps(self._counters_since_last_file())
                self._writer.add_key_value_metadata({COUNTERS_KEY: counted, **self._notes})
                self._writer.close()
                self._file.commit()
        except BaseException:
            self._drop()
            raise
        if self._file is not None:
            self.rows_written += self.rows_at_risk
            self.files_written += 1
        self._forget()
        if self._limits.keep_bytes:
            self._store.keep(self._limits.keep_bytes)

    def close(self) -> None:
        """Finish what is at hand; the writer may not be used afterwards."""
        self.roll()

    def _flush_row_group(self) -> None:
        if not self._waiting:
            return
        try:
            if self._file is None:
                self._begin()
            # Replay wants them by start, and rows come in the order of their ends.
            table = pa.Table.from_batches(self._waiting).sort_by("started_at")
            self._writer.write_table(table, row_group_size=table.num_rows)
        except BaseException:
            self._drop()
            raise
        self._file_bytes += self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0

    def _begin(self) -> None:
        opened_at = self._opened_at or self._now()
        self._sequence += 1
        day, stamp = named_after(opened_at)
        self._file = self._store.create(f"{day}/{stamp}-{self._instance}-{self._sequence:06d}{SUFFIX}")
        self._writer = parquet_writer(self._file.stream)

    def _counters_since_last_file(self) -> dict[str, int]:
        total = dict(self._counters())
        since = {name: value - self._counted.get(name, 0) for name, value in total.items()}
        self._counted = total
        return since

    def _drop(self) -> None:
        self.rows_lost += self.rows_at_risk
        if self._writer is not None:
            with suppress(*DAMAGE):
                self._writer.close()
            # A writer that failed to close tries again in its finaliser, on a stream that is gone by then.
            self._writer.is_open = False
        if self._file is not None:
            self._file.abort()
        self._forget()

    def _forget(self) -> None:
        self._file = self._writer = self._opened_at = None
        self._file_bytes = 0
        self._waiting, self._waiting_bytes = [], 0
        self.rows_at_risk = 0


def parquet_writer(stream: Any) -> Any:  # noqa: ANN401 -- pyarrow ships no type information
    """Return what writes one file of a recording."""
    return pq.ParquetWriter(
        stream,
        SCHEMA,
        compression="zstd",
        compression_level=1,
        use_dictionary=list(DICTIONARY_COLUMNS),
        write_page_checksum=True,
    )


def _chunks(exchanges: Sequence[Exchange], max_bytes: int) -> Iterator[Sequence[Exchange]]:
    """Cut a sequence so that no piece holds much more than ``max_bytes`` of bodies, nor very many rows."""
    first, held = 0, 0
    for index, exchange in enumerate(exchanges):
        held += exchange.kept_bytes
        if held >= max_bytes or index - first + 1 >= _CHUNK_ROWS:
            yield exchanges[first : index + 1]
            first, held = index + 1, 0
    if first < len(exchanges):
        yield exchanges[first:]
