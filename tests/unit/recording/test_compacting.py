"""Recordings in buckets: the same rows, all sides of a request together, and nothing missing unnoticed."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.dataset as ds
import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff import diff
from pulumi_traffic_mirror.operations.diff.run import count
from pulumi_traffic_mirror.operations.recording import (
    Exchange,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    RollLimits,
)
from pulumi_traffic_mirror.operations.recording.buckets import Shard
from pulumi_traffic_mirror.operations.recording.compacting import Compacted, compact
from pulumi_traffic_mirror.operations.recording.summary import recording_stats
from tests.unit.diff.corpora import ROLES, exchanges, job_of, record


def _compact(source: Path, target: Path, buckets: int | None = None) -> Compacted:
    limits = RollLimits(row_group_bytes=8_192, max_bytes=65_536)
    return compact(RecordingReader.open(str(source)), RecordingStore.open(str(target)), buckets=buckets, limits=limits)


def _rows(folder: Path) -> list[Exchange]:
    return sorted(RecordingReader.open(str(folder)).exchanges(), key=repr)


def test_rows_are_the_same_and_all_sides_of_a_request_lie_together(tmp_path: Path) -> None:
    record(tmp_path, 100)
    both = tmp_path / "both"
    writer = RecordingWriter(RecordingStore.open(str(both)), instance="test", counters=lambda: {})
    for role in ("primary", "mirror"):
        # The mirror's gateway decides anew on tracing and notes it in the identifier.
        noted = {"primary": "4", "mirror": "9"}[role]
        writer.write(
            [
                replace(one, request_id=f"{one.request_id[:14]}{noted}{one.request_id[15:]}")
                for one in exchanges(role, 100)
            ]
        )
    writer.close()
    done = _compact(both, tmp_path / "there", 8)
    assert (done.rows, done.buckets, done.damage) == (200, 8, ())
    assert _rows(tmp_path / "there") == _rows(both)
    places: dict[str, set[str]] = defaultdict(set)
    for file in (tmp_path / "there").rglob("*.parquet"):
        starts = [one.started_at for one in RecordingReader.open(str(file)).exchanges()]
        assert starts == sorted(starts)
        for one in RecordingReader.open(str(file)).exchanges():
            places[one.request_id[15:]].add(file.parent.name)
            assert file.parent.parent.name == f"day={one.started_at:%Y-%m-%d}"
    assert {len(found) for found in places.values()} == {1}
    assert len({next(iter(found)) for found in places.values()}) == 8


def test_engines_read_the_parts_of_the_path_as_columns(tmp_path: Path) -> None:
    record(tmp_path, 60)
    _compact(tmp_path / "primary", tmp_path / "there", 4)
    table = ds.dataset(tmp_path / "there", partitioning="hive").to_table(columns=["request_id", "bucket", "day"])
    assert table.num_rows == 60
    assert set(table.column("bucket").to_pylist()) == {0, 1, 2, 3}
    query = "SELECT count(*), count(DISTINCT bucket), min(day)::text FROM read_parquet(?, hive_partitioning=true)"
    found = duckdb.connect().execute(query, [f"{tmp_path}/there/**/*.parquet"]).fetchone()
    assert found == (60, 4, "2026-01-31")


def test_buckets_change_nothing_in_a_comparison_and_shards_read_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = count(job_of(record(tmp_path, 200)))
    # Different numbers of buckets have the smaller one in common.
    for role, buckets in zip(ROLES, (4, 16, 8), strict=True):
        _compact(tmp_path / role, tmp_path / "cut" / role, buckets)
    job = job_of(tmp_path / "cut")
    assert count(job).to_bytes() == whole.to_bytes()
    read: list[str] = []
    table = RecordingReader.table
    monkeypatch.setattr(
        RecordingReader, "table", lambda self, group, **more: read.append(group.file.path) or table(self, group, **more)
    )
    parts = [count(job, shard=Shard(number=number, of=3)) for number in range(3)]
    assert len(set(read)) == len(list((tmp_path / "cut").rglob("*.parquet")))
    assert all(read.count(path) == len(list(RecordingReader.open(path).row_groups())) for path in set(read))
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert parts[0].to_bytes() == whole.to_bytes()


def test_large_buckets_are_cut_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = count(job_of(record(tmp_path, 100)))
    for role in ROLES:
        _compact(tmp_path / role, tmp_path / "cut" / role, 2)
    monkeypatch.setattr("pulumi_traffic_mirror.operations.diff.corpus._CUT_BYTES", 100)
    monkeypatch.setattr("pulumi_traffic_mirror.operations.diff.corpus.PARTITION_BYTES", 4_000)
    job = job_of(tmp_path / "cut")
    parts = [count(job, shard=Shard(number=number, of=2)) for number in range(2)]
    assert all(part.counts.paired for part in parts)
    parts[0].merge(parts[1])
    assert parts[0].to_bytes() == whole.to_bytes()


def test_a_bucket_that_is_missing_is_damage(tmp_path: Path) -> None:
    record(tmp_path, 100)
    for role in ROLES:
        _compact(tmp_path / role, tmp_path / "cut" / role, 4)
    gone = next((tmp_path / "cut" / "mirror").rglob("bucket=002/*.parquet"))
    gone.unlink()
    result = diff(job_of(tmp_path / "cut"))
    assert [(one.file, one.reason) for one in result.damage] == [
        (str(gone.relative_to(tmp_path / "cut" / "mirror")), "the file is missing")
    ]
    assert result.exit_code == 1
    assert recording_stats(RecordingReader.open(str(tmp_path / "cut" / "mirror"))).damage


def test_what_was_not_brought_to_its_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, 30)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pulumi_traffic_mirror.operations.recording.compacting.write_layout", fail)
    with pytest.raises(OSError, match="disk full"):
        _compact(tmp_path / "primary", tmp_path / "there", 4)
    with pytest.raises(ValidationError, match="not brought into buckets to its end"):
        RecordingReader.open(str(tmp_path / "there"))


def test_foreign_files_in_buckets_are_refused(tmp_path: Path) -> None:
    record(tmp_path, 30)
    _compact(tmp_path / "primary", tmp_path / "there", 4)
    stray = next((tmp_path / "mirror").rglob("*.parquet"))
    (tmp_path / "there" / stray.name).write_bytes(stray.read_bytes())
    with pytest.raises(ValidationError, match="is none of their files"):
        RecordingReader.open(str(tmp_path / "there"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2, "buckets": 4, "files": []}', '{"version": 1}'])
def test_a_layout_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    record(tmp_path, 5)
    (tmp_path / "primary" / "_layout.json").write_text(content)
    with pytest.raises(ValidationError, match=r"_layout\.json that this release does not read"):
        RecordingReader.open(str(tmp_path / "primary"))


@pytest.mark.parametrize("buckets", [0, 3, 1024, -4])
def test_numbers_that_do_not_nest_are_refused(tmp_path: Path, buckets: int) -> None:
    record(tmp_path, 5)
    with pytest.raises(ValidationError, match="power of two"):
        _compact(tmp_path / "primary", tmp_path / "there", buckets)
    assert not (tmp_path / "there").exists()


def test_damage_unfinished_files_and_what_the_recorder_counted_go_along(tmp_path: Path) -> None:
    dropped = [0]

    def counters() -> dict[str, int]:
        return {"dropped_overload": dropped[0]}

    writer = RecordingWriter(RecordingStore.open(str(tmp_path / "one")), instance="test", counters=counters)
    dropped[0] = 3
    writer.write(list(exchanges("primary", 10)))
    writer.close()
    day = next((tmp_path / "one").iterdir())
    (day / "_later.parquet.unfinished").write_bytes(b"PAR1")
    (day / "20990101.parquet").write_bytes(b"no parquet")
    done = _compact(tmp_path / "one", tmp_path / "there")
    assert (done.rows, done.unfinished, len(done.damage)) == (10, 1, 1)
    assert recording_stats(RecordingReader.open(str(tmp_path / "there"))).counters == {"dropped_overload": 3}
    assert all(file.stat().st_mode & 0o77 == 0 for file in (tmp_path / "there").rglob("*"))


def test_a_recording_that_is_there_is_not_mixed_with(tmp_path: Path) -> None:
    record(tmp_path, 5)
    with pytest.raises(ValidationError, match="holds files of a recording already"):
        _compact(tmp_path / "primary", tmp_path / "mirror")


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, 20)
    source, target = str(tmp_path / "primary"), str(tmp_path / "there")
    assert main(["recordings", "compact", source, target, "--buckets", "4"]) == 0
    assert "20 exchanges in 4 buckets, 4 files" in capsys.readouterr().out
    assert main(["recordings", "compact", source, target]) == 2
    assert "TARGET" in capsys.readouterr().err
    assert main(["diff", source, "--mirror", str(tmp_path / "mirror"), "--processes", "0"]) == 2
    assert "--processes" in capsys.readouterr().err
