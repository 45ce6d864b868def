"""What a comparison reads: which row groups of which recordings, and how they divide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..recording import Damage, RecordingReader, RecordingStore, RowGroup
from ..recording.arrow import Table, pa
from ..recording.buckets import Shard, hashes_of, pair_keys
from ..recording.layout import bucket_of, read_layout
from ..recording.noted_rules import require_same_headers
from .answers import COLUMNS
from .comparison import DiffJob
from .pairing import MAX_PARTITIONS, PARTITION_BYTES, Choice, Selection, first_role
from .tallies import Tallies

_CUT_BYTES: Final = 6 * PARTITION_BYTES
"""Bytes of the largest bucket that is compared as it is; larger ones are cut once more."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Everything that one shard of a comparison reads. It can be sent to other processes."""

    job: DiffJob
    choice: Choice
    shard: Shard
    buckets: int
    """Buckets that all recordings have in common; 0 where they have none."""
    groups: Mapping[str, Sequence[RowGroup]]
    """By recording. Files that cannot be read are left out."""
    numbers: Mapping[str, int]
    """Bucket of each file, by its path; empty where there are none in common."""
    damage: frozenset[tuple[str, Damage]]
    """What cannot be read, with the first role that should."""
    listing: str
    """Digest of all files that there are, of other shards as well."""

    @property
    def is_cut(self) -> bool:
        """Whether each bucket can be compared as it is."""
        if not self.buckets:
            return False
        sizes = [0] * self.buckets
        for groups in self.groups.values():
            for group in groups:
                sizes[self.numbers[group.file.path]] += group.bytes
        return max(sizes) <= _CUT_BYTES

    def parts(self) -> Sequence[int]:
        """Return the buckets of this shard."""
        return [bucket for bucket in range(self.buckets) if self.shard.holds(bucket, self.buckets)]

    def part(self, bucket: int) -> list[tuple[str, RowGroup]]:
        """Return what lies in a bucket, by recording."""
        return [
            (url, group)
            for url, groups in self.groups.items()
            for group in groups
            if self.numbers[group.file.path] == bucket
        ]

    def bundles(self) -> list[list[tuple[str, RowGroup]]]:
        """Return what is read, in pieces of about the size of a partition, each of one recording or several."""
        bundles: list[list[tuple[str, RowGroup]]] = [[]]
        size = 0
        for url, groups in self.groups.items():
            for group in groups:
                if size and size + group.bytes > PARTITION_BYTES:
                    bundles.append([])
                    size = 0
                bundles[-1].append((url, group))
                size += group.bytes
        return bundles

    @property
    def needed_parts(self) -> int:
        """Into how many parts the requests of this shard are cut so that each fits into memory."""
        size = sum(group.bytes for groups in self.groups.values() for group in groups)
        own = size if self._is_pruned else size // self.shard.of
        return max(1, min(MAX_PARTITIONS, -(-own // PARTITION_BYTES)))

    def rows(self, work: Iterable[tuple[str, RowGroup]], tallies: Tallies) -> Iterator[tuple[str, Table]]:
        """Read row groups, and yield the condensed rows of each role with it.

        Args:
            work: The recordings with their row groups.
            tallies: Takes what was left out or cannot be read.
        """
        readers = {url: RecordingReader(store=RecordingStore.open(url)) for url in self.groups}
        for url, group in work:
            table = readers[url].table(group, columns=COLUMNS)
            if table is not None:
                yield from self.roles_of(url, table, tallies)
        for url, reader in readers.items():
            tallies.damage |= {(first_role(self.choice.sources, url), damage) for damage in reader.damage}

    def roles_of(self, url: str, table: Table, tallies: Tallies) -> Iterator[tuple[str, Table]]:
        """Yield the condensed rows of each role that a recording has."""
        if self.shard.of > 1 and not self._is_pruned:
            hashes = hashes_of(pair_keys(table.column("request_id")))
            table = table.filter(pa.array(self.shard.holds(hashes)))
        for role, source in self.choice.sources.items():
            if source.recording == url:
                selection = tallies.selections.setdefault(role, Selection())
                yield role, self.choice.rows(role, table, selection)

    @property
    def _is_pruned(self) -> bool:
        """Whether only files with this shard's requests are read."""
        return 0 < self.shard.of <= self.buckets


def open_corpus(job: DiffJob, shard: Shard) -> Corpus:
    """List what a shard of a comparison reads.

    Raises:
        ValidationError: A recording is empty, has another schema version or files outside of its buckets, or not all
            were recorded with the same headers.
    """
    sources = {"primary": job.primary, "mirror": job.mirror}
    sources |= {f"baseline-{number}": source for number, source in enumerate(job.baseline)}
    choice = Choice(sources=sources, sample_percent=job.sample_percent, ignored=job.ignored_headers)
    readers = {source.recording: RecordingReader.open(source.recording) for source in sources.values()}
    layouts = {url: read_layout(reader.store) for url, reader in readers.items()}
    buckets = min((layout.buckets if layout else 0) for layout in layouts.values())
    numbers: dict[str, int] = {}
    groups: dict[str, list[RowGroup]] = {}
    damage: set[tuple[str, Damage]] = set()
    listing = sha256()
    for url, reader in readers.items():
        files = reader.store.files()
        listing.update(repr([(reader.store.relative(file.path), file.size) for file in files]).encode())
        if buckets:
            numbers |= {file.path: (bucket_of(reader.store.relative(file.path)) or 0) % buckets for file in files}
        if 0 < shard.of <= buckets:
            files = [file for file in files if shard.holds(numbers[file.path], buckets)]
        groups[url] = list(reader.row_groups(files))
        damage |= {(first_role(sources, url), one) for one in reader.damage}
    require_same_headers(readers.values())
    return Corpus(
        job=job,
        choice=choice,
        shard=shard,
        buckets=buckets,
        groups=groups,
        numbers=numbers,
        damage=frozenset(damage),
        listing=listing.hexdigest(),
    )
