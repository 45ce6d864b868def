"""Comparing on Apache Spark 4: pairs come together by its shuffle, or lie in buckets; its engine adds the tallies up.

Nothing of Spark is imported here but by :func:`open_session`: whoever has a session hands it over. Its workers need
this package with the extra ``spark``, and reach the recordings by the same paths or URLs as the driver.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, TypeAlias

from ...model import ValidationError
from ..errors import OperationError
from ..recording.arrow import RecordBatch, Table, pa, pc
from ..recording.buckets import Shard
from .answers import no_rows
from .comparison import Comparison, DiffJob, verdict
from .corpus import Corpus, open_corpus
from .pairing import Selection, part_numbers
from .result import DiffResult
from .run import compare_buckets, count_rows
from .tallies import Tallies

Session: TypeAlias = Any
"""A ``pyspark.sql.SparkSession``, of Spark Connect as well."""

Frame: TypeAlias = Any
"""A ``pyspark.sql.DataFrame``."""

Batches: TypeAlias = Iterable[RecordBatch]

VERSION: Final = "4"
"""Major version of Spark; ``applyInArrow`` came with it."""

_TALLY: Final = "tally binary"

_ROWS: Final = (
    "request_id string, started_at bigint, method string, path string, status int, grpc_status int, is_grpc boolean, "
    "duration_us bigint, ending string, response_body binary, response_body_size bigint, response_truncated boolean, "
    "response_messages array<struct<offset_us:bigint,size:bigint,compressed:boolean,truncated:boolean,data:binary>>, "
    "pair_key string, short_path string, headers string, trailers string, role string, part int, tally binary"
)
"""Condensed rows with their role and part; and rows with nothing but a tally of what was left out."""

_TOLD: Final = 400
"""Characters of Spark's own words that are told."""


def diff(session: Session, job: DiffJob) -> DiffResult:
    """Compare recordings on a Spark session; the result is that of :func:`pulumi_traffic_mirror.operations.diff.diff`.

    Args:
        session: A session of Spark 4.
        job: What to compare.

    Raises:
        ValidationError: Spark is of another version, or a recording is empty or has another schema version.
        OperationError: Spark could not do it, or nothing can be told.
    """
    return verdict(job, count(session, job))


def count(session: Session, job: DiffJob) -> Tallies:
    """Compare recordings on a Spark session and return what was counted; see :func:`diff`."""
    version = str(session.version)
    if version.partition(".")[0] != VERSION:
        raise ValidationError(
            field="spark",
            value=version,
            rule=f"must be Spark {VERSION}",
            remedy=f"Use a cluster with Spark {VERSION}, or compare in processes or as a Job",
        )
    corpus = open_corpus(job, Shard())
    total = Tallies(damage=set(corpus.damage), selections={role: Selection() for role in corpus.choice.sources})
    counted = _in_buckets(session, corpus) if corpus.is_cut else _by_shuffle(session, corpus)
    merge = _merging()
    try:
        rows = counted.mapInArrow(merge, _TALLY).repartition(1).mapInArrow(merge, _TALLY).collect()
    except Exception as error:  # Spark has no common class for what went wrong on a worker.
        raise OperationError(
            f"Spark could not compare: {str(error).strip()[-_TOLD:]}",
            remedy="Look into its logs",
        ) from error
    for row in rows:
        total.merge(Tallies.from_bytes(bytes(row["tally"])))
    return total


@contextmanager
def open_session(master: str) -> Generator[Session]:
    """Yield a session of one's own, which ends with the block.

    Args:
        master: Spark's address, such as ``spark://host:7077`` or ``local[4]``.

    Raises:
        ModuleNotFoundError: The extra ``spark`` is not installed.
        OperationError: Spark or Java does not start, or nobody answers there.
    """
    pyspark: Any = import_module("pyspark.sql")
    try:
        session = pyspark.SparkSession.builder.master(master).appName("traffic-mirror diff").getOrCreate()
    except Exception as error:
        raise OperationError(
            f"No Spark session at {master}: {str(error).strip()[-_TOLD:]}",
            remedy="Check the address, and that Java 17 or newer is installed",
        ) from error
    try:
        yield session
    finally:
        session.stop()


def _in_buckets(session: Session, corpus: Corpus) -> Frame:
    """Compare each bucket as it lies; nothing is shuffled."""

    def compare(batches: Batches) -> Iterator[RecordBatch]:
        numbers = [number for batch in batches for number in batch.column("id").to_pylist()]
        if numbers:
            yield _of_tally(compare_buckets(corpus, numbers))

    return session.range(0, corpus.buckets, 1, corpus.buckets).mapInArrow(compare, _TALLY)


def _by_shuffle(session: Session, corpus: Corpus) -> Frame:
    """Bring the answers to each request together by a shuffle, and compare."""
    parts = corpus.needed_parts
    bundles = corpus.bundles()

    # Not by Spark's reader, to which one damaged page is the end of everything.
    def condense(batches: Batches) -> Iterator[RecordBatch]:
        tallies = Tallies()
        numbers: list[int] = [number for batch in batches for number in batch.column("id").to_pylist()]
        for number in numbers:
            for role, rows in corpus.rows(bundles[number], tallies):
                yield from _with_part(rows, role, part_numbers(rows, parts)).to_batches()
        yield _left_out(tallies)

    def compare(rows: Table) -> Table:
        comparison = Comparison(corpus.job)
        is_tally = rows.column("tally").is_valid()
        for tally in rows.column("tally").filter(is_tally).to_pylist():
            comparison.tallies.merge(Tallies.from_bytes(tally))
        rows = rows.filter(pc.invert(is_tally)).combine_chunks()
        roles = rows.column("role")
        count_rows(comparison, {role: [rows.filter(pc.equal(roles, role))] for role in corpus.choice.sources})
        return pa.Table.from_batches([_of_tally(comparison.tallies)])

    pieces = session.range(0, len(bundles), 1, len(bundles))
    return pieces.mapInArrow(condense, _ROWS).groupBy("part").applyInArrow(compare, _TALLY)


def _with_part(rows: Table, role: str, numbers: Any) -> Table:  # noqa: ANN401 -- an array of numpy's
    count = rows.num_rows
    rows = rows.append_column("role", pa.array([role] * count, pa.string()))
    rows = rows.append_column("part", pa.array(numbers, pa.int32()))
    return rows.append_column("tally", pa.nulls(count, pa.binary()))


def _left_out(tallies: Tallies) -> RecordBatch:
    """Return a row that tells what was left out or cannot be read; it goes to the first part."""
    schema = _with_part(no_rows(), "", []).schema
    values: dict[str, Any] = {**dict.fromkeys(schema.names), "part": 0, "tally": tallies.to_bytes()}
    return pa.RecordBatch.from_pylist([values], schema=schema)


def _merging() -> Callable[[Batches], Iterator[RecordBatch]]:
    def merge(batches: Batches) -> Iterator[RecordBatch]:
        total = Tallies()
        for batch in batches:
            for tally in batch.column("tally").to_pylist():
                total.merge(Tallies.from_bytes(tally))
        yield _of_tally(total)

    return merge


def _of_tally(tallies: Tallies) -> RecordBatch:
    return pa.RecordBatch.from_pydict({"tally": pa.array([tallies.to_bytes()], pa.binary())})
