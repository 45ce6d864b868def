"""Replaying in parts that know nothing of each other: whose requests, how fast, and where their answers go.

A part's answers lie in a hidden folder until all are there; then the folder gets its name, and a note beside it tells
what the part did. Who begins a part anew throws away what one that was killed left, and does nothing where the note is.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from ...model import ValidationError
from ...model.credentials import without_credentials
from ..recording import Damage, Exchange, RecordingReader, RecordingStore
from ..recording.arrow import Table, fs, pa
from ..recording.buckets import Shard, hashes_of, pair_key, pair_keys
from ..recording.layout import MAX_BUCKETS, bucket_of, read_layout
from ..recording.ordering import OrderedReader
from ..recording.schema import REQUEST_COLUMNS
from ..recording.storage import HIDDEN
from .statistics import ReplayReport, Spread

_NOTES: Final = f"{HIDDEN}shards"


def share_of(limit: int, shard: Shard) -> int:
    """Return a part's share of a limit; the shares of all parts add up to it."""
    return limit // shard.of + (shard.number < limit % shard.of)


def own(shard: Shard, session_of: Callable[[Exchange], str]) -> Callable[[Exchange], bool]:
    """Return what tells whether a request is of a part: with all others of its session, or all sightings of itself.

    Args:
        shard: The part.
        session_of: Tells the session of a request; empty without one.
    """
    return lambda exchange: bool(shard.holds(crc32((session_of(exchange) or pair_key(exchange.request_id)).encode())))


def read_part(reader: RecordingReader, shard: Shard) -> OrderedReader:
    """Return what reads the requests of one part alone, in the order of their starts.

    Buckets are dealt out as they are where each part has some; what it does not have it does not read.

    Args:
        reader: The whole recording.
        shard: The part.
    """
    layout = read_layout(reader.store)
    if layout is not None and layout.buckets >= shard.of:
        names = {file: bucket_of(reader.store.relative(file.path)) or 0 for file in reader.store.files()}
        files = [file for file, bucket in names.items() if shard.holds(bucket, layout.buckets)]
        return OrderedReader(reader, columns=REQUEST_COLUMNS, files=files)

    def choose(table: Table) -> Table:
        hashes = hashes_of(pair_keys(table.column("request_id")))
        return table.filter(pa.array(shard.holds(hashes, MAX_BUCKETS)))

    return OrderedReader(reader, columns=REQUEST_COLUMNS, choose=choose)


def first_start(reader: RecordingReader) -> datetime | None:
    """Return when the earliest exchange of a recording started; ``None`` where footers do not tell."""
    starts: list[datetime | None] = [group.first_start for group in reader.row_groups()]
    known = [start for start in starts if start is not None]
    return min(known) if known and len(known) == len(starts) else None


class ShardResult:
    """Where the answers of one part go."""

    def __init__(self, place: str, shard: Shard) -> None:
        """Look at the place; nothing is changed yet.

        Args:
            place: Path or URL of the result of all parts.
            shard: Which part.
        """
        self._place = place
        self._name = f"shard={shard.number:03d}"
        self._note = f"{_NOTES}/{shard.number:03d}-of-{shard.of:03d}.json"
        self._all = RecordingStore.open(place)
        self._hidden = f"{HIDDEN}{self._name}"

    def report(self) -> ReplayReport | None:
        """Return what the part did if it is done.

        Raises:
            ValidationError: The note is none of this release.
        """
        try:
            with self._all.filesystem.open_input_stream(f"{self._all.root}/{self._note}") as stream:
                document: dict[str, Any] = json.loads(stream.read())
            for name in ("latency", "lateness"):
                document[name] = Spread(**document[name])
            document["damage"] = tuple(Damage(**each) for each in document["damage"])
            return ReplayReport(**document)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, LookupError) as error:
            raise self._wrong(f"has a note {self._note} that this release does not read") from error

    def begin(self) -> RecordingStore:
        """Throw away what a killed part left, and return where answers go for now.

        Raises:
            ValidationError: There are answers that are none of a part.
        """
        parts = ("shard=", f"{HIDDEN}shard=", f"{_NOTES}/")
        paths = (*(file.path for file in self._all.files()), *self._all.unfinished())
        strangers = [path for path in map(self._all.relative, paths) if not path.startswith(parts)]
        if strangers:
            raise self._wrong(f"holds files of a recording already, such as {strangers[0]}")
        for name in (self._name, self._hidden):
            with suppress(FileNotFoundError):
                self._all.filesystem.delete_dir(f"{self._all.root}/{name}")
        return RecordingStore.open(f"{self._place.rstrip('/')}/{self._hidden}")

    def finish(self, report: ReplayReport) -> None:
        """Give the answers their name, and note what the part did."""
        hidden, final = (f"{self._all.root}/{name}" for name in (self._hidden, self._name))
        if self._all.is_local:
            if Path(hidden).exists():
                Path(hidden).rename(final)
        else:
            # Object storages know no folders: files go one by one, and whoever begins anew throws them away.
            selector = fs.FileSelector(hidden, recursive=True, allow_not_found=True)
            for info in self._all.filesystem.get_file_info(selector):
                if info.type == fs.FileType.File:
                    self._all.filesystem.move(info.path, final + info.path.removeprefix(hidden))
        with self._all.create(self._note, again=True) as note:
            note.stream.write(json.dumps(asdict(report)).encode())

    def _wrong(self, rule: str) -> ValidationError:
        return ValidationError(
            field="result",
            value=without_credentials(self._place),
            rule=rule,
            remedy="Name a new directory, or remove the old one",
        )
