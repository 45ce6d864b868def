"""Listing and totals say what is there, what was dropped, and what is damaged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import (
    Ending,
    Exchange,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST
from pulumi_traffic_mirror.operations.recording.endpoints import OTHER, Groups, endpoint_of, without_identifiers
from pulumi_traffic_mirror.operations.recording.quantiles import Quantiles
from pulumi_traffic_mirror.operations.recording.summary import (
    find_exchanges,
    list_files,
    recording_stats,
)

_START = datetime(2026, 1, 2, tzinfo=UTC)


def _exchange(number: int, *, side: Side = Side.PRIMARY, status: int | None = 200) -> Exchange:
    return Exchange(
        request_id=f"id-{number}",
        side=side,
        source="s",
        started_at=_START + timedelta(seconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path=f"/things/{number}?q=1",
        status=status,
        duration_us=1000 * (number + 1),
        ending=Ending.COMPLETE if status else Ending.RESET,
        redactions=1,
        response=Part(body=b"ok", body_size=2, truncated=number == 0),
    )


def _record(directory: Path, *files: list[Exchange]) -> RecordingReader:
    dropped = {"dropped_queue": 0, "recorded": 0}
    writer = RecordingWriter(
        RecordingStore.open(str(directory)), instance="t", now=lambda: _START, counters=lambda: dropped
    )
    for exchanges in files:
        dropped["dropped_queue"] += 2
        writer.write(exchanges)
        writer.roll()
    return RecordingReader.open(str(directory))


def test_files_are_listed_with_their_span_and_drops(tmp_path: Path) -> None:
    listing = list_files(_record(tmp_path, [_exchange(2), _exchange(1)], [_exchange(5)]))
    assert [(f.rows, f.dropped) for f in listing.files] == [(2, 2), (1, 2)]
    first = listing.files[0]
    assert (first.first_start, first.last_start) == (_START + timedelta(seconds=1), _START + timedelta(seconds=2))
    assert listing.unfinished == listing.damage == ()


def test_a_damaged_file_is_listed_as_damage(tmp_path: Path) -> None:
    reader = _record(tmp_path, [_exchange(1)], [_exchange(2)])
    Path(reader.store.files()[0].path).write_bytes(b"PAR1 no more")
    listing = list_files(reader)
    assert [f.rows for f in listing.files] == [1]
    assert [d.row_group for d in listing.damage] == [None]


def test_totals_are_by_side_status_and_endpoint(tmp_path: Path) -> None:
    exchanges = [_exchange(n) for n in range(4)]
    exchanges += [_exchange(4, side=Side.MIRROR, status=503), _exchange(5, side=Side.MIRROR, status=None)]
    stats = recording_stats(_record(tmp_path, exchanges))
    assert (stats.exchanges, stats.by_side) == (6, {"primary": 4, "mirror": 2})
    assert stats.by_status == {"200": 4, "503": 1, "none": 1}
    assert stats.by_ending == {"complete": 5, "reset": 1}
    assert [(e.endpoint, e.side, e.exchanges, e.failures) for e in stats.endpoints] == [
        ("GET /things/{id}", Side.PRIMARY, 4, 0),
        ("GET /things/{id}", Side.MIRROR, 2, 2),
    ]
    assert stats.endpoints[0].p50_ms == pytest.approx(2, rel=0.02)
    assert (stats.body_bytes, stats.truncated, stats.redactions, stats.dropped) == (12, 1, 6, 2)
    assert (stats.first_start, stats.last_start) == (_START, _START + timedelta(seconds=5))


def test_lengths_that_only_headers_told_add_up(tmp_path: Path) -> None:
    huge = replace(_exchange(1), request=Part(body_size=LARGEST), response=Part(body_size=LARGEST))
    assert recording_stats(_record(tmp_path, [huge, huge])).body_bytes == 4 * LARGEST


def test_exchanges_are_found_by_their_conditions(tmp_path: Path) -> None:
    reader = _record(tmp_path, [_exchange(n, side=Side.MIRROR if n % 2 else Side.PRIMARY) for n in range(6)])
    assert [e.request_id for e in find_exchanges(reader, side=Side.MIRROR)] == ["id-1", "id-3", "id-5"]
    assert [e.request_id for e in find_exchanges(reader, request_id="id-4")] == ["id-4"]
    assert [e.request_id for e in find_exchanges(reader, path_contains="/5")] == ["id-5"]
    assert len(list(find_exchanges(reader, limit=2))) == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/17/orders?x=1", "GET /users/{id}/orders"),
        ("/u/6f0c3a1e-0000-4000-8000-000000000001", "GET /u/{id}"),
        ("/blob/0123456789abcdef0", "GET /blob/{id}"),
        ("/v1/status", "GET /v1/status"),
        ("/", "GET /"),
    ],
)
def test_identifiers_in_paths_make_no_endpoints(path: str, expected: str) -> None:
    assert endpoint_of("GET", path, is_grpc=False) == expected


_SEGMENTS = st.sampled_from(
    [
        "",
        "a",
        "17",
        "6f0c3a1e-0000-4000-8000-000000000001",
        "0123456789abcdef",
        "x" * 19 + "1",
        "{id}",
        "ä",
        "a\nb",
        "1a",
    ]
)


@given(st.lists(st.tuples(st.lists(_SEGMENTS, max_size=4), st.sampled_from(["", "?x=/17", "?\n"]), st.booleans())))
def test_counting_by_columns_makes_the_same_endpoints(paths: list[tuple[list[str], str, bool]]) -> None:
    texts = ["/" + "/".join(segments) + query for segments, query, _ in paths]
    flags = [is_grpc for *_, is_grpc in paths]
    table = pa.table({"path": pa.array(texts, pa.string()), "is_grpc": pa.array(flags, pa.bool_())})
    bare: list[str] = without_identifiers(table.column("path"), table.column("is_grpc")).to_pylist()
    for text, short, is_grpc in zip(texts, bare, flags, strict=True):
        assert endpoint_of("GET", short, is_grpc=is_grpc) == endpoint_of("GET", text, is_grpc=is_grpc)


def test_a_grpc_method_is_its_own_endpoint() -> None:
    assert endpoint_of("POST", "/a.B/C1", is_grpc=True) == "a.B/C1"


def test_too_many_groups_become_one() -> None:
    groups = Groups(2)
    assert [groups.admit(name) for name in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]
    assert groups.overflowed


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_to_one_per_cent(values: list[float], share: float) -> None:
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    assert quantiles.at(share) == pytest.approx(exact, rel=0.0101)
    assert quantiles.maximum == max(values)


def test_no_values_have_no_quantile() -> None:
    assert Quantiles().at(0.5) is None
