"""Dividing recorded requests by a hash of their identifiers, so that all sides of one request stay together."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from ...model import ValidationError
from .arrow import Column, Table, pa, pc
from .layout import MAX_BUCKETS

_TRACED: Final = r"^([0-9a-fA-F-]{14})[49ab]([0-9a-fA-F-]{21})$"
"""A UUID in which Envoy noted whether the request is traced (not, sampled, forced, or asked for by the client), which
each gateway decides anew. Source: Envoy's UuidRequestIdConfig, pack_trace_reason."""

_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Bytes of rows of one kind that wait until they are cut: of fewer each part would get only a few."""


_UUID_BYTES: Final = 36
_NOTED_AT: Final = 14
"""Where in a UUID that is noted."""

_IS_NOTE: Final = np.isin(np.arange(256), list(b"9ab"))
"""Of each byte, whether it notes anything."""


def pair_keys(request_ids: Column) -> Column:
    """Return identifiers without what gateways on their way note in them, so that a copy's is its primary's."""
    if isinstance(request_ids, pa.ChunkedArray):
        return pa.chunked_array([pair_keys(chunk) for chunk in request_ids.chunks], request_ids.type)
    ids = pc.fill_null(request_ids, "")
    # Most are traced by nobody, and an expression takes ten times as long for each as a look at one byte.
    noted = _may_be_noted(ids)
    if not noted.any():
        return ids
    mask = pa.array(noted)
    return pc.replace_with_mask(ids, mask, pc.replace_substring_regex(ids.filter(mask), _TRACED, r"\14\2"))


def _may_be_noted(ids: Column) -> Any:  # noqa: ANN401 -- an array of numpy's
    """Tell which identifiers may have anything else than :func:`pair_keys` gives them; those that look like it do."""
    _, offsets, data = ids.buffers()
    noted = np.zeros(len(ids), bool)
    if data is None or not len(ids):
        return noted
    width = np.int64 if pa.types.is_large_string(ids.type) else np.int32
    starts = np.frombuffer(offsets, width)[ids.offset : ids.offset + len(ids) + 1]
    uuids = np.flatnonzero(np.diff(starts) == _UUID_BYTES)
    noted[uuids] = _IS_NOTE[np.frombuffer(data, np.uint8)[starts[uuids] + _NOTED_AT]]
    return noted


def pair_key(request_id: str) -> str:
    """Return one identifier as :func:`pair_keys` does."""
    return re.sub(_TRACED, r"\g<1>4\g<2>", request_id)


def hashes_of(keys: Column) -> Any:  # noqa: ANN401 -- an array of numpy's
    """Return the CRC-32 of each key, as an array: its lowest bits decide on the bucket, and buckets on the shard."""
    binary = pa.large_binary() if pa.types.is_large_string(keys.type) else pa.binary()
    return np.fromiter(map(crc32, keys.cast(binary).to_pylist()), np.uint32, len(keys))


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of several parts of a piece of work, each with all sides of its own requests.

    Raises:
        ValidationError: There is no such part.
    """

    number: int = 0
    """Which, from 0."""
    of: int = 1
    """How many there are, 1 to 512."""

    def __post_init__(self) -> None:
        for field, value, low, high in (("shards", self.of, 1, MAX_BUCKETS), ("shard", self.number, 0, self.of - 1)):
            if not low <= value <= high:
                raise ValidationError(
                    field=field,
                    value=value,
                    rule=f"must be from {low} to {high}",
                    remedy="Choose a number in that range",
                )

    def holds(self, hashes: Any, buckets: int = MAX_BUCKETS) -> Any:  # noqa: ANN401 -- numbers, or arrays of them
        """Tell of hashes, or of numbers of buckets, whether they are of this shard.

        Args:
            hashes: One, or an array of them.
            buckets: Buckets that are kept together, at least as many as shards.
        """
        return hashes % buckets % self.of == self.number


def split(rows: Table, numbers: Any) -> Iterator[tuple[int, Table]]:  # noqa: ANN401 -- an array of numpy's
    """Yield each number that any row has, with its rows in their order.

    Args:
        rows: Rows.
        numbers: A number for each.
    """
    order = np.argsort(numbers, kind="stable")
    sorted_rows, found = rows.take(pa.array(order)), numbers[order]
    starts = [0, *(np.flatnonzero(np.diff(found)) + 1).tolist(), len(found)]
    for start, end in pairwise(starts):
        if end > start:
            yield int(found[start]), sorted_rows.slice(start, end - start)


class PartWriter:
    """Writes rows of several kinds to a folder, each part to a file of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        """Prepare to write.

        Args:
            folder: Where to.
            name: Tells this writer's files from those of others in the same folder.
        """
        self._folder = folder
        self._name = name
        self._writers: dict[tuple[str, int], Any] = {}
        self._waiting: dict[str, list[tuple[Table, Any]]] = defaultdict(list)
        self._open = ExitStack()

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            for kind in self._waiting:
                self._flush(kind)

    def write(self, kind: str, rows: Table, numbers: Any) -> None:  # noqa: ANN401 -- an array of numpy's
        """Take rows.

        Args:
            kind: Of which kind they are.
            rows: The rows.
            numbers: The part of each.
        """
        waiting = self._waiting[kind]
        waiting.append((rows, numbers))
        if sum(each.nbytes for each, _ in waiting) >= _WAITING_BYTES:
            self._flush(kind)

    def _flush(self, kind: str) -> None:
        waiting, self._waiting[kind] = self._waiting[kind], []
        if not waiting:
            return
        rows = pa.concat_tables([each for each, _ in waiting]).combine_chunks()
        for number, part in split(rows, np.concatenate([numbers for _, numbers in waiting])):
            writer = self._writers.get((kind, number))
            if writer is None:
                path = self._folder / f"{kind}-{number}-{self._name}.arrows"
                file = self._open.enter_context(pa.OSFile(str(path), "wb"))
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                stream = pa.ipc.new_stream(file, part.schema, options=options)
                writer = self._writers[kind, number] = self._open.enter_context(stream)
            writer.write_table(part)


def read_parts(folder: Path, kind: str, number: int) -> Iterator[Table]:
    """Yield what was written of one part, whoever wrote it."""
    for path in sorted(folder.glob(f"{kind}-{number}-*.arrows")):
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            yield stream.read_all().combine_chunks()
