"""Bringing the answers to one request together, in bounded memory.

The recordings are cut by a hash of the request's identifier into partitions that fit into memory, kept in a temporary
folder; answers to one request always fall into the same one.
"""

import atexit
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from ...model.request_sampling import is_sampled
from ..recording import RecordingReader, Side
from ..recording.arrow import RecordBatch, pa, pc
from .answers import COLUMNS, Answer, answers_of, pair_key

PARTITION_BYTES: Final = 24 * 1024 * 1024
"""Bytes of recordings in one partition; as objects they take about four times as much."""

_MAX_PARTITIONS: Final = 512
"""Files open at once for each role; beyond 12 GiB the partitions grow instead."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which exchanges of which recording."""

    recording: str
    """Path or URL."""
    side: Side
    source: str | None = None
    """Only what this recorder or replay saw; ``None`` for all."""
    without: tuple[str, ...] = ()
    """Not what these saw."""


@dataclass(kw_only=True)
class Selection:
    """What was read and left out of one role's recording."""

    chosen: int = 0
    without_id: int = 0
    """Exchanges without ``x-request-id``, which pair with nothing."""
    sampled_out: int = 0
    by_side: Counter[str] = field(default_factory=Counter[str])
    """Everything read, by side: says why nothing was chosen."""


def selected(batch: RecordBatch, source: Source, selection: Selection) -> RecordBatch:
    """Return the rows that a source means, and note what there was."""
    for one in pc.value_counts(batch.column("side")).to_pylist():
        selection.by_side[one["values"]] += one["counts"]
    mask = pc.equal(batch.column("side"), source.side.value)
    if source.source is not None:
        mask = pc.and_(mask, pc.equal(batch.column("source"), source.source))
    if source.without:
        mask = pc.and_not(mask, pc.is_in(batch.column("source"), pa.array(source.without)))
    return batch.filter(mask)


class Partitions:
    """Answers of several roles, cut by request."""

    def __init__(self, folder: Path, count: int, *, threshold: int) -> None:
        self._folder = folder
        self._threshold = threshold
        self.count = count

    def add(self, role: str, reader: RecordingReader, source: Source) -> Selection:
        """Cut one recording."""
        selection = Selection()
        with ExitStack() as stack:
            writers: dict[int, Any] = {}
            for group in reader.row_groups():
                batches = list(reader.read(group, columns=COLUMNS))
                if batches:
                    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
                    for number, part in self._cut(whole, source, selection):
                        if number not in writers:
                            writers[number] = self._writer(stack, role, number, part.schema)
                        writers[number].write_batch(part)
        return selection

    def read(self, role: str, number: int) -> Iterator[Answer]:
        """Yield the answers of one role in one partition."""
        path = self._path(role, number)
        if path.exists():
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    yield from answers_of(batch)

    def _cut(self, batch: RecordBatch, source: Source, selection: Selection) -> Iterator[tuple[int, RecordBatch]]:
        batch = selected(batch, source, selection)
        rows: dict[int, list[int]] = defaultdict(list)
        for row, request_id in enumerate(batch.column("request_id").to_pylist()):
            if not request_id:
                selection.without_id += 1
            elif not is_sampled(request_id, self._threshold):
                selection.sampled_out += 1
            else:
                rows[crc32(pair_key(request_id).encode()) % self.count].append(row)
        for number, indices in rows.items():
            selection.chosen += len(indices)
            yield number, batch.take(pa.array(indices, type=pa.int32()))

    def _writer(self, stack: ExitStack, role: str, number: int, schema: Any) -> Any:  # noqa: ANN401 -- pyarrow
        file = stack.enter_context(pa.OSFile(str(self._path(role, number)), "wb"))
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        return stack.enter_context(pa.ipc.new_stream(file, schema, options=options))

    def _path(self, role: str, number: int) -> Path:
        return self._folder / f"{role}-{number}.arrows"


@contextmanager
def partitions(readers: Sequence[RecordingReader], *, threshold: int) -> Generator[Partitions]:
    """Make as many partitions as the recordings need; they are gone with the block.

    Args:
        readers: Every recording that is going to be added.
        threshold: Which requests are looked at; see :mod:`components.model.request_sampling`.
    """
    size = sum(group.bytes for reader in readers for group in reader.row_groups())
    count = max(1, min(_MAX_PARTITIONS, -(-size // PARTITION_BYTES)))
    folder = Path(tempfile.mkdtemp(prefix="traffic-mirror-diff-"))
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    # A comparison that was given up, or interrupted, goes on in its thread until the process ends.
    atexit.register(remove)
    try:
        yield Partitions(folder, count, threshold=threshold)
    finally:
        remove()
        atexit.unregister(remove)


@dataclass(kw_only=True)
class PairCounts:
    """How the answers of two roles came together."""

    paired: int = 0
    unpaired: int = 0
    """Answers of the second role whose request the primary has not."""
    surplus: int = 0
    """Answers of the second role beyond those of the primary to the same request: retries, or several copies."""


def by_request(answers: Iterator[Answer]) -> Mapping[str, list[Answer]]:
    """Group answers by request, each group in the order of their starts."""
    grouped: dict[str, list[Answer]] = {}
    for answer in answers:
        grouped.setdefault(answer.pair_key, []).append(answer)
    for group in grouped.values():
        group.sort(key=lambda answer: answer.started_at)
    return grouped


def pairs_of(
    primary: Mapping[str, list[Answer]], others: Iterator[Answer], counts: PairCounts
) -> Iterator[tuple[Answer, Answer]]:
    """Yield the first answers of both to a request together, then the second ones, and so on."""
    taken: set[str] = set()
    several: dict[str, list[Answer]] = {}
    for other in others:
        key = other.pair_key
        group = primary.get(key)
        if group is None:
            counts.unpaired += 1
        elif len(group) > 1:
            several.setdefault(key, []).append(other)
        elif key in taken:
            counts.surplus += 1
        else:
            taken.add(key)
            counts.paired += 1
            yield group[0], other
    # Files have exchanges in the order of their ends, and a first try may well end last.
    for key, found in several.items():
        found.sort(key=lambda answer: answer.started_at)
        counts.surplus += max(0, len(found) - len(primary[key]))
        for pair in zip(primary[key], found, strict=False):
            counts.paired += 1
            yield pair
