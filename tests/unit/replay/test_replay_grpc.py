"""gRPC calls sent again: what the server said, and nothing that it did not say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from pulumi_traffic_mirror.operations.recording import Ending, Exchange, Message, Part, RecordingReader
from pulumi_traffic_mirror.operations.replay import Pace, ReplayGuard, ReplayJob, Target, replay
from tests.support.loopback_h2 import h2_service
from tests.support.replayed import WAIVER, record, recorded_call, recorded_request, replayed, results_of, unary_service

pytestmark = pytest.mark.slow


@asynccontextmanager
async def _echo(**options: Any) -> AsyncIterator[tuple[str, list[Any]]]:
    """A gRPC service: Echo doubles each message; Refuse ends with NOT_FOUND; Hang never answers."""
    seen: list[Any] = []

    async def echo(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        seen.append(dict(context.invocation_metadata()))
        async for message in messages:
            yield message * 2
        context.set_trailing_metadata((("x-sum", "1"),))

    async def refuse(_messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.NOT_FOUND, "100% gone: ä", (("x-why-bin", b"\0\1\2\xff"),))
        yield b""

    async def hang(_messages: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    make: Any = grpc.stream_stream_rpc_method_handler
    server = grpc.aio.server()
    handlers = {"Echo": make(echo), "Refuse": make(refuse), "Hang": make(hang)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        await server.stop(0)


def _call(number: int = 0, *, method: str = "Ask", headers: tuple[tuple[str, str], ...] = ()) -> Exchange:
    call = recorded_call(method, [b"a"])
    request = replace(call.request, headers=(*call.request.headers, *headers))
    return replace(call, request_id=f"id-{number}", request=request)


@pytest.mark.asyncio
@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_grpc_stream_is_replayed_message_by_message(tmp_path: Path, coding: str) -> None:
    recording = record(tmp_path, recorded_call("Echo", [b"a", b"", b"ccc"], coding=coding, gap_us=20_000))
    async with _echo() as (url, seen):
        report = await replayed(
            recording, url, guard=ReplayGuard(rpc_methods=["test.Echo/Echo"]), result=str(tmp_path / "result")
        )
    (result,) = RecordingReader.open(str(tmp_path / "result")).exchanges()
    assert [m.data for m in result.response.messages] == [b"aa", b"", b"cccccc"]
    assert result.response.messages[2].offset_us >= 40_000, "the distances within the stream are kept"
    assert (result.grpc_status, result.is_grpc) == (0, True)
    assert ("x-sum", "1") in result.response.trailers
    assert (seen[0]["x-traffic-replay"], seen[0]["x-tag-bin"]) == ("run-1", b"\0\1")
    assert report.statuses == {"grpc 0": 1}


@pytest.mark.asyncio
async def test_a_grpc_error_is_a_response_and_no_failure(tmp_path: Path) -> None:
    recording = record(tmp_path, recorded_call("Refuse", [b"a"]))
    async with _echo() as (url, _):
        report = await replayed(recording, url, guard=ReplayGuard(waiver=WAIVER), result=str(tmp_path / "result"))
    assert (report.statuses, report.failures, report.changed_status) == ({"grpc 5": 1}, {}, 1)
    (result,) = RecordingReader.open(str(tmp_path / "result")).exchanges()
    assert {*result.response.trailers} >= {("grpc-message", "100%25 gone: %C3%A4"), ("x-why-bin", "AAEC/w")}


@pytest.mark.asyncio
async def test_a_last_stream_that_is_longer_than_any_call_may_be_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.run._GRACE_SECONDS", 0.0)
    recording = record(tmp_path, recorded_call("Echo", [b"a", b"b"], gap_us=800_000))
    async with _echo() as (url, _):
        report = await replayed(recording, url, guard=ReplayGuard(waiver=WAIVER), timeout_seconds=0.5)
    assert (report.sent, report.completed, report.failures) == (1, 1, {})


@pytest.mark.asyncio
async def test_a_stream_that_is_still_open_after_a_stop_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.run._GRACE_SECONDS", 0.0)
    stop = asyncio.Event()
    async with _echo() as (url, seen):
        job = ReplayJob(
            recording=record(tmp_path, recorded_call("Echo", [b"a", b"b"], gap_us=60_000_000)),
            target=Target(url=url),
            guard=ReplayGuard(waiver=WAIVER),
            result=str(tmp_path / "result"),
            timeout_seconds=0.1,
        )
        running = asyncio.ensure_future(replay(job, stop=stop))
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.005)
            stop.set()
            report = await running
    assert (report.sent, report.completed, report.failures) == (1, 0, {"cut off": 1})
    (result,) = RecordingReader.open(job.result or "").exchanges()
    assert result.ending is Ending.RESET


@pytest.mark.asyncio
async def test_a_call_that_hangs_ends_with_a_timeout(tmp_path: Path) -> None:
    recording = record(tmp_path, recorded_call("Hang", [b"a"]), recorded_request(1, method="GET"))
    async with _echo() as (url, _):
        report = await replayed(recording, url, guard=ReplayGuard(rpc_methods=["test.Echo/Hang"]), timeout_seconds=1)
    assert report.failures["timeout"] >= 1
    assert report.completed == 0
    assert not report.holds


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_status_that_clients_also_make_up_is_an_answer_where_a_server_gave_it(
    tmp_path: Path, code: grpc.StatusCode
) -> None:
    async def answer(_message: bytes, context: Any) -> bytes:
        await context.abort(code, "said by the server")
        return b""

    async with unary_service(answer) as url:
        report, (result,) = await results_of(tmp_path, [_call()], url)
    number: Any = code.value[0]
    assert (report.failures, report.statuses) == ({}, {f"grpc {number}": 1})
    assert (result.grpc_status, result.ending) == (number, Ending.COMPLETE)
    assert ("grpc-message", "said by the server") in result.response.trailers


@pytest.mark.asyncio
async def test_calls_that_a_server_ends_early_keep_its_status(tmp_path: Path) -> None:
    """It refuses by the headers, before it has read what is sent, and then wants no more of it."""

    async def refuse(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [
            ("headers", [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "7")], True),
            ("reset", 0),
        ]

    big = recorded_call("Put", [b"x" * 300_000])
    calls = [replace(big, request_id=f"id-{n}") for n in range(40)]
    async with h2_service(refuse, answers_at_once=True) as (url, _):
        report, results = await results_of(tmp_path, calls, url, pace=Pace(rate=2000), max_in_flight=8)
    assert (report.failures, report.statuses) == ({}, {"grpc 7": 40})
    assert {result.grpc_status for result in results} == {7}


@pytest.mark.asyncio
async def test_an_answer_of_trailers_alone_has_trailers_and_no_headers(tmp_path: Path) -> None:
    async def answer(_message: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        return b""

    async with unary_service(answer) as url:
        _, (result,) = await results_of(tmp_path, [_call()], url)
    assert result.response.headers == ()
    assert {("content-type", "application/grpc"), ("grpc-status", "5")} <= {*result.response.trailers}


@pytest.mark.asyncio
async def test_what_a_proxy_answers_in_place_of_the_server_is_a_failure_with_what_came(tmp_path: Path) -> None:
    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "502"), ("content-type", "text/html")], False), ("data", b"<p>no</p>", True)]

    async with h2_service(answer) as (url, _):
        report, (result,) = await results_of(tmp_path, [_call()], url)
    assert (report.failures, report.statuses) == ({"no gRPC answer (HTTP 502, text/html)": 1}, {})
    assert (result.status, result.grpc_status, result.ending) == (502, None, Ending.COMPLETE)
    assert result.response.body == b"<p>no</p>"


@pytest.mark.asyncio
async def test_an_answer_without_a_status_is_a_failure(tmp_path: Path) -> None:
    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        head = [(":status", "200"), ("content-type", "application/grpc")]
        return [("headers", head, False), ("data", b"\0\0\0\0\1a", True)]

    async with h2_service(answer) as (url, _):
        report, (result,) = await results_of(tmp_path, [_call()], url)
    assert report.failures == {"gRPC answer without a status": 1}
    assert [message.data for message in result.response.messages] == [b"a"]


@pytest.mark.asyncio
async def test_headers_arrive_as_they_were_recorded(tmp_path: Path) -> None:
    """Bytes above 0x7e, and binary values that a proxy has joined, are nothing that a client library would take."""

    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")], True)]

    headers = (("x-name", "\xe9"), ("x-tags-bin", "AAE,AAI"), ("grpc-timeout", "5S"), ("user-agent", "grpc-go/1.80"))
    async with h2_service(answer) as (url, seen):
        report, _ = await results_of(tmp_path, [_call(headers=headers)], url)
    assert report.statuses == {"grpc 0": 1}
    assert {*headers, ("te", "trailers"), ("content-type", "application/grpc")} <= {*seen[0].items()}
    assert "content-length" not in seen[0]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_named", [True, False])
async def test_a_call_whose_connection_died_is_made_again_where_its_method_is_named(
    tmp_path: Path, is_named: bool
) -> None:
    async def answer(number: int, _headers: dict[str, str]) -> list[Any]:
        head = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]
        return [("close",)] if number else [("headers", head, True)]

    guard = ReplayGuard(rpc_methods=["test.Echo/Ask"]) if is_named else ReplayGuard(waiver=WAIVER)
    async with h2_service(answer) as (url, seen):
        report = await replayed(record(tmp_path, _call(0), _call(1)), url, guard=guard, max_in_flight=1)
    assert len(seen) == (3 if is_named else 2)
    assert report.failures == ({} if is_named else {"connection closed without an answer": 1})


@pytest.mark.asyncio
async def test_trailers_that_are_too_large_are_a_failure_and_no_answer(tmp_path: Path) -> None:
    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [
            ("headers", [(":status", "200"), ("content-type", "application/grpc")], False),
            ("data", b"\0\0\0\0\1a", False),
            ("headers", [("grpc-status", "0"), *((f"x-{n}", "y" * 8000) for n in range(60))], True),
        ]

    async with h2_service(answer) as (url, _):
        report, (result,) = await results_of(tmp_path, [_call()], url)
    assert report.completed == 0
    assert sum(report.failures.values()) == 1
    assert (result.grpc_status, result.ending) == (None, Ending.RESET)


@pytest.mark.asyncio
async def test_a_call_s_own_deadline_is_sent_and_kept(tmp_path: Path) -> None:
    left: list[float] = []

    async def answer(_message: bytes, context: Any) -> bytes:
        left.append(context.time_remaining())
        return b""

    async with unary_service(answer) as url:
        await results_of(tmp_path, [_call(headers=(("grpc-timeout", "7S"),))], url)
    assert 5 < left[0] <= 7


@pytest.mark.asyncio
async def test_a_deadline_that_passes_without_an_answer_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.transfer._DEADLINE_GRACE_US", 0)

    async def never(_call: int, _headers: dict[str, str]) -> list[Any]:
        return []

    async with h2_service(never) as (url, _):
        report, _ = await results_of(tmp_path, [_call(headers=(("grpc-timeout", "50m"),))], url)
    assert report.failures == {"no answer within grpc-timeout": 1}


@pytest.mark.asyncio
async def test_what_came_of_a_stream_that_broke_off_is_kept(tmp_path: Path) -> None:
    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [
            ("headers", [(":status", "200"), ("content-type", "application/grpc")], False),
            ("data", b"\0\0\0\0\3one\0\0\0\0\5tw", False),
            ("reset", 2),
        ]

    async with h2_service(answer) as (url, _):
        report, (result,) = await results_of(tmp_path, [_call()], url)
    assert report.failures == {"stream reset by the server (INTERNAL_ERROR)": 1}
    assert (result.status, result.grpc_status, result.ending) == (200, None, Ending.RESET)
    assert result.response.truncated
    assert [(message.data, message.truncated) for message in result.response.messages] == [
        (b"one", False),
        (b"tw", True),
    ]


def _conversation(answered_us: list[int], asked_us: list[int]) -> Exchange:
    call = recorded_call("Talk", [b"%d" % n for n in range(len(asked_us))])
    asked = tuple(replace(m, offset_us=at) for m, at in zip(call.request.messages, asked_us, strict=True))
    answers = tuple(Message(offset_us=at, size=1, data=b"a") for at in answered_us)
    return replace(call, request=replace(call.request, messages=asked), response=Part(messages=answers))


@asynccontextmanager
async def _talk(*, delay: float, silent_after: int = 1000) -> AsyncIterator[tuple[str, list[str]]]:
    """A gRPC service that answers each message after a while, and notes the order of both."""
    order: list[str] = []

    async def talk(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        count = 0
        async for message in messages:
            order.append(f"asked {message.decode()}")
            if count < silent_after:
                await asyncio.sleep(delay)
                order.append(f"answered {message.decode()}")
                yield message
            count += 1
        if silent_after == 0:
            await context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    server = grpc.aio.server()
    make: Any = grpc.stream_stream_rpc_method_handler
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Talk": make(talk)}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", order
    finally:
        await server.stop(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("pace", [Pace(), Pace(speed=100), Pace(rate=10)])
async def test_a_message_that_followed_an_answer_follows_it_again_however_slow_it_is(
    tmp_path: Path, pace: Pace
) -> None:
    recorded = _conversation(answered_us=[1_000, 3_000], asked_us=[0, 2_000, 4_000])
    async with _talk(delay=0.05) as (url, order):
        report, _ = await results_of(tmp_path, [recorded], url, pace=pace)
    assert report.statuses == {"grpc 0": 1}
    assert order == ["asked 0", "answered 0", "asked 1", "answered 1", "asked 2", "answered 2"]


@pytest.mark.asyncio
async def test_answers_that_never_come_are_not_waited_for_beyond_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.outgoing._PATIENCE_SECONDS", 0.05)
    recorded = _conversation(answered_us=[1_000, 3_000], asked_us=[0, 2_000, 4_000])
    async with _talk(delay=0.0, silent_after=0) as (url, order):
        report, _ = await results_of(tmp_path, [recorded], url)
    assert report.statuses == {"grpc 5": 1}
    assert order == ["asked 0", "asked 1", "asked 2"]


@pytest.mark.asyncio
async def test_a_stream_that_waits_ends_with_the_server_s_answer(tmp_path: Path) -> None:
    recorded = recorded_call("Refuse", [b"a", b"b"], gap_us=60_000_000)
    async with _echo() as (url, _):
        report, _ = await results_of(tmp_path, [recorded], url)
    assert (report.statuses, report.failures) == ({"grpc 5": 1}, {})
    assert report.elapsed_seconds < 30


@pytest.mark.asyncio
async def test_compressed_messages_are_sent_as_they_were(tmp_path: Path) -> None:
    async def answer(_call: int, _headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")], True)]

    call = recorded_call("Ask", [b"a" * 100], coding="zstd")
    async with h2_service(answer) as (url, seen):
        report, _ = await results_of(tmp_path, [call], url)
    assert report.statuses == {"grpc 0": 1}
    (message,) = call.request.messages
    assert seen[0]["grpc-encoding"] == "zstd"
    assert seen[0]["body"].encode("latin-1") == b"\1" + len(message.data).to_bytes(4, "big") + message.data
