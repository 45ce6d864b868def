"""Replays in parts: together they send what one replay sends, no faster, and a part that is ended changes nothing."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.recording import Part, RecordingReader, RecordingStore
from pulumi_traffic_mirror.operations.recording.arrow import pa
from pulumi_traffic_mirror.operations.recording.buckets import Shard, pair_key, pair_keys
from pulumi_traffic_mirror.operations.recording.compacting import compact
from pulumi_traffic_mirror.operations.recording.schema import from_batch
from pulumi_traffic_mirror.operations.replay import Pace, ReplayJob, ReplayReport, Target, replay
from pulumi_traffic_mirror.operations.replay.pace import schedule
from pulumi_traffic_mirror.operations.replay.sharding import read_part, share_of
from tests.support.replayed import START, record, recorded_request
from tests.unit.replay.test_replay_choices import paths_served


def _requests(count: int) -> list[Any]:
    return [
        recorded_request(
            number,
            request_id=f"{number:08x}-0000-4000-8000-{number:012x}",
            path=f"/{number}",
            request=Part(headers=(("x-session", f"s{number % 5}"),)),
        )
        for number in range(count)
    ]


def _job(recording: str, url: str, result: Path, number: int, **changes: Any) -> ReplayJob:
    values: dict[str, Any] = {"pace": Pace(speed=1_000), "shard": Shard(number=number, of=3), "result": str(result)}
    return ReplayJob(recording=recording, target=Target(url=url), **{**values, **changes})


def _answered(result: Path) -> Counter[str]:
    return Counter(one.path for one in RecordingReader.open(str(result)).exchanges())


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("session", [None, "x-session"])
async def test_parts_send_everything_once_and_keep_sessions_together(tmp_path: Path, session: str | None) -> None:
    recording = record(tmp_path, *_requests(30))
    sent: list[set[str]] = []
    async with paths_served() as (url, events):
        for number in range(3):
            before = len(events)
            report = await replay(_job(recording, url, tmp_path / "result", number, session_header=session))
            assert report.sent == report.read == report.completed
            sent.append({path for path in events[before:] if path.startswith("/")})
    assert set.union(*sent) == {f"/{number}" for number in range(30)}
    assert sum(map(len, sent)) == 30
    if session:
        sessions = [{int(path[1:]) % 5 for path in part} for part in sent]
        assert sum(map(len, sessions)) == 5
    assert _answered(tmp_path / "result") == Counter(f"/{number}" for number in range(30))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_part_that_was_ended_begins_anew_and_one_that_is_done_is_left(tmp_path: Path) -> None:
    recording = record(tmp_path, *_requests(30))
    result = tmp_path / "result"
    async with paths_served() as (url, events):
        stop = asyncio.Event()
        slow = _job(recording, url, result, 1, pace=Pace(rate=30))
        asyncio.get_running_loop().call_later(0.5, stop.set)
        assert (await replay(slow, stop=stop)).stopped_by == "interrupted"
        with pytest.raises(ValidationError, match="holds no finished recording"):
            RecordingReader.open(str(result))
        # What one leaves that is killed while it writes.
        (result / "_shard=001").mkdir(parents=True, exist_ok=True)
        (result / "_shard=001" / "_x.parquet.unfinished").touch()
        whole = await replay(_job(recording, url, result, 1))
        sent = len(events)
        again = await replay(_job(recording, url, result, 1))
        assert (again, len(events)) == (whole, sent)
    answered = _answered(result)
    assert set(answered.values()) == {1}
    assert len(answered) == whole.sent
    assert sorted(one.name for one in result.iterdir()) == ["_shards", "shard=001"]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_foreign_answers_and_notes_are_refused(tmp_path: Path) -> None:
    recording = record(tmp_path, *_requests(3))
    with pytest.raises(ValidationError, match="holds files of a recording already"):
        await replay(_job(recording, "http://127.0.0.1:1", Path(recording), 0))
    note = tmp_path / "result" / "_shards" / "000-of-003.json"
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    with pytest.raises(ValidationError, match="does not read"):
        await replay(_job(recording, "http://127.0.0.1:1", tmp_path / "result", 0))


@pytest.mark.parametrize("in_buckets", [False, True])
def test_a_part_makes_objects_of_its_own_requests_alone_and_reads_its_own_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_buckets: bool
) -> None:
    recording = record(tmp_path, *_requests(30))
    if in_buckets:
        compact(RecordingReader.open(recording), RecordingStore.open(str(tmp_path / "cut")), buckets=4)
        recording = str(tmp_path / "cut")
    made: list[str] = []
    monkeypatch.setattr(
        "pulumi_traffic_mirror.operations.recording.ordering.from_batch",
        lambda batch: made.extend(batch.column("request_id").to_pylist()) or from_batch(batch),
    )
    files: list[str] = []
    table = RecordingReader.table
    monkeypatch.setattr(
        RecordingReader,
        "table",
        lambda self, group, **more: files.append(group.file.path) or table(self, group, **more),
    )
    parts: list[list[str]] = []
    for number in range(3):
        part = list(read_part(RecordingReader.open(recording), Shard(number=number, of=3)).exchanges())
        assert [one.started_at for one in part] == sorted(one.started_at for one in part)
        parts.append([one.request_id for one in part])
    assert all(parts)
    assert made == [one for part in parts for one in part]
    assert sorted(made) == sorted(one.request_id for one in _requests(30))
    assert len(files) == (len(set(files)) if in_buckets else 3 * len(set(files)))


def test_rates_and_limits_are_those_of_all_parts_together() -> None:
    shards = [Shard(number=number, of=3) for number in range(3)]
    assert [share_of(10, shard) for shard in shards] == [4, 3, 3]
    moments: list[float] = []
    for shard in shards:
        due = schedule(Pace(rate=30), shard=shard)
        moments += [due(START) for _ in range(10)]
    assert sorted(moments) == pytest.approx([number / 30 for number in range(30)])
    due = schedule(Pace(max_rate=30), shard=shards[0])
    assert [due(START) for _ in range(3)] == pytest.approx([0, 0.1, 0.2])
    due = schedule(Pace(speed=2), shard=shards[2], origin=START)
    assert due(START + timedelta(seconds=8)) == 4


@pytest.mark.asyncio
async def test_limits_hold_for_the_sum(tmp_path: Path) -> None:
    recording = record(tmp_path, *_requests(30))
    reports: list[ReplayReport] = []
    for number in range(3):
        job = replace(_job(recording, "http://127.0.0.1:1", tmp_path / "result", number), max_requests=4)
        reports.append(await replay(job, dry_run=True))
    assert [report.sent for report in reports] == [2, 1, 1]
    with pytest.raises(ValidationError, match="max_in_flight"):
        _job(recording, "http://127.0.0.1:1", tmp_path, 0, max_in_flight=2)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_all_parts_begin_at_one_moment(tmp_path: Path) -> None:
    recording = record(tmp_path, *_requests(30))
    begin = datetime.now(UTC) + timedelta(seconds=1.5)
    async with paths_served() as (url, _):
        await asyncio.gather(
            *(replay(_job(recording, url, tmp_path / "result", number, begin=begin)) for number in range(3))
        )
    starts = [one.started_at for one in RecordingReader.open(str(tmp_path / "result")).exchanges()]
    assert min(starts) >= begin - timedelta(milliseconds=5)


def test_one_identifier_is_read_as_many_are() -> None:
    ids = ["", "abc", "01234567-89ab-9def-8000-0123456789ab", "01234567-89ab-4def-8000-0123456789ab", "b" * 36]
    assert [pair_key(one) for one in ids] == pair_keys(pa.array(ids)).to_pylist()
    assert pair_key(ids[2]) == pair_key(ids[3])


def test_the_command_needs_to_know_which_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["replay", record(tmp_path, *_requests(30)), "http://127.0.0.1:1", "--dry-run", "--shards", "3"]
    assert main(words) == 2
    assert "JOB_COMPLETION_INDEX" in capsys.readouterr().err
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    assert main(words) == 0
    assert main([*words, "--begin", "tomorrow"]) == 2
    assert main([*words, "--begin", "2026-01-31T12:00:00"]) == 2
    assert "time zone" in capsys.readouterr().err
