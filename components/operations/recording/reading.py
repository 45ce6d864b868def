"""Reading recordings row group by row group; what is damaged is skipped and counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...model import ValidationError
from ...model.credentials import without_credentials
from .arrow import DAMAGE, ParquetFile, RecordBatch, Table, pq
from .exchange import Exchange
from .layout import read_layout
from .schema import HEADERS_KEY, SCHEMA, SCHEMA_VERSION, VERSION_KEY, check_values, from_batch
from .storage import RecordingStore, StoredFile

_BATCH_ROWS: Final = 512
"""Rows handed on at once: 1 MiB of 2 KiB exchanges; more would not read faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """Something that could not be read."""

    file: str
    row_group: int | None
    """Index of the row group; ``None`` when the file as a whole is unreadable."""
    rows: int | None
    """Rows lost; ``None`` when not even their number can be read."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RowGroup:
    """One row group of one file, with what the footer says of it."""

    file: StoredFile
    index: int
    rows: int
    bytes: int
    """Bytes before compression."""
    first_start: Any
    """Start of its earliest exchange; ``None`` when the footer has no statistics."""
    last_start: Any


@dataclass(kw_only=True, slots=True)
class RecordingReader:
    """Streams a recording; needs the memory of one row group, however large the recording is."""

    store: RecordingStore
    damage: list[Damage] = field(default_factory=list[Damage])
    """What was skipped so far; complete once everything was read."""
    header_notes: set[bytes] = field(default_factory=set[bytes])
    """What the files that were opened so far note of their headers; empty bytes of one that has all."""
    _open: tuple[str, ParquetFile] | None = field(default=None, init=False, repr=False, compare=False)
    """The file that was read last, which stays open: its row groups follow each other, and its footer is read once."""

    @classmethod
    def open(cls, url: str) -> "RecordingReader":
        """Open a recording by path or URL.

        Raises:
            ValidationError: There is no finished file there, or buckets that were not finished.
        """
        store = RecordingStore.open(url)
        reader = cls(store=store)
        if not store.files():
            unfinished = len(store.unfinished())
            raise ValidationError(
                field="recording",
                value=without_credentials(url),
                rule=f"holds no finished recording ({unfinished} unfinished file(s))",
                remedy="Check the path, or wait until the recorder has rolled its first file",
            )
        layout = read_layout(store)
        if layout is not None:
            for name in layout.missing(store.relative(file.path) for file in store.files()):
                reader.damage.append(Damage(file=name, row_group=None, rows=None, reason="the file is missing"))
        return reader

    def row_groups(self, files: Sequence[StoredFile] | None = None) -> Iterator[RowGroup]:
        """Yield every row group by its footer; damaged files are noted and skipped.

        Args:
            files: Which files; all by default.

        Raises:
            ValidationError: A file has another schema version.
        """
        for file in self.store.files() if files is None else files:
            parquet = self._open_file(file)
            if parquet is None:
                continue
            try:
                with parquet:
                    groups = list(_groups_of(file, parquet))
            except DAMAGE as error:
                self._note(file, error, row_group=None, rows=None)
                continue
            yield from groups

    def metadata(self) -> Iterator[tuple[StoredFile, dict[bytes, bytes], int]]:
        """Yield each readable file with its key-value metadata and its number of rows."""
        for file in self.store.files():
            parquet = self._open_file(file)
            if parquet is None:
                continue
            with parquet:
                yield file, dict(parquet.metadata.metadata or {}), parquet.metadata.num_rows

    def batches(
        self, groups: Sequence[RowGroup] | None = None, *, columns: Sequence[str] | None = None
    ) -> Iterator[RecordBatch]:
        """Yield record batches, at most one row group in memory.

        Args:
            groups: Which row groups, in which order; all by default.
            columns: Which columns; all by default.
        """
        for group in self.row_groups() if groups is None else groups:
            yield from self.read(group, columns=columns)

    def exchanges(self) -> Iterator[Exchange]:
        """Yield every exchange that can be read."""
        for batch in self.batches():
            yield from from_batch(batch)

    def read(self, group: RowGroup, *, columns: Sequence[str] | None = None) -> Iterator[RecordBatch]:
        """Yield one row group's batches; nothing of it when any of it is damaged."""
        table = self.table(group, columns=columns)
        if table is not None:
            yield from table.to_batches(max_chunksize=_BATCH_ROWS)

    def table(self, group: RowGroup, *, columns: Sequence[str] | None = None) -> Table | None:
        """Return one row group as a whole; ``None`` when any of it is damaged."""
        try:
            table = self._opened(group.file.path).read_row_group(group.index, columns=columns, use_threads=False)
            check_values(table)
        except DAMAGE as error:
            self._note(group.file, error, row_group=group.index, rows=group.rows)
            return None
        return table

    def _opened(self, path: str) -> ParquetFile:
        if self._open is None or self._open[0] != path:
            source = self.store.filesystem.open_input_file(path)
            self._open = path, pq.ParquetFile(source, page_checksum_verification=True)
        return self._open[1]

    def _open_file(self, file: StoredFile) -> ParquetFile | None:
        try:
            parquet = pq.ParquetFile(file.path, filesystem=self.store.filesystem)
        except DAMAGE as error:
            self._note(file, error, row_group=None, rows=None)
            return None
        metadata: dict[bytes, bytes] = parquet.metadata.metadata or {}
        version = metadata.get(VERSION_KEY, b"").decode("ascii", "replace")
        if version != str(SCHEMA_VERSION):
            parquet.close()
            raise ValidationError(
                field=f"recording file {self.store.relative(file.path)}",
                value=version or "no version",
                rule=f"schema version must be {SCHEMA_VERSION}",
                remedy="Read it with the release that wrote it, or leave it out",
            )
        if not parquet.schema_arrow.equals(SCHEMA):
            parquet.close()
            self._note(file, ValueError("its columns are not those of a recording"), row_group=None, rows=None)
            return None
        self.header_notes.add(metadata.get(HEADERS_KEY, b""))
        return parquet

    def _note(self, file: StoredFile, error: Exception, *, row_group: int | None, rows: int | None) -> None:
        known = any(
            damage.file == self.store.relative(file.path) and damage.row_group == row_group for damage in self.damage
        )
        if not known:
            self.damage.append(
                Damage(
                    file=self.store.relative(file.path),
                    row_group=row_group,
                    rows=rows,
                    reason=str(error).splitlines()[0] if str(error) else type(error).__name__,
                )
            )


def _groups_of(file: StoredFile, parquet: ParquetFile) -> Iterator[RowGroup]:
    column = parquet.schema_arrow.get_field_index("started_at")
    for index in range(parquet.metadata.num_row_groups):
        group = parquet.metadata.row_group(index)
        statistics: Any = group.column(column).statistics
        known = bool(statistics) and statistics.has_min_max
        yield RowGroup(
            file=file,
            index=index,
            rows=group.num_rows,
            bytes=group.total_byte_size,
            first_start=statistics.min if known else None,
            last_start=statistics.max if known else None,
        )
