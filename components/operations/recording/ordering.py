"""Reading a recording in the order in which its exchanges started, however large it is."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from .arrow import Table
from .exchange import Exchange
from .reading import RecordingReader, RowGroup
from .schema import from_batch
from .storage import StoredFile

_SLICE_ROWS: Final = 64
"""Rows turned into objects at once."""

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(order=True, slots=True)
class _Cursor:
    """The next exchange of one open row group, and those after it."""

    start: datetime
    number: int
    exchange: Exchange = field(compare=False)
    rest: Iterator[Exchange] = field(compare=False)
    bytes: int = field(compare=False)


class OrderedReader:
    """Merges row groups by the starts that their footers tell.

    Only row groups that overlap in time are open at once. Where that would exceed the limit (recordings of very long
    exchanges), the order is given up before the memory is.
    """

    def __init__(
        self,
        reader: RecordingReader,
        *,
        max_open_bytes: int = 96 * 1024 * 1024,
        columns: Sequence[str] | None = None,
        files: Sequence[StoredFile] | None = None,
        choose: Callable[[Table], Table] = lambda table: table,
    ) -> None:
        """Prepare to read.

        Args:
            reader: What to read; notes damage as usual.
            max_open_bytes: Bytes of row groups held at once, before compression.
            columns: Which columns to read, of those that make exchanges; all by default.
            files: Which files; all by default.
            choose: Returns the rows of a row group that are wanted, before anything is made of them; all by default.
        """
        self._reader = reader
        self._max_open_bytes = max_open_bytes
        self._columns = columns
        self._files = files
        self._choose = choose
        self._open_bytes = 0
        self.out_of_order = 0
        """Exchanges that came after a later one, because the limit was reached."""

    def exchanges(self) -> Iterator[Exchange]:
        """Yield every readable exchange, earliest start first."""
        groups = sorted(self._reader.row_groups(self._files), key=_first_start)
        cursors: list[_Cursor] = []
        upcoming, latest = 0, _BEGINNING
        while True:
            while upcoming < len(groups) and self._should_open(groups[upcoming], cursors):
                cursor = self._open(groups[upcoming], upcoming)
                upcoming += 1
                if cursor is not None:
                    heapq.heappush(cursors, cursor)
            if not cursors:
                return
            cursor = cursors[0]
            self.out_of_order += cursor.start < latest
            latest = max(latest, cursor.start)
            yield cursor.exchange
            following = next(cursor.rest, None)
            if following is None:
                heapq.heappop(cursors)
                self._open_bytes -= cursor.bytes
            else:
                cursor.exchange, cursor.start = following, following.started_at
                heapq.heapreplace(cursors, cursor)

    def _should_open(self, group: RowGroup, cursors: list[_Cursor]) -> bool:
        if not cursors:
            return True
        is_due = _first_start(group) <= cursors[0].start
        return is_due and self._open_bytes + group.bytes <= self._max_open_bytes

    def _open(self, group: RowGroup, number: int) -> _Cursor | None:
        table = self._reader.table(group, columns=self._columns)
        exchanges = iter(()) if table is None else _sorted(self._choose(table))
        first = next(exchanges, None)
        if first is None:
            return None
        self._open_bytes += group.bytes
        return _Cursor(first.started_at, number, first, exchanges, group.bytes)


def _first_start(group: RowGroup) -> datetime:
    return group.first_start or _BEGINNING


def _sorted(table: Table) -> Iterator[Exchange]:
    for batch in table.sort_by("started_at").to_batches(max_chunksize=_SLICE_ROWS):
        yield from from_batch(batch)
