"""What is written can be read again, and what is damaged is skipped and counted, never guessed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.credentials import without_credentials
from pulumi_traffic_mirror.operations.recording import (
    Ending,
    Exchange,
    Message,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    RollLimits,
    Side,
)
from pulumi_traffic_mirror.operations.recording.schema import SCHEMA, from_batch, to_batch
from pulumi_traffic_mirror.operations.recording.writing import COUNTERS_KEY

_START = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def _exchange(number: int = 0, *, body: bytes = b"body") -> Exchange:
    return Exchange(
        request_id=f"id-{number}",
        side=Side.PRIMARY,
        source="gateway",
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path="/",
        status=200,
        response=Part(headers=(("server", "x"),), body=body, body_size=len(body)),
    )


def _write(directory: Path, exchanges: list[Exchange], *, limits: RollLimits | None = None) -> list[Path]:
    writer = RecordingWriter(RecordingStore.open(str(directory)), instance="t", limits=limits, now=lambda: _START)
    writer.write(exchanges)
    writer.close()
    return sorted(directory.rglob("*.parquet"))


_LATIN = st.text(st.characters(max_codepoint=255), max_size=8)
_HEADERS = st.lists(st.tuples(_LATIN, _LATIN), max_size=3).map(tuple)
_MESSAGES = st.lists(
    st.builds(
        Message,
        offset_us=st.integers(0, 2**40),
        size=st.integers(0, 2**40),
        data=st.binary(max_size=8),
        compressed=st.booleans(),
        truncated=st.booleans(),
    ),
    max_size=3,
).map(tuple)
_PART = st.builds(
    Part,
    headers=_HEADERS,
    body=st.none() | st.binary(max_size=8),
    body_size=st.integers(0, 2**40),
    truncated=st.booleans(),
    messages=_MESSAGES,
    trailers=_HEADERS,
)
_OPTIONAL = st.none() | st.integers(0, 999)
_EXCHANGE = st.builds(
    Exchange,
    request_id=_LATIN,
    side=st.sampled_from(Side),
    source=_LATIN,
    started_at=st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    method=_LATIN,
    scheme=_LATIN,
    authority=_LATIN,
    path=_LATIN,
    status=_OPTIONAL,
    grpc_status=_OPTIONAL,
    is_grpc=st.booleans(),
    first_byte_us=_OPTIONAL,
    duration_us=_OPTIONAL,
    ending=st.sampled_from(Ending),
    redactions=st.integers(0, 100),
    request=_PART,
    response=_PART,
)


@given(st.lists(_EXCHANGE, max_size=5), st.integers(0, 5))
@settings(max_examples=50)
def test_a_batch_gives_back_the_same_exchanges_also_from_a_slice(exchanges: list[Exchange], skip: int) -> None:
    batch = to_batch(exchanges)
    assert batch.schema.equals(SCHEMA, check_metadata=True)
    assert list(from_batch(batch)) == exchanges
    assert list(from_batch(batch.slice(min(skip, len(exchanges))))) == exchanges[skip:]


@given(st.lists(_EXCHANGE, min_size=1, max_size=5))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_back_the_same_exchanges(
    tmp_path_factory: pytest.TempPathFactory, exchanges: list[Exchange]
) -> None:
    directory = tmp_path_factory.mktemp("recording")
    _write(directory, exchanges)
    reader = RecordingReader.open(str(directory))
    assert list(reader.exchanges()) == sorted(exchanges, key=lambda exchange: exchange.started_at)
    assert reader.damage == []


def test_rows_of_a_row_group_lie_in_the_order_of_their_starts(tmp_path: Path) -> None:
    _write(tmp_path, [_exchange(3), _exchange(1), _exchange(2)])
    assert [e.request_id for e in RecordingReader.open(str(tmp_path)).exchanges()] == ["id-1", "id-2", "id-3"]


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    store = RecordingStore.open(str(tmp_path))
    writer = RecordingWriter(store, instance="t", limits=RollLimits(row_group_bytes=1), now=lambda: _START)
    writer.write([_exchange()])
    assert store.files() == []
    assert len(store.unfinished()) == 1
    assert writer.rows_at_risk == 1
    writer.close()
    (file,) = store.files()
    assert store.relative(file.path) == "day=2026-01-02/20260102T030405.000678Z-t-000001.parquet"
    assert store.unfinished() == []
    assert writer.rows_at_risk == 0


def test_names_of_files_sort_by_age_in_every_year(tmp_path: Path) -> None:
    store = RecordingStore.open(str(tmp_path))
    for year in (2026, 999, 1):
        moment = datetime(year, 1, 2, tzinfo=UTC)
        writer = RecordingWriter(store, instance="t", now=lambda at=moment: at)
        writer.write([replace(_exchange(1), started_at=moment)])
        writer.close()
    names = [store.relative(file.path) for file in store.files()]
    assert names == [
        f"day={year}-01-02/{year}0102T000000.000000Z-t-000001.parquet" for year in ("0001", "0999", "2026")
    ]


def test_files_roll_by_size(tmp_path: Path) -> None:
    limits = RollLimits(max_bytes=3_000, row_group_bytes=1_000)
    files = _write(tmp_path, [_exchange(n, body=b"x" * 1_000) for n in range(7)], limits=limits)
    assert [pq.ParquetFile(file).metadata.num_rows for file in files] == [3, 3, 1]


def test_files_roll_by_time_also_without_new_traffic(tmp_path: Path) -> None:
    clock = [_START]
    store = RecordingStore.open(str(tmp_path))
    writer = RecordingWriter(store, instance="t", limits=RollLimits(max_seconds=60), now=lambda: clock[0])
    writer.write([_exchange()])
    clock[0] += timedelta(seconds=59)
    writer.roll_if_due()
    assert store.files() == []
    clock[0] += timedelta(seconds=1)
    writer.roll_if_due()
    assert len(store.files()) == 1
    writer.close()
    assert len(store.files()) == 1, "nothing came in, so there is nothing to finish"


def test_each_file_notes_what_was_counted_while_it_was_written(tmp_path: Path) -> None:
    counters = {"dropped": 5}
    store = RecordingStore.open(str(tmp_path))
    writer = RecordingWriter(store, instance="t", now=lambda: _START, counters=lambda: counters)
    for dropped in (7, 10):
        counters["dropped"] = dropped
        writer.write([_exchange()])
        writer.roll()
    noted = [json.loads(meta[COUNTERS_KEY.encode()]) for _, meta, _ in RecordingReader.open(str(tmp_path)).metadata()]
    assert noted == [{"dropped": 2}, {"dropped": 3}]


def test_a_failing_disk_drops_the_file_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordingStore.open(str(tmp_path))
    writer = RecordingWriter(store, instance="t", limits=RollLimits(row_group_bytes=1), now=lambda: _START)
    writer.write([_exchange(1)])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
        with pytest.raises(OSError, match="No space"):
            writer.write([_exchange(2)])
    assert store.unfinished() == []
    writer.write([_exchange(3)])
    writer.close()
    assert [e.request_id for e in RecordingReader.open(str(tmp_path)).exchanges()] == ["id-3"]


def _three_row_groups(directory: Path) -> Path:
    limits = RollLimits(row_group_bytes=5_000)
    bodies = [bytes((i * j) % 251 for i in range(5_000)) for j in (3, 5, 7)]
    (file,) = _write(directory, [_exchange(n, body=body) for n, body in enumerate(bodies)], limits=limits)
    assert pq.ParquetFile(file).metadata.num_row_groups == 3
    return file


def _flip_middle_row_group(file: Path) -> None:
    column = pq.ParquetFile(file).metadata.row_group(1).column(SCHEMA.names.index("source"))
    content = bytearray(file.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    for position in range(start, start + column.total_compressed_size):
        content[position] ^= 0xFF
    file.write_bytes(content)


def _flip_one_bit_of_a_body(file: Path) -> None:
    names = [pq.ParquetFile(file).schema.column(i).path for i in range(len(pq.ParquetFile(file).schema))]
    column = pq.ParquetFile(file).metadata.row_group(1).column(names.index("response_body"))
    content = bytearray(file.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 20] ^= 0x01
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_flip_middle_row_group, _flip_one_bit_of_a_body])
def test_a_damaged_row_group_is_skipped_and_counted(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(_three_row_groups(tmp_path))
    reader = RecordingReader.open(str(tmp_path))
    assert [e.request_id for e in reader.exchanges()] == ["id-0", "id-2"]
    ((row_group, rows),) = [(d.row_group, d.rows) for d in reader.damage]
    assert (row_group, rows) == (1, 1)
    list(reader.exchanges())
    assert len(reader.damage) == 1, "reading again counts nothing twice"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("started_at", None, "1 of its rows have no started_at"),
        ("path", None, "1 of its rows have no path"),
        ("response_headers", None, "1 of its rows have no response_headers"),
        ("side", "sideways", "'sideways' is no side"),
        ("ending", "well", "'well' is no ending"),
        ("response_headers", [{"name": "a", "value": None}], "response_headers lack some of their values"),
        ("request_trailers", [None], "request_trailers lack some of their values"),
        ("request_messages", [{"offset_us": 0, "size": 1}], "request_messages lack some of their values"),
    ],
)
def test_rows_that_no_recorder_writes_are_damage(tmp_path: Path, column: str, value: object, reason: str) -> None:
    table = pa.Table.from_batches([to_batch([_exchange(0), _exchange(1)])])
    index = table.schema.get_field_index(column)
    values = [table.column(column)[0].as_py(), value]
    foreign = table.set_column(index, table.schema.field(index), pa.array(values, type=table.schema.field(index).type))
    pq.write_table(foreign, tmp_path / "foreign.parquet")
    _write(tmp_path / "more", [_exchange(9)])
    reader = RecordingReader.open(str(tmp_path))
    assert [e.request_id for e in reader.exchanges()] == ["id-9"]
    assert [damage.reason for damage in reader.damage] == [reason]


@pytest.mark.parametrize("column", ["request_id", "path", "response_headers"])
def test_text_that_is_none_is_damage(tmp_path: Path, column: str) -> None:
    table = pa.Table.from_batches([to_batch([_exchange(0)])])
    index = table.schema.get_field_index(column)
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    kind = table.schema.field(index).type
    if column == "response_headers":
        headers = pa.StructArray.from_arrays([text, text], fields=list(kind.value_type))
        text = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), headers, type=kind)
    foreign = table.set_column(index, table.schema.field(index), text)
    pq.write_table(foreign, tmp_path / "foreign.parquet")
    _write(tmp_path / "more", [_exchange(9)])
    reader = RecordingReader.open(str(tmp_path))
    assert [e.request_id for e in reader.exchanges()] == ["id-9"]
    assert len(reader.damage) == 1


def test_a_file_without_its_footer_is_skipped_and_counted(tmp_path: Path) -> None:
    file = _three_row_groups(tmp_path)
    file.write_bytes(file.read_bytes()[:-10])
    _write(tmp_path / "more", [_exchange(9)])
    reader = RecordingReader.open(str(tmp_path))
    assert [e.request_id for e in reader.exchanges()] == ["id-9"]
    assert [(d.row_group, d.rows) for d in reader.damage] == [(None, None)]


@pytest.mark.parametrize("version", [b"2", b"", None])
def test_another_schema_version_is_refused(tmp_path: Path, version: bytes | None) -> None:
    batch = to_batch([_exchange()])
    metadata = {} if version is None else {b"traffic_mirror.schema_version": version}
    pq.write_table(pa.Table.from_batches([batch]).replace_schema_metadata(metadata), tmp_path / "other.parquet")
    with pytest.raises(ValidationError, match="schema version must be 1"):
        list(RecordingReader.open(str(tmp_path)).exchanges())


@pytest.mark.parametrize("column", [b"grpc_status", b"offset_us"])
def test_a_file_whose_footer_names_other_columns_is_skipped_and_counted(tmp_path: Path, column: bytes) -> None:
    file = _three_row_groups(tmp_path)
    content = bytearray(file.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[content.index(column, footer)] ^= 1
    file.write_bytes(content)
    reader = RecordingReader.open(str(tmp_path))
    assert list(reader.exchanges()) == []
    assert [damage.reason for damage in reader.damage] == ["its columns are not those of a recording"]


def test_a_footer_that_makes_no_sense_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_range(*_: object) -> None:
        raise OverflowError("date value out of range")

    _three_row_groups(tmp_path)
    monkeypatch.setattr("pulumi_traffic_mirror.operations.recording.reading._groups_of", out_of_range)
    reader = RecordingReader.open(str(tmp_path))
    assert list(reader.exchanges()) == []
    assert [damage.reason for damage in reader.damage] == ["date value out of range"]


def test_an_empty_place_is_refused_and_unfinished_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.unfinished").touch()
    with pytest.raises(ValidationError, match=r"no finished recording \(1 unfinished"):
        RecordingReader.open(str(tmp_path))


def test_a_single_file_is_a_recording_too(tmp_path: Path) -> None:
    (file,) = _write(tmp_path, [_exchange()])
    assert [e.request_id for e in RecordingReader.open(str(file)).exchanges()] == ["id-0"]


def test_any_file_system_that_fsspec_knows_will_do() -> None:
    store = RecordingStore.open("memory://bucket/recordings")
    writer = RecordingWriter(store, instance="t", now=lambda: _START)
    writer.write([_exchange(), replace(_exchange(1), side=Side.MIRROR)])
    writer.close()
    reader = RecordingReader.open("memory://bucket/recordings")
    assert [e.side for e in reader.exchanges()] == [Side.PRIMARY, Side.MIRROR]


@pytest.mark.parametrize("url", ["", "  ", "nonsense://x", "s3://two words", "gs://", "s3:///x", "gs://[x", "gs:/x"])
def test_a_place_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="recording"):
        RecordingStore.open(url)


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("./gs:/x", "12:30/x", "at:12", "c:/x"):
        assert RecordingStore.open(name).root == (tmp_path / name).as_posix()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("recordings/a@b?c", "recordings/a@b?c"),
        ("s3://key:fake@bucket/prefix@x", "s3://(credentials)@bucket/prefix@x"),
        ("https://fake@shop.example", "https://(credentials)@shop.example"),
        ("abfss://container@account.example/prefix", "abfss://container@account.example/prefix"),
        ("abfss://account:fake@container/prefix", "abfss://(credentials)@container/prefix"),
        ("s3://bucket/prefix?secret_key=fake", "s3://bucket/prefix?(options)"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_an_error_shows_no_credentials() -> None:
    with pytest.raises(ValidationError) as refused:
        RecordingReader.open("memory://user:fake@nothing/here?token=fake")
    assert "fake" not in str(refused.value)


def test_the_footer_tells_when_the_exchanges_of_a_row_group_started(tmp_path: Path) -> None:
    _three_row_groups(tmp_path)
    starts = [(g.first_start, g.last_start) for g in RecordingReader.open(str(tmp_path)).row_groups()]
    assert starts == [(_START + timedelta(milliseconds=n),) * 2 for n in range(3)]


def test_the_oldest_files_make_room_those_of_dead_writers_too(tmp_path: Path) -> None:
    dead = tmp_path / "day=2026-01-01" / "20260101T000000.000000Z-dead-000001.parquet.unfinished"
    dead.parent.mkdir()
    dead.write_bytes(b"x" * 100)
    size = _write(tmp_path / "one", [_exchange()])[0].stat().st_size
    store = RecordingStore.open(str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    dead.rename(tmp_path / "kept" / dead.name)
    limits = RollLimits(keep_bytes=2 * size + size // 2)
    writer = RecordingWriter(store, instance="t", limits=limits, now=lambda: _START)
    for number in range(4):
        writer.write([_exchange(number)])
        writer.roll()
    writer.close()
    assert [e.request_id for e in RecordingReader.open(store.url).exchanges()] == ["id-2", "id-3"]
    assert store.unfinished() == []


@pytest.mark.slow
def test_recordings_are_read_where_the_machine_has_no_time_zones(tmp_path: Path) -> None:
    writer = RecordingWriter(RecordingStore.open(str(tmp_path)), instance="test")
    writer.write([_exchange()])
    writer.close()
    code = (
        "import sys; from pulumi_traffic_mirror.operations.recording import RecordingReader; "
        "reader = RecordingReader.open(sys.argv[1]); print(len(list(reader.exchanges())), reader.damage)"
    )
    # As in an image without /usr/share/zoneinfo.
    environment = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 []\n"


def test_a_file_is_there_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    _write(folder, [_exchange(0)])
    _write(tmp_path / "elsewhere", [_exchange(1)])
    for name, place in {
        "circle": folder,
        "other": tmp_path / "elsewhere",
        "again": tmp_path / "elsewhere",
        "itself": folder / "itself",
        "dead.parquet": folder / "nowhere",
        "loop.parquet": folder / "loop.parquet",
    }.items():
        (folder / name).symlink_to(place)
    (day,) = (each for each in folder.iterdir() if each.name.startswith("day="))
    (day / "up").symlink_to(folder)
    (file,) = day.glob("*.parquet")
    (day / "a-link.parquet").symlink_to(file)
    os.mkfifo(folder / "pipe.parquet")
    reader = RecordingReader.open(str(folder))
    assert sorted(one.request_id for one in reader.exchanges()) == ["id-0", "id-1"]
    assert reader.damage == []
    assert file.name in {Path(each.path).name for each in reader.store.files()}


def test_a_file_in_the_place_of_a_folder_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert not RecordingStore.open(str(tmp_path / "file")).is_empty
    assert RecordingStore.open(str(tmp_path / "nothing")).is_empty
