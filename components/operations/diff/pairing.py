"""Bringing the answers to one request together, in bounded memory.

The recordings are cut by a hash of the request's identifier into parts that fit into memory, kept in a temporary
folder; answers to one request always fall into the same one. Recordings that lie in buckets are cut already.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.checks import encodable
from ...model.request_sampling import WHOLE, is_sampled, sample_threshold
from ..recording import Side
from ..recording.arrow import Column, Table, pa, pc
from ..recording.buckets import MAX_BUCKETS, hashes_of
from .answers import condensed

PARTITION_BYTES: Final = 24 * 1024 * 1024
"""Bytes of recordings in one partition; as objects they take about four times as much."""

MAX_PARTITIONS: Final = 512
"""Files open at once for each role; beyond 12 GiB the partitions grow instead."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which exchanges of which recording.

    Raises:
        ValidationError: The source's name is no UTF-8.
    """

    recording: str
    """Path or URL."""
    side: Side
    source: str | None = None
    """Only what this recorder or replay saw; ``None`` for all."""
    without: tuple[str, ...] = ()
    """Not what these saw."""

    def __post_init__(self) -> None:
        encodable(self.source or "", field="source")


@dataclass(kw_only=True)
class Selection:
    """What was read and left out of one role's recording."""

    chosen: int = 0
    without_id: int = 0
    """Exchanges without ``x-request-id``, which pair with nothing."""
    sampled_out: int = 0
    by_side: Counter[str] = field(default_factory=Counter[str])
    """Everything read, by side: says why nothing was chosen."""

    def merge(self, other: "Selection") -> None:
        """Add what was read elsewhere."""
        self.chosen += other.chosen
        self.without_id += other.without_id
        self.sampled_out += other.sampled_out
        self.by_side.update(other.by_side)


def first_role(sources: Mapping[str, Source], recording: str) -> str:
    """Return the first role that a recording has."""
    return next(role for role, source in sources.items() if source.recording == recording)


def selected(batch: Any, source: Source, selection: Selection) -> Any:  # noqa: ANN401 -- a table or record batch
    """Return the rows that a source means, and note what there was."""
    for one in pc.value_counts(batch.column("side")).to_pylist():
        selection.by_side[one["values"]] += one["counts"]
    mask = pc.equal(batch.column("side"), source.side.value)
    if source.source is not None:
        mask = pc.and_(mask, pc.equal(batch.column("source"), source.source))
    if source.without:
        mask = pc.and_not(mask, pc.is_in(batch.column("source"), pa.array(source.without)))
    return _filtered(batch, mask)


def _filtered(rows: Any, mask: Column) -> Any:  # noqa: ANN401 -- a table or record batch
    """Return the rows for which a mask is true; without a copy where that is all."""
    return rows if pc.all(pc.fill_null(mask, False)).as_py() else rows.filter(mask)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which rows are compared, and by what."""

    sources: Mapping[str, Source]
    """By role."""
    sample_percent: float
    ignored: frozenset[str]
    """Headers and trailers that nobody compares."""

    def rows(self, role: str, table: Table, selection: Selection) -> Table:
        """Return the rows of a role in condensed form, and note what was left out."""
        rows = condensed(selected(table, self.sources[role], selection).combine_chunks(), self.ignored)
        count = rows.num_rows
        rows = _filtered(rows, pc.not_equal(rows.column("request_id"), ""))
        selection.without_id += count - rows.num_rows
        threshold = sample_threshold(self.sample_percent)
        if threshold < WHOLE:
            count = rows.num_rows
            ids: list[str] = rows.column("request_id").to_pylist()
            rows = rows.filter(pa.array([is_sampled(one, threshold) for one in ids], pa.bool_()))
            selection.sampled_out += count - rows.num_rows
        selection.chosen += rows.num_rows
        return rows


def part_numbers(rows: Table, count: int) -> Any:  # noqa: ANN401 -- an array of numpy's
    """Return the part of each condensed row.

    Args:
        rows: The rows.
        count: How many parts there are.
    """
    # Not by the lowest bits, which rows of one shard have in common.
    return hashes_of(rows.column("pair_key")) // MAX_BUCKETS % count


@dataclass(kw_only=True)
class PairCounts:
    """How the answers of two roles came together."""

    paired: int = 0
    unpaired: int = 0
    """Answers of the second role whose request the primary has not."""
    surplus: int = 0
    """Answers of the second role beyond those of the primary to the same request: retries, or several copies."""

    def merge(self, other: "PairCounts") -> None:
        """Add what came together elsewhere."""
        self.paired += other.paired
        self.unpaired += other.unpaired
        self.surplus += other.surplus
