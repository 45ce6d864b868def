"""Bringing recordings into buckets, each with its rows in the order of time and in large files."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ...model import ValidationError
from ...model.credentials import without_credentials
from .arrow import Table, pa, pc
from .buckets import PartWriter, hashes_of, pair_keys, read_parts
from .layout import MAX_BUCKETS, Layout, begin_layout, bucket_folder, write_layout
from .noted_rules import notes_kept
from .reading import Damage, RecordingReader
from .schema import SCHEMA
from .storage import SUFFIX, RecordingStore, named_after
from .summary import noted_counters
from .writing import COUNTERS_KEY, RollLimits, parquet_writer

_BUCKET_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one bucket before compression, where nobody says how many there are. It is held in memory as a whole."""

_MIN_BUCKETS: Final = 16
"""Where nobody says how many there are: as many machines can share the work."""

_ROWS: Final = "rows"


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """What was brought into buckets."""

    rows: int
    files: int
    buckets: int
    unfinished: int
    """Files that somebody was still writing, or never finished; nothing of them is here."""
    damage: tuple[Damage, ...]


def compact(
    reader: RecordingReader,
    store: RecordingStore,
    *,
    buckets: int | None = None,
    limits: RollLimits | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> Compacted:
    """Write a recording once more, in buckets by a hash of the request's identifier.

    Needs the memory of one bucket, and as much room for temporary files as the recording has before compression.

    Args:
        reader: The recording.
        store: Where to: a folder that is new or empty.
        buckets: How many: a power of two, 1 to 512; by default as many as keep each at 64 MiB, 16 at least.
        limits: Sizes of files and row groups.
        on_progress: Called with the share that is done, 0 to 1.

    Raises:
        ValidationError: The number is none, or there is something at the place already.
    """
    groups = list(reader.row_groups())
    size = sum(group.bytes for group in groups)
    needed = min(MAX_BUCKETS, max(_MIN_BUCKETS, 1 << (max(0, size // _BUCKET_BYTES)).bit_length()))
    count = Layout(buckets=needed if buckets is None else buckets, files=()).buckets
    if not store.is_empty:
        raise ValidationError(
            field="target",
            value=without_credentials(store.url),
            rule="holds files of a recording already",
            remedy="Name a new directory, or remove the old one",
        )
    notes = notes_kept(reader)
    counters: Counter[str] = Counter()
    for _, metadata, _ in reader.metadata():
        counters.update(noted_counters(metadata))
    begin_layout(store)
    with tempfile.TemporaryDirectory(prefix="traffic-mirror-compact-") as name:
        folder = Path(name)
        with PartWriter(folder, _ROWS) as writer:
            for done, group in enumerate(groups):
                table = reader.table(group)
                if table is not None:
                    writer.write(_ROWS, table, hashes_of(pair_keys(table.column("request_id"))) % count)
                on_progress(0.5 * (done + 1) / len(groups))
        out = _Files(store=store, limits=limits or RollLimits(), notes=notes, counters=dict(counters))
        for bucket in range(count):
            parts = list(read_parts(folder, _ROWS, bucket))
            if parts:
                out.write(bucket, pa.concat_tables(parts).replace_schema_metadata(SCHEMA.metadata))
            on_progress(0.5 + 0.5 * (bucket + 1) / count)
    write_layout(store, Layout(buckets=count, files=out.names))
    return Compacted(
        rows=out.rows,
        files=len(out.names),
        buckets=count,
        unfinished=len(reader.store.unfinished()),
        damage=tuple(reader.damage),
    )


@dataclass(kw_only=True)
class _Files:
    """Files that are written one after the other."""

    store: RecordingStore
    limits: RollLimits
    notes: Mapping[str, str]
    counters: Mapping[str, int]
    """Of all recorders together; the first file tells them."""
    names: list[str] = field(default_factory=list[str])
    rows: int = 0

    def write(self, bucket: int, table: Table) -> None:
        """Write one bucket, each day to files of its own."""
        table = table.sort_by("started_at")
        days = pc.cast(table.column("started_at"), pa.int64()).to_numpy() // 86_400_000_000
        first = 0
        while first < table.num_rows:
            end = int(days.searchsorted(days[first], side="right"))
            for part in _pieces(table.slice(first, end - first), self.limits.max_bytes):
                self._write_file(bucket, part)
            first = end

    def _write_file(self, bucket: int, table: Table) -> None:
        begun: datetime = table.column("started_at")[0].as_py().astimezone(UTC)
        day, stamp = named_after(begun)
        name = f"{day}/{bucket_folder(bucket)}/{stamp}-compact-{len(self.names) + 1:06d}{SUFFIX}"
        with self.store.create(name) as file:
            writer = parquet_writer(file.stream)
            for piece in _pieces(table, self.limits.row_group_bytes):
                writer.write_table(piece, row_group_size=piece.num_rows)
            counted: Any = {} if self.names else self.counters
            writer.add_key_value_metadata({COUNTERS_KEY: json.dumps(counted), **self.notes})
            writer.close()
        self.names.append(name)
        self.rows += table.num_rows


def _pieces(table: Table, max_bytes: int) -> Iterator[Table]:
    """Cut a table into as many pieces of equal length as it has times so many bytes."""
    count = max(1, -(-table.nbytes // max_bytes))
    length = max(1, -(-table.num_rows // count))
    for first in range(0, table.num_rows, length):
        yield table.slice(first, length)
