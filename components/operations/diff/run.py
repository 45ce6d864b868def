"""Comparing what primary and mirror answered, and telling differences from noise.

A comparison is pairs, tallies, and their sum: parts of the recordings are compared wherever there is room, and the
verdict follows from the sum of what they counted.
"""

import atexit
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from ...model.checks import bounded
from ..children import end_with_parent
from ..errors import OperationError
from ..recording import RowGroup, Side
from ..recording.arrow import Table
from ..recording.buckets import PartWriter, Shard, read_parts
from .columns import Requests, endpoints_of, joined
from .comparison import Comparison, DiffJob, verdict
from .corpus import Corpus, open_corpus
from .pairing import Selection, Source, part_numbers
from .result import DiffResult
from .tallies import Tallies

_T = TypeVar("_T")

_Run: TypeAlias = Callable[[Callable[[Any], Tallies], Sequence[Any]], Iterator[Tallies]]
"""Calls a function with each of several values and yields the results as they come."""

MAX_PROCESSES: Final = 256

_TASKS: Final = 4
"""Comparisons for each process: fewer would let one wait for another, more would begin anew too often."""

_CUT_SHARE: Final = 0.3
"""Of the time, cutting takes about this share."""

Show: TypeAlias = Callable[[float], None]


def diff(job: DiffJob, *, processes: int = 1, on_progress: Show | None = None) -> DiffResult:
    """Compare recordings.

    Args:
        job: What to compare.
        processes: How many processes compare at once, 1 to 256; the result is the same.
        on_progress: Called with the share that is done, 0 to 1.

    Raises:
        ValidationError: A recording is empty or has another schema version.
        OperationError: No request has an answer on both sides, or none has one in the baseline, so nothing can be told.
    """
    return verdict(job, count(job, processes=processes, on_progress=on_progress))


def count(job: DiffJob, *, shard: Shard | None = None, processes: int = 1, on_progress: Show | None = None) -> Tallies:
    """Compare one part of the recordings, or all, and return what was counted.

    Args:
        job: What to compare.
        shard: Which part; all by default.
        processes: How many processes compare at once, 1 to 256.
        on_progress: Called with the share that is done, 0 to 1.

    Raises:
        ValidationError: A recording is empty or has another schema version.
        OperationError: A process ended unexpectedly.
    """
    bounded(processes, "processes", 1, MAX_PROCESSES, "processes")
    return count_corpus(open_corpus(job, shard or Shard()), processes=processes, on_progress=on_progress)


def count_corpus(corpus: Corpus, *, processes: int = 1, on_progress: Show | None = None) -> Tallies:
    """Compare what a corpus has; see :func:`count`."""
    total = Tallies(damage=set(corpus.damage), selections={role: Selection() for role in corpus.choice.sources})
    with _workers(processes) as run, _temporary_folder() as folder:
        if corpus.is_cut:
            numbers, whole = corpus.parts(), 0.0
        else:
            numbers, whole = range(corpus.needed_parts), _CUT_SHARE
            work = [(url, group) for url, groups in corpus.groups.items() for group in groups]
            tasks = [
                _Cut(corpus=corpus, folder=folder, name=str(name), parts=len(numbers), work=part)
                for name, part in enumerate(_divided(work, processes))
            ]
            for done, part in enumerate(run(_cut, tasks)):
                total.merge(part)
                _show(on_progress, whole * (done + 1) / len(tasks))
        pieces = [
            _Compare(corpus=corpus, folder=folder, numbers=part) for part in _divided(numbers, processes * _TASKS)
        ]
        for done, part in enumerate(run(_compare, pieces)):
            total.merge(part)
            _show(on_progress, whole + (1 - whole) * (done + 1) / len(pieces))
    return total


def one_recording(url: str, *, baseline: Sequence[Source] = ()) -> DiffJob:
    """Return the usual job: one recording that holds both sides."""
    return DiffJob(
        primary=Source(recording=url, side=Side.PRIMARY),
        mirror=Source(recording=url, side=Side.MIRROR),
        baseline=baseline,
    )


def count_rows(comparison: Comparison, rows: Mapping[str, Iterable[Table]]) -> None:
    """Compare the answers to some requests, all sides of each.

    Args:
        comparison: Takes what comes of it.
        rows: Condensed rows by role.
    """
    tallies = comparison.tallies
    primary = joined(list(rows["primary"]))
    endpoints = endpoints_of(primary)
    for endpoint, several in endpoints.counted():
        comparison.note_primary(endpoint, several)
    requests = Requests(primary)
    for role in [role for role in rows if role != "primary"]:
        others = joined(list(rows[role]))
        if role == "mirror":
            comparison.add_rows(primary, endpoints, others, requests.pairs_with(others, tallies.counts))
        else:
            places = requests.pairs_with(others, tallies.baseline_counts)
            comparison.add_baseline_rows(primary, endpoints, others, places)


def compare_buckets(corpus: Corpus, numbers: Iterable[int]) -> Tallies:
    """Compare buckets as they lie.

    Args:
        corpus: Whose buckets can be compared so.
        numbers: Which.
    """
    comparison = Comparison(corpus.job)
    for number in numbers:
        found: dict[str, list[Table]] = {role: [] for role in corpus.choice.sources}
        for role, rows in corpus.rows(corpus.part(number), comparison.tallies):
            found[role].append(rows)
        count_rows(comparison, found)
    comparison.tallies.settle()
    return comparison.tallies


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Row groups to cut into parts."""

    corpus: Corpus
    folder: Path
    name: str
    parts: int
    work: Sequence[tuple[str, RowGroup]]


@dataclass(frozen=True, kw_only=True)
class _Compare:
    """Parts to compare."""

    corpus: Corpus
    folder: Path
    numbers: Sequence[int]


def _cut(task: _Cut) -> Tallies:
    """Cut row groups; what is counted is what was left out."""
    tallies = Tallies()
    with PartWriter(task.folder, task.name) as writer:
        for role, rows in task.corpus.rows(task.work, tallies):
            writer.write(role, rows, part_numbers(rows, task.parts))
    return tallies


def _compare(task: _Compare) -> Tallies:
    """Compare parts."""
    corpus = task.corpus
    if corpus.is_cut:
        return compare_buckets(corpus, task.numbers)
    comparison = Comparison(corpus.job)
    for number in task.numbers:
        count_rows(comparison, {role: read_parts(task.folder, role, number) for role in corpus.choice.sources})
    comparison.tallies.settle()
    return comparison.tallies


def _divided(things: Sequence[_T], count: int) -> list[Sequence[_T]]:
    """Deal things out, so that each gets some of all; fewer parts than asked for where there are few things."""
    return [things[first::count] for first in range(max(1, min(count, len(things))))]


def _show(on_progress: Show | None, share: float) -> None:
    if on_progress:
        on_progress(share)


@contextmanager
def _workers(processes: int) -> Generator[_Run]:
    if processes == 1:
        yield map
        return
    # Processes that begin anew: a copy of one with threads may wait for locks that nobody holds.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent)

    def run(function: Callable[[Any], Tallies], values: Sequence[Any]) -> Iterator[Tallies]:
        try:
            for future in as_completed([pool.submit(function, value) for value in values]):
                yield future.result()
        except BrokenProcessPool as error:
            raise OperationError(
                "A process that compared ended unexpectedly",
                remedy="Look whether the machine has memory left; fewer --processes need less",
            ) from error

    try:
        yield run
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _temporary_folder() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="traffic-mirror-diff-"))
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    # A comparison that was given up, or interrupted, goes on in its thread until the process ends.
    atexit.register(remove)
    try:
        yield folder
    finally:
        remove()
        atexit.unregister(remove)
