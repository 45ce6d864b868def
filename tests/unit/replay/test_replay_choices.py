"""Which requests are sent, under which paths, in which order within a session, and where answers may go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.recording import Part
from pulumi_traffic_mirror.operations.replay import Pace, ReplayGuard, ReplayJob, Skip, Target, replay
from pulumi_traffic_mirror.operations.replay.guard import Sightings
from tests.support.loopback_h2 import h2_service
from tests.support.loopback_service import serving
from tests.support.replayed import START, WAIVER, record, recorded_call, recorded_request, replayed, results_of


@asynccontextmanager
async def paths_served(delay: float = 0.0) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP service that notes when it gets a request and when it has answered it."""
    events: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            events.append(path)
            await asyncio.sleep(delay)
            events.append(f"answered {path}")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", events


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("source", "paths", "skipped"),
    [
        (None, ["/first", "/only-at-pod"], {Skip.SEEN_TWICE.value: 1}),
        ("gateway", ["/first"], {Skip.OTHER_SOURCE.value: 2}),
        ("pod", ["/again", "/only-at-pod"], {Skip.OTHER_SOURCE.value: 1}),
    ],
)
async def test_a_request_that_two_recorders_saw_is_sent_once(
    tmp_path: Path, source: str | None, paths: list[str], skipped: dict[str, int]
) -> None:
    recorded = [
        recorded_request(0, request_id="a", source="gateway", path="/first"),
        recorded_request(1, request_id="a", source="pod", path="/again"),
        recorded_request(2, request_id="b", source="pod", path="/only-at-pod"),
    ]
    async with paths_served() as (url, events):
        report = await replayed(record(tmp_path, *recorded), url, guard=ReplayGuard(source=source))
    assert [event for event in events if event.startswith("/")] == paths
    assert report.skipped == skipped


def test_one_recorder_that_sees_an_identifier_twice_saw_two_requests() -> None:
    sightings = Sightings(limit=2)
    assert not sightings.is_repeated(recorded_request(0, source="a"))
    assert not sightings.is_repeated(recorded_request(0, source="a"))
    assert sightings.is_repeated(recorded_request(0, source="b"))
    for number in (1, 2):
        assert not sightings.is_repeated(recorded_request(number, source="a"))
    assert not sightings.is_repeated(recorded_request(0, source="b")), "forgotten, so that memory is bounded"
    assert not any(sightings.is_repeated(recorded_request(9, request_id="", source=name)) for name in "ab")


@pytest.mark.parametrize(
    ("rewrites", "recorded", "sent"),
    [
        ({"/v1": "/v2"}, "/v1/a?x=/v1", "/v2/a?x=/v1"),
        ({"/v1": "/v2"}, "/v1?x", "/v2?x"),
        ({"/v1": "/v2"}, "/v10/a", "/v10/a"),
        ({"/v1/": "/"}, "/v1/a", "/a"),
        ({"/": "/api"}, "/a", "/api/a"),
        ({"/": "/api/"}, "/", "/api/"),
        ({"/a": "/x", "/a/b": "/y"}, "/a/b/c", "/y/c"),
        ({"/shop.v1.Shop": "/shop.v2.Shop"}, "/shop.v1.Shop/Get", "/shop.v2.Shop/Get"),
        ({}, "//a/../b?%2F", "//a/../b?%2F"),
    ],
)
def test_paths_are_rewritten_by_whole_segments_from_their_beginning(
    rewrites: dict[str, str], recorded: str, sent: str
) -> None:
    assert Target(url="http://a", rewrites=rewrites).path_of(recorded) == sent


@pytest.mark.parametrize("rewrites", [{"v1": "/v2"}, {"/v1": ""}, {"/v1": "/v2?x"}])
def test_a_rewrite_that_is_none_is_refused(rewrites: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="rewrites"):
        Target(url="http://a", rewrites=rewrites)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_rewritten_path_is_sent_and_its_answer_stands_under_the_recorded_one(tmp_path: Path) -> None:
    async def answer(_number: int, _headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")], True)]

    async with h2_service(answer) as (url, seen):
        target = Target(url=url, rewrites={"/test.Echo": "/test.v2.Echo"})
        _, (result,) = await results_of(tmp_path, [recorded_call("Ask", [b"a"])], target)
    assert (seen[0][":path"], result.path) == ("/test.v2.Echo/Ask", "/test.Echo/Ask")


def _of_session(number: int, session: str) -> Any:
    headers = (("x-session", session),) if session else ()
    return recorded_request(number, path=f"/{session}{number}", started_at=START, request=Part(headers=headers))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_requests_of_one_session_are_sent_one_after_another(tmp_path: Path) -> None:
    recorded = [_of_session(n, session) for n, session in enumerate(["a", "b", "a", "", "a", "b", ""])]
    async with paths_served(delay=0.05) as (url, events):
        report = await replayed(record(tmp_path, *recorded), url, session_header="x-session")
    assert (report.completed, report.without_session) == (7, 2)
    for session in ("a", "b"):
        own = [event for event in events if event.removeprefix("answered ").startswith(f"/{session}")]
        numbers = [n for n, each in enumerate(["a", "b", "a", "", "a", "b", ""]) if each == session]
        assert own == [text for n in numbers for text in (f"/{session}{n}", f"answered /{session}{n}")]
    assert events.index("/b1") < events.index("answered /a0"), "sessions do not wait for each other"
    assert events.index("/6") < events.index("/a2"), "what has no session waits for nobody"


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_redacted_value_is_no_session(tmp_path: Path) -> None:
    recorded = [_of_session(n, "[redacted]") for n in range(4)]
    async with paths_served(delay=0.05) as (url, events):
        report = await replayed(record(tmp_path, *recorded), url, session_header="x-session")
    assert report.without_session == report.sent == 4
    assert not any(event.startswith("answered") for event in events[:4])


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_stop_ends_sessions_whose_requests_wait(tmp_path: Path) -> None:
    stop = asyncio.Event()
    recorded = [_of_session(n, "a") for n in range(50)]
    async with paths_served(delay=0.05) as (url, events):
        job = ReplayJob(recording=record(tmp_path, *recorded), target=Target(url=url), session_header="x-session")
        running = asyncio.ensure_future(replay(job, stop=stop))
        async with asyncio.timeout(20):
            while not events:
                await asyncio.sleep(0.005)
            stop.set()
            report = await running
    assert report.sent == report.completed == len(events) / 2 < 50


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("dry_run", [False, True])
async def test_answers_are_not_mixed_with_those_of_another_replay(tmp_path: Path, dry_run: bool) -> None:
    recording = record(tmp_path, recorded_request())
    async with paths_served() as (url, events):
        await replayed(recording, url, result=str(tmp_path / "result"))
        with pytest.raises(ValidationError, match="holds files of a recording already"):
            await replayed(recording, url, result=str(tmp_path / "result"), dry_run=dry_run)
        (file,) = (tmp_path / "result").rglob("*.parquet")
        file.rename(file.with_name(f"_{file.name}.unfinished"))
        with pytest.raises(ValidationError, match="result"):
            await replayed(recording, url, result=str(tmp_path / "result"), guard=ReplayGuard(waiver=WAIVER))
        with pytest.raises(ValidationError, match="result"):
            await replayed(recording, url, result=recording, pace=Pace(rate=10))
    assert len(events) == 2
