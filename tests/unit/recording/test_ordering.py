"""A recording is read in the order of its starts, in bounded memory."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    RollLimits,
    Side,
)
from pulumi_traffic_mirror.operations.recording.ordering import OrderedReader

_START = datetime(2026, 1, 2, tzinfo=UTC)


def _exchange(start: int) -> Exchange:
    return Exchange(
        request_id=str(start),
        side=Side.PRIMARY,
        source="s",
        started_at=_START + timedelta(milliseconds=start),
        method="GET",
        scheme="http",
        authority="a",
        path="/",
        request=Part(body=bytes(1_000)),
    )


def _record(directory: Path, files: list[list[int]], *, row_group_bytes: int = 1_500) -> RecordingReader:
    for number, starts in enumerate(files):
        limits = RollLimits(row_group_bytes=row_group_bytes)
        writer = RecordingWriter(
            RecordingStore.open(str(directory)), instance=f"w{number}", limits=limits, now=lambda: _START
        )
        for start in starts:
            writer.write([_exchange(start)])
        writer.close()
    return RecordingReader.open(str(directory))


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=12), min_size=1, max_size=3))
@settings(max_examples=20)
def test_files_that_overlap_are_merged(tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]) -> None:
    ordered = OrderedReader(_record(tmp_path_factory.mktemp("recording"), files))
    assert [int(e.request_id) for e in ordered.exchanges()] == sorted(start for starts in files for start in starts)
    assert ordered.out_of_order == 0


def test_only_row_groups_that_overlap_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = _record(tmp_path, [list(range(40))])
    opened: list[int] = []
    real = RecordingReader.read

    def read(self: RecordingReader, group: object, **columns: object) -> object:
        opened.append(1)
        return real(self, group, **columns)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordingReader, "read", read)
    exchanges = OrderedReader(reader).exchanges()
    next(exchanges)
    assert len(opened) <= 2
    assert len(list(exchanges)) == 39


def test_the_order_is_given_up_before_the_memory(tmp_path: Path) -> None:
    # Every row group has one early exchange, so all of them would have to be open at once.
    files = [[0, 100 + n] for n in range(10)]
    reader = _record(tmp_path, files, row_group_bytes=10_000)
    size = max(group.bytes for group in reader.row_groups())
    ordered = OrderedReader(reader, max_open_bytes=3 * size)
    assert sorted(int(e.request_id) for e in ordered.exchanges()) == sorted(s for starts in files for s in starts)
    assert ordered.out_of_order > 0


def test_damage_is_skipped(tmp_path: Path) -> None:
    reader = _record(tmp_path, [[1, 2], [3]])
    Path(reader.store.files()[0].path).write_bytes(b"PAR1")
    assert [e.request_id for e in OrderedReader(reader).exchanges()] == ["3"]
    assert len(reader.damage) == 1
