"""Comparing in parts that know nothing of each other, each of which leaves its tally where others add them up.

What a part leaves is a file that appears only when it is whole, so a part that was ended, or run twice, does no harm.
"""

import json
from dataclasses import astuple, dataclass, fields
from hashlib import sha256
from typing import Any, Final

from ...model import ValidationError
from ...model.credentials import without_credentials
from ..recording import RecordingStore
from ..recording.buckets import Shard
from .comparison import DiffJob
from .corpus import open_corpus
from .run import Show, count_corpus
from .tallies import Tallies

_JUDGED: Final = frozenset({"expected_percent", "level"})
"""What decides on the verdict alone; the sum is the same for each value."""


@dataclass(frozen=True, kw_only=True)
class _Head:
    """What tells whether two parts are of one whole."""

    shards: int
    question: str
    """Digest of what was compared, and how."""
    listing: str
    """Digest of the files that there were."""


def count_shard(
    job: DiffJob, shard: Shard, place: str, *, processes: int = 1, on_progress: Show | None = None
) -> Tallies:
    """Compare one part and leave what was counted; where that was done already, return it.

    Args:
        job: What to compare.
        shard: Which part.
        place: Folder or URL for the tallies of all parts.
        processes: How many processes compare at once.
        on_progress: Called with the share that is done, 0 to 1.

    Raises:
        ValidationError: A recording is empty or has another schema version.
        OperationError: A process ended unexpectedly.
    """
    corpus = open_corpus(job, shard)
    head = _Head(shards=shard.of, question=_question(job), listing=corpus.listing)
    store = RecordingStore.open(place)
    found = _read(store, shard)
    if found is not None and found[0] == head:
        return found[1]
    tallies = count_corpus(corpus, processes=processes, on_progress=on_progress)
    counted = tallies.to_bytes()
    with store.create(_name(shard), again=True) as file:
        file.stream.write(json.dumps([*astuple(head), _digest(counted)]).encode() + b"\n" + counted)
    return tallies


def sum_shards(job: DiffJob, shards: int, place: str) -> Tallies:
    """Add up what all parts left.

    Args:
        job: What they compared.
        shards: How many parts there are.
        place: Where their tallies lie.

    Raises:
        ValidationError: A part is missing, or parts are not of one whole: they compared something else, or the
            recordings grew meanwhile.
    """
    store, total = RecordingStore.open(place), Tallies()
    heads: set[_Head] = set()
    missing: list[int] = []
    for number in range(shards):
        found = _read(store, Shard(number=number, of=shards))
        if found is None:
            missing.append(number)
        else:
            heads.add(found[0])
            total.merge(found[1])
    if missing:
        raise _wrong(place, f"lacks {len(missing)} of {shards} parts: {', '.join(map(str, missing[:10]))}")
    if {head.question for head in heads} != {_question(job)}:
        raise _wrong(place, "has parts of another comparison")
    if len(heads) > 1:
        raise _wrong(place, "has parts that saw different files: the recordings changed meanwhile")
    return total


def _digest(counted: bytes) -> str:
    return sha256(counted).hexdigest()


def _question(job: DiffJob) -> str:
    asked: dict[str, Any] = {one.name: getattr(job, one.name) for one in fields(job) if one.name not in _JUDGED}
    return sha256(json.dumps(asked, default=_plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401 -- what json cannot tell by itself
    # Sources by their names, which a job knows of its own; bytes of descriptors by their digest.
    return sha256(value).hexdigest() if isinstance(value, bytes) else astuple(value)


def _name(shard: Shard) -> str:
    return f"tally-{shard.number:03d}-of-{shard.of:03d}.json"


def _read(store: RecordingStore, shard: Shard) -> tuple[_Head, Tallies] | None:
    try:
        with store.filesystem.open_input_stream(f"{store.root}/{_name(shard)}") as stream:
            data: bytes = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    head, _, tally = data.partition(b"\n")
    try:
        shards, question, listing, digest = json.loads(head)
    except (ValueError, TypeError, RecursionError):
        raise _wrong(store.url, f"has a {_name(shard)} that is no tally") from None
    # A number that became another one would be another verdict.
    if digest != _digest(tally):
        raise _wrong(store.url, f"has a {_name(shard)} that is not as it was written")
    return _Head(shards=shards, question=question, listing=listing), Tallies.from_bytes(tally)


def _wrong(place: str, rule: str) -> ValidationError:
    return ValidationError(
        field="tallies",
        value=without_credentials(place),
        rule=rule,
        remedy="Compare what is missing or differs once more, by the same options and into a folder of its own",
    )
