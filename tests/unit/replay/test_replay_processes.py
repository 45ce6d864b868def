"""Replays in several processes: together they send what one replay sends, and end as one does."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingReader
from pulumi_traffic_mirror.operations.replay import (
    Pace,
    ReplayGuard,
    ReplayJob,
    ReplayReport,
    ReplayStatistics,
    Target,
    replay,
    replay_in_processes,
)
from tests.support.replayed import record, recorded_request
from tests.unit.replay.test_replay_choices import paths_served

pytestmark = pytest.mark.slow


def requests(count: int) -> list[Any]:
    return [
        recorded_request(
            number,
            request_id=f"{number:08x}-0000-4000-8000-{number:012x}",
            path=f"/{number}",
            request=Part(headers=(("x-session", f"s{number % 5}"),)),
        )
        for number in range(count)
    ]


def job_of(recording: str, url: str, **changes: Any) -> ReplayJob:
    return ReplayJob(recording=recording, target=Target(url=url), **{"pace": Pace(speed=1_000), **changes})


def counts(report: ReplayReport) -> tuple[Any, ...]:
    """What does not depend on time."""
    return (report.read, report.sent, report.completed, report.statuses, report.skipped, report.damage, report.holds)


def answered(result: Path) -> Counter[str]:
    return Counter(one.path for one in RecordingReader.open(str(result)).exchanges())


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize("session", [None, "x-session"])
async def test_processes_send_what_one_does(tmp_path: Path, session: str | None) -> None:
    recording = record(tmp_path, *requests(40), recorded_request(99, method="POST", request_id="post"))
    shown: list[int] = []
    async with paths_served() as (url, events):
        alone = await replay(job_of(recording, url, result=str(tmp_path / "one"), session_header=session))
        before = len(events)
        job = job_of(recording, url, result=str(tmp_path / "two"), session_header=session)
        both = await replay_in_processes(job, 2, on_progress=lambda now: shown.append(now.sent))
        sent = Counter(path for path in events[before:] if path.startswith("/"))
        with pytest.raises(ValidationError, match="holds files of a recording already"):
            await replay_in_processes(job, 2)
    assert counts(both) == counts(alone)
    assert sent == answered(tmp_path / "two") == answered(tmp_path / "one") == Counter(f"/{n}" for n in range(40))
    assert both.run_id == job.run_id
    assert (both.latency.max_ms or 0) > 0
    assert all(now <= 40 for now in shown)


@pytest.mark.asyncio
async def test_limits_are_those_of_all(tmp_path: Path) -> None:
    recording = record(tmp_path, *requests(40))
    async with paths_served() as (url, _):
        report = await replay_in_processes(job_of(recording, url, max_requests=11), 2)
        assert (report.sent, report.stopped_by) == (11, "limit")
        with pytest.raises(ValidationError) as refusal:
            await replay_in_processes(job_of(recording, url, max_in_flight=2), 3)
    assert refusal.value.field == "max_in_flight"


@pytest.mark.asyncio
async def test_what_was_sent_before_an_interruption_is_answered_and_kept(tmp_path: Path) -> None:
    recording = record(tmp_path, *requests(400))
    stop = asyncio.Event()
    async with paths_served() as (url, events):
        job = job_of(recording, url, pace=Pace(rate=40), result=str(tmp_path / "result"))
        running = asyncio.ensure_future(replay_in_processes(job, 2, stop=stop))
        await until(lambda: len([path for path in events if path.startswith("/")]) >= 10)
        stop.set()
        report = await running
    assert (report.stopped_by, report.holds) == ("interrupted", False)
    assert 10 <= report.sent == report.completed < 400


@pytest.mark.asyncio
async def test_processes_that_are_stopped_before_they_began_have_sent_nothing(tmp_path: Path) -> None:
    recording = record(tmp_path, *requests(4))
    stop = asyncio.Event()
    stop.set()
    async with paths_served() as (url, events):
        report = await replay_in_processes(job_of(recording, url), 2, stop=stop)
    assert (report.sent, report.stopped_by, events) == (0, "interrupted", [])


@pytest.mark.asyncio
async def test_a_process_that_is_killed_is_told_and_ends_the_others(tmp_path: Path) -> None:
    recording = record(tmp_path, *requests(400))
    async with paths_served() as (url, events):
        running = asyncio.ensure_future(replay_in_processes(job_of(recording, url, pace=Pace(rate=20)), 2))
        await until(lambda: events)
        multiprocessing.active_children()[0].kill()
        with pytest.raises(OperationError, match="before its part was done"):
            await running
    assert multiprocessing.active_children() == []


@pytest.mark.asyncio
async def test_a_process_that_is_killed_while_all_end_is_told(tmp_path: Path) -> None:
    recording = record(tmp_path, *requests(400))
    stop = asyncio.Event()
    async with paths_served() as (url, events):
        running = asyncio.ensure_future(replay_in_processes(job_of(recording, url, pace=Pace(rate=20)), 2, stop=stop))
        await until(lambda: events)
        multiprocessing.active_children()[0].kill()
        stop.set()
        with pytest.raises(OperationError, match="before its part was done"):
            await running


@pytest.mark.asyncio
async def test_processes_that_are_interrupted_while_they_start_end_as_others_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recording = record(tmp_path, *requests(400))
    async with paths_served() as (url, _):
        running = asyncio.ensure_future(replay_in_processes(job_of(recording, url, pace=Pace(rate=20)), 2))
        await until(lambda: len(multiprocessing.active_children()) == 2)
        for process in multiprocessing.active_children():
            assert process.pid
            os.kill(process.pid, signal.SIGINT)
        assert (await running).stopped_by == "interrupted"
    assert capfd.readouterr().err == ""


class BrokenGuard(ReplayGuard):
    def refuse(self, exchange: Exchange) -> NoReturn:
        raise RuntimeError(f"cannot tell of {exchange.method}")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guard": BrokenGuard()}, r"with RuntimeError: cannot tell of GET"),
        ({"result": "file"}, r"file/in/shard=00\d'"),
    ],
)
async def test_what_fails_in_a_process_is_told_in_its_words_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "file").touch()
    if "result" in changes:
        changes = {"result": str(tmp_path / "file" / "in")}
    with pytest.raises(OperationError, match=said):
        await replay_in_processes(job_of(record(tmp_path, *requests(4)), "http://127.0.0.1:1", **changes), 2)
    assert capfd.readouterr().err == ""


def test_statistics_add_up() -> None:
    one, other = ReplayStatistics(), ReplayStatistics()
    for late in (0.001, 0.002):
        one.started(late_seconds=late)
    other.started(late_seconds=0.5)
    other.failures["connection"] += 1
    one.merge(other)
    assert (one.sent, one.failures, one.lateness.max_ms) == (3, Counter({"connection": 1}), 500.0)


def test_the_command_adds_up_what_its_processes_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = record(tmp_path, *requests(10))
    arguments = ["replay", recording, "http://127.0.0.1:1", "--dry-run", "--json"]
    assert main([*arguments, "--processes", "2"]) == 0
    assert json.loads(capsys.readouterr().out)["sent"] == 10
    assert main([*arguments, "--processes", "2", "--shards", "2", "--shard", "0"]) == 2
    assert "--processes" in capsys.readouterr().err
    assert main([*arguments, "--processes", "3", "--max-in-flight", "2"]) == 2
    assert "--max-in-flight = 2: must be from 3" in capsys.readouterr().err
