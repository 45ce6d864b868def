"""Comparing by columns counts what comparing one answer after another does, byte for byte."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.diff import DiffJob, Source, columns
from pulumi_traffic_mirror.operations.diff.answers import COLUMNS, answers_of, condensed
from pulumi_traffic_mirror.operations.diff.comparison import Comparison
from pulumi_traffic_mirror.operations.diff.run import count_rows
from pulumi_traffic_mirror.operations.diff.tallies import Tallies
from pulumi_traffic_mirror.operations.diff.tally import Limits
from pulumi_traffic_mirror.operations.recording import Ending, Exchange, Message, Part, Side
from pulumi_traffic_mirror.operations.recording.arrow import pa
from pulumi_traffic_mirror.operations.recording.quantiles import bucket_of, buckets_of
from pulumi_traffic_mirror.operations.recording.schema import to_batch
from tests.unit.diff.corpora import ROLES
from tests.unit.diff.reference import count_answers

_START = datetime(2026, 1, 1, tzinfo=UTC)

_IDS = [f"{number:08x}-0000-{digit}000-8000-{number:012x}" for number in range(4) for digit in "49ab"] + ["r1", "r2"]
"""The same requests as gateways note them that trace them and that do not, and two that are no UUIDs."""

_HEADERS = st.lists(
    st.sampled_from(
        [
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("grpc-status", "0"),
            ("grpc-encoding", "gzip"),
            ("server", "a"),
            ("server", "b"),
        ]
    ),
    max_size=2,
).map(tuple)
_MESSAGES = st.lists(
    st.builds(
        Message,
        offset_us=st.integers(0, 2),
        size=st.integers(0, 2),
        data=st.sampled_from([b"", b"\x08\x01", b"\x08\x02"]),
        compressed=st.booleans(),
    ),
    max_size=2,
).map(tuple)
_PARTS = st.builds(
    Part,
    headers=_HEADERS,
    body=st.sampled_from([None, b"", b'{"a":1}', b'{"a":2}', b'{"a": 1}', b"text"]),
    body_size=st.sampled_from([0, 7]),
    truncated=st.sampled_from([False, False, False, True]),
    messages=st.one_of(st.just(()), _MESSAGES),
    trailers=st.one_of(st.just(()), _HEADERS),
)
_EXCHANGES = st.builds(
    Exchange,
    request_id=st.sampled_from(_IDS),
    side=st.just(Side.PRIMARY),
    source=st.just("test"),
    started_at=st.integers(0, 2).map(lambda us: _START + timedelta(microseconds=us)),
    method=st.sampled_from(["GET", "POST"]),
    scheme=st.just("http"),
    authority=st.just("shop.example"),
    path=st.sampled_from(["/a/1", "/a/2?b", "/c", f"/token/{'x1' * 12}"]),
    status=st.sampled_from([200, 200, 500, None]),
    grpc_status=st.sampled_from([None, 0, 13]),
    is_grpc=st.booleans(),
    duration_us=st.sampled_from([None, 0, 100, 20_000, 50_000]),
    ending=st.sampled_from(Ending),
    response=_PARTS,
)
_USUAL = st.builds(
    Exchange,
    request_id=st.sampled_from(_IDS),
    side=st.just(Side.PRIMARY),
    source=st.just("test"),
    started_at=st.just(_START),
    method=st.just("GET"),
    scheme=st.just("http"),
    authority=st.just("shop.example"),
    path=st.just("/a/1"),
    status=st.just(200),
    duration_us=st.sampled_from([100, 50_000]),
    response=st.builds(
        Part,
        headers=st.just((("content-type", "application/json"),)),
        body=st.sampled_from([b'{"a":1}', b'{"a":2}', b'{"a": 1}']),
    ),
)
_RECORDED = st.lists(st.tuples(st.sampled_from(ROLES), st.one_of(_EXCHANGES, _USUAL), st.booleans()), max_size=30)
"""Answers with their roles; of some the same one came to the other roles as well."""

_FEW = Limits(endpoints=2, fields=3, patterns=3)

_JOB = DiffJob(
    primary=Source(recording="anywhere", side=Side.PRIMARY), mirror=Source(recording="anywhere", side=Side.MIRROR)
)
_JOBS = st.builds(
    lambda ignore, **values: replace(_JOB, ignore=ignore, **values),
    st.lists(st.sampled_from(["body", "body $.a", "message", "duration", "copy", "GET /a/*|status"]), max_size=2),
    with_all_headers=st.booleans(),
    slower=st.sampled_from([1.1, 2.0]),
)


def _rows(job: DiffJob, recorded: Sequence[tuple[str, Exchange, bool]]) -> dict[str, list[Any]]:
    """Return the rows of each role, in several tables."""
    rows: dict[str, list[Any]] = {role: [] for role in ROLES}
    for role in ROLES:
        exchanges = [exchange for own, exchange, everywhere in recorded if everywhere or own == role]
        for several in filter(None, (exchanges[first::3] for first in range(3))):
            batch = to_batch(several)
            rows[role].append(condensed(pa.Table.from_batches([batch]).select(COLUMNS), job.ignored_headers))
    return rows


def _counted(job: DiffJob, rows: dict[str, list[Any]], limits: Limits = _FEW, *, by_columns: bool) -> bytes:
    comparison = Comparison(job, Tallies(limits=limits))
    if by_columns:
        count_rows(comparison, rows)
    else:
        batches = {role: chain.from_iterable(table.to_batches() for table in tables) for role, tables in rows.items()}
        answers = {role: chain.from_iterable(map(answers_of, several)) for role, several in batches.items()}
        count_answers(comparison, answers)
    return comparison.tallies.to_bytes()


@given(_JOBS, _RECORDED)
@example(_JOB, [])
def test_columns_count_what_answers_one_by_one_do(job: DiffJob, recorded: list[tuple[str, Exchange, bool]]) -> None:
    rows = _rows(job, recorded)
    assert _counted(job, rows, by_columns=True) == _counted(job, rows, by_columns=False)


@given(_RECORDED)
def test_steps_change_nothing(recorded: list[tuple[str, Exchange, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        rows = _rows(_JOB, recorded)
        whole = _counted(_JOB, rows, by_columns=True)
        patch.setattr(columns, "_STEP_PAIRS", 2)
        patch.setattr(columns, "_STEP_BYTES", 8)
        assert _counted(_JOB, rows, by_columns=True) == whole


_MESSAGE = Message(offset_us=1, size=2, data=b"\x08\x01")
_RESPONSES = {
    "plain": Part(headers=(("content-type", "application/json"),), body=b'{"a":1}', body_size=7),
    "empty": Part(headers=(("grpc-status", "0"),)),
    "stream": Part(headers=(("grpc-encoding", "gzip"),), messages=(_MESSAGE,), trailers=(("a", "b"),), body_size=7),
}
_CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "unanswered": {"status": None},
    "status": {"status": 500},
    "grpc-status": {"grpc_status": 0},
    "grpc": {"is_grpc": True},
    "reset": {"ending": Ending.RESET},
    "cut": {"ending": Ending.CUT},
    "no time": {"duration_us": None},
    "slow": {"duration_us": 90_000},
    "headers": {"headers": (("server", "b"),)},
    "coded": {"headers": (("content-encoding", "gzip"),)},
    "trailers": {"trailers": (("c", "d"),)},
    "truncated": {"truncated": True},
    "no body": {"body": None},
    "body": {"body": b'{"a":2}'},
    "no size": {"body_size": 0},
    "size": {"body_size": 9},
    "no messages": {"messages": ()},
    "data": {"messages": (replace(_MESSAGE, data=b"\x08\x02"),)},
    "later": {"messages": (replace(_MESSAGE, offset_us=2),)},
    "compressed": {"messages": (replace(_MESSAGE, compressed=True),)},
    "two": {"messages": (_MESSAGE, _MESSAGE)},
}


def _changed(exchange: Exchange, changes: dict[str, Any]) -> Exchange:
    if changes.keys() <= {"status", "grpc_status", "is_grpc", "ending", "duration_us"}:
        return replace(exchange, **changes)
    return replace(exchange, response=replace(exchange.response, **changes))


@pytest.mark.parametrize("is_grpc", [False, True])
@pytest.mark.parametrize("ignore", [[], ["body", "duration"], ["message"]])
def test_each_change_on_either_side_counts_as_one_by_one(is_grpc: bool, ignore: list[str]) -> None:
    job = replace(_JOB, ignore=ignore)
    recorded: list[tuple[str, Exchange, bool]] = []
    for name, one, other in product(_RESPONSES, _CHANGES, _CHANGES):
        both = Exchange(
            request_id=f"{name} {one} {other}",
            side=Side.PRIMARY,
            source="test",
            started_at=_START,
            method="GET",
            scheme="http",
            authority="shop.example",
            path=f"/{name}/{one}/{other}",
            status=200,
            is_grpc=is_grpc,
            duration_us=100,
            response=_RESPONSES[name],
        )
        recorded.append(("primary", _changed(both, _CHANGES[one]), False))
        recorded.append(("mirror", _changed(both, _CHANGES[other]), False))
    rows, limits = _rows(job, recorded), Limits(endpoints=10_000)
    assert _counted(job, rows, limits, by_columns=True) == _counted(job, rows, limits, by_columns=False)


def test_whole_answers_are_looked_at_only_where_columns_do_not_tell() -> None:
    def table(body: bytes, status: int) -> Any:
        exchange = Exchange(
            request_id="r",
            side=Side.PRIMARY,
            source="test",
            started_at=_START,
            method="GET",
            scheme="http",
            authority="shop.example",
            path="/",
            status=status,
            response=Part(body=body),
        )
        rows = condensed(pa.Table.from_batches([to_batch([exchange])]).select(COLUMNS), frozenset())
        return columns.joined([rows])

    primary = table(b"x", 200)
    found = [columns.alike(primary, table(body, status)) for body, status in ((b"x", 200), (b"y", 200), (b"x", 500))]
    assert [[bool(kind[0]) for kind in (*one, one.rest)] for one in found] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


@given(st.lists(st.integers(-5, 2**62)))
@example([*range(5_000), 2**40 - 1, 2**40, 2**40 + 1])
def test_buckets_of_many_times_are_those_of_each(values: list[int]) -> None:
    assert buckets_of(np.array(values, np.int64)).tolist() == [bucket_of(value) for value in values]
