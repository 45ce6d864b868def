"""Bringing other tools' recordings over: read, redacted, written like any recording, or not at all."""

import gc
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from ....model import ValidationError
from ....model.checks import encodable
from ....model.credentials import without_credentials
from ....model.recording import SessionSource
from ..exchange import Exchange, Side
from ..noted_rules import note_of
from ..redaction import RedactionRules, Redactor
from ..storage import RecordingStore
from ..writing import RecordingWriter, RollLimits
from . import binarylog, gor, har, mitmproxy, tap
from .recognising import Opened, opened, recognised
from .table import TABLE, Format
from .tally import Tally

_BATCH: Final = 512
_DAY_SECONDS: Final = 86_400.0

_TRAILING_NUMBER: Final = re.compile(r"(\d+)(?=\.[^0-9]*$|$)")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of the files.

    Attributes:
        format: Whose they were.
        records: How many messages, flows, entries or traces they hold.
        exchanges: How many exchanges were written.
        cut: How many of these lack a part of their body or messages.
        redactions: How many values were replaced or dropped.
        refused: Records that are in no exchange, by reason.
        remarks: What has to be known of the exchanges, with how often it is so.
        changed: Files that changed while they were read.
        loses: What the format does not tell.
    """

    format: Format
    records: int
    exchanges: int
    cut: int
    redactions: int
    refused: Mapping[str, int]
    remarks: Mapping[str, int]
    changed: Sequence[str]
    loses: Sequence[str]

    @property
    def is_whole(self) -> bool:
        """Whether everything in the files is in the recording, and they were finished."""
        return not self.refused and not self.changed


def formats_of(files: Sequence[Path], wanted: Format | None) -> Format:
    """Return the one format of all files.

    Args:
        files: The files.
        wanted: What they are said to be; None goes by how they begin.

    Raises:
        ValidationError: One cannot be read or recognised, or they are of several formats.
    """
    format_ = wanted
    for path in files:
        found = recognised(path)
        if found is None and wanted is None:
            raise ValidationError(
                field="FILE",
                value=str(path),
                rule=f"must be of one of these formats: {', '.join(f'{one} ({TABLE[one].title})' for one in Format)}",
                remedy="Check the path, or say what it is by --format",
            )
        format_ = format_ or found
        if found is not None and found is not format_:
            raise ValidationError(
                field="FILE",
                value=str(path),
                rule=f"is of the format {found}, not {format_}; formats cannot be mixed",
                remedy="Import each format on its own",
            )
    if format_ is None:
        raise ValidationError(field="FILE", value=[], rule="must name at least one file", remedy="Name a file")
    return format_


def import_files(
    files: Sequence[Path],
    store: RecordingStore,
    *,
    wanted: Format | None = None,
    rules: RedactionRules | None = None,
    session: SessionSource | None = None,
    source: str = "",
    side: Side | None = None,
    mitmdump: str = "mitmdump",
    progress: Callable[[float], None] = lambda share: None,
) -> Imported:
    """Write what other tools recorded as a recording of this kind; after any error nothing of it is left.

    Args:
        files: All of one format; a folder stands for the files in it.
        store: Where to; nothing may be there.
        wanted: Their format; None goes by how they begin.
        rules: What must not be kept; None for credentials.
        session: Which cookie or header tells the session of a request, of which a hash is kept; None keeps none.
        source: Who saw the traffic; empty for the format's name.
        side: Whose answers they are; None goes by what the format says, else they are the primary's.
        mitmdump: The program that reads mitmproxy's flows.
        progress: Told the share of bytes that are read.

    Raises:
        ValidationError: The files cannot be imported, or something is there already.
        OSError: A file cannot be read, or the store not be written.
    """
    encodable(source, field="source")
    # Patterns of a shell may overlap, and a file that is read twice would tell of requests that nobody sent.
    files = list({each.resolve(): each for path in files for each in _within(path)}.values())
    chosen = formats_of(files, wanted)
    if not store.is_empty:
        raise ValidationError(
            field="--to",
            value=without_credentials(store.url),
            rule="must hold no recording yet",
            remedy="Choose another place; recordings of several places can be named together later",
        )
    rules = rules or RedactionRules()
    tally = Tally()
    before = _states(files)
    reading = _Reading(_in_order(files), progress)
    written = _Written(store, Redactor(rules, session=session), notes=note_of([rules]), side=side)
    try:
        with _few_collections():
            exchanges = READERS[chosen](reading.files(), Asked(tally, source or chosen.value, mitmdump))
            while batch := list(islice(exchanges, _BATCH)):
                written.write(batch)
                reading.report()
        written.close()
    except BaseException:
        written.undo()
        raise
    after = _states(files)
    return Imported(
        format=chosen,
        records=tally.records,
        exchanges=written.exchanges,
        cut=written.cut,
        redactions=written.redactions,
        refused=dict(tally.refused),
        remarks=dict(tally.remarks),
        changed=[str(path) for path in files if before[path] != after[path]],
        loses=TABLE[chosen].loses,
    )


class _Reading:
    """Opens the files one after the other and tells how far they are read."""

    def __init__(self, files: Sequence[Path], progress: Callable[[float], None]) -> None:
        self._files = files
        self._progress = progress
        self._total = sum(path.stat().st_size for path in files) or 1
        self._done = 0
        self._raw: BinaryIO | None = None

    def files(self) -> Iterator[Opened]:
        for path in self._files:
            with opened(path) as file:
                self._raw = file.raw
                yield file
                self._done += file.raw.tell()
                self._raw = None

    def report(self) -> None:
        done = self._done + (self._raw.tell() if self._raw is not None else 0)
        self._progress(min(1.0, done / self._total))


class _Written:
    """Redacts and writes; knows what to take back."""

    def __init__(
        self, store: RecordingStore, redactor: Redactor, *, notes: Mapping[str, str], side: Side | None
    ) -> None:
        self._store = store
        self._redactor = redactor
        self._side = side
        self._latest: datetime | None = None
        # By the traffic's own days, so that those who read by folders find it there.
        self._writer = RecordingWriter(
            store, instance="import", limits=RollLimits(max_seconds=_DAY_SECONDS), now=self._now, notes=notes
        )
        self.exchanges = self.cut = self.redactions = 0

    def write(self, batch: Sequence[Exchange]) -> None:
        self._latest = max(one.started_at for one in batch)
        if self._side is not None:
            batch = [replace(one, side=self._side) for one in batch]
        kept = [self._redactor.apply(one) for one in batch]
        self.exchanges += len(kept)
        self.cut += sum(one.request.truncated or one.response.truncated for one in kept)
        self.redactions += sum(one.redactions for one in kept)
        self._writer.write(kept)

    def close(self) -> None:
        self._writer.close()

    def undo(self) -> None:
        for path in (*(file.path for file in self._store.files()), *self._store.unfinished()):
            with suppress(OSError):
                self._store.filesystem.delete_file(path)
                if self._store.is_local:
                    Path(path).parent.rmdir()

    def _now(self) -> datetime:
        if self._latest is None:
            raise AssertionError  # the writer asks once something is written
        return self._latest


def _within(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    if not found:
        raise ValidationError(
            field="FILE", value=str(path), rule="must be a file, or a folder with files in it", remedy="Check the path"
        )
    return found


def _in_order(files: Sequence[Path]) -> list[Path]:
    """GoReplay numbers the files of a capture, and a shell sorts the tenth before the second."""

    def key(path: Path) -> tuple[str, int, str]:
        number = _TRAILING_NUMBER.search(path.name)
        beginning = path.name[: number.start()] if number else path.name
        return f"{path.parent}/{beginning}", int(number.group()) if number else -1, path.name

    return sorted(files, key=key)


def _states(files: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@contextmanager
def _few_collections() -> Generator[None]:
    """Look for garbage less often: nothing here refers to itself, and what waits would be looked at time and again."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True, slots=True)
class Asked:
    """What readers need to know beside the files."""

    tally: Tally
    source: str
    mitmdump: str


def _read_gor(files: Iterable[Opened], asked: Asked) -> Iterator[Exchange]:
    records = (record for file in files for record in gor.read_records(file.content, asked.tally))
    return gor.Pairing(asked.tally, source=asked.source).exchanges(records)


def _read_tap(files: Iterable[Opened], asked: Asked) -> Iterator[Exchange]:
    for file in files:
        content, name = file.content.read(), file.path.name
        yield from tap.read(content, asked.tally, source=asked.source, written_at=file.written_at, name=name)


def _read_mitmproxy(files: Iterable[Opened], asked: Asked) -> Iterator[Exchange]:
    for file in files:
        flows = mitmproxy.flows_of(file.path, asked.mitmdump, asked.tally)
        yield from mitmproxy.read(flows, asked.tally, source=asked.source)


def _read_har(files: Iterable[Opened], asked: Asked) -> Iterator[Exchange]:
    for file in files:
        yield from har.read(file.content.read(), asked.tally, source=asked.source, name=file.path.name)


def _read_binary_log(files: Iterable[Opened], asked: Asked) -> Iterator[Exchange]:
    # Calls of one file only: another process counts its calls from one again.
    for file in files:
        entries = binarylog.read_entries(file.content, asked.tally)
        yield from binarylog.Calls(asked.tally, source=asked.source).exchanges(entries)


READERS: Final[Mapping[Format, Callable[[Iterable[Opened], Asked], Iterator[Exchange]]]] = {
    Format.GOR: _read_gor,
    Format.TAP: _read_tap,
    Format.MITMPROXY: _read_mitmproxy,
    Format.HAR: _read_har,
    Format.BINARY_LOG: _read_binary_log,
}
"""How each format is read: files one after the other to exchanges."""
