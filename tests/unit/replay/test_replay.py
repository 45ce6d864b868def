"""What is replayed, when, with which headers; and that nothing with side effects leaves without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest
from google.protobuf import descriptor_pb2

from components.model import ValidationError, Waiver
from components.operations.recording import (
    Ending,
    Exchange,
    Message,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)
from components.operations.recording.codings import encode
from components.operations.recording.noted_rules import RULES_KEY, note_of, noted_rules
from components.operations.recording.redaction import RedactionRules
from components.operations.replay import (
    HttpVersion,
    Pace,
    ReplayGuard,
    ReplayJob,
    ReplayReport,
    Skip,
    Target,
    replay,
)
from tests.support.loopback_service import serving

pytestmark = pytest.mark.slow

_START = datetime(2026, 1, 2, tzinfo=UTC)
_WAIVER = Waiver(reason="the target is a test double")


def _exchange(number: int = 0, **changes: Any) -> Exchange:
    exchange = Exchange(
        request_id=f"id-{number}",
        side=Side.PRIMARY,
        source="s",
        started_at=_START + timedelta(milliseconds=10 * number),
        method="GET",
        scheme="http",
        authority="shop.example:8000",
        path=f"/things/{number}?a=%2F..",
        status=200,
        request=Part(headers=(("x-request-id", f"id-{number}"), ("accept", "*/*"))),
    )
    return replace(exchange, **changes)


def _grpc_exchange(method: str, messages: list[bytes], *, coding: str = "", gap_us: int = 0) -> Exchange:
    return _exchange(
        method="POST",
        path=f"/test.Echo/{method}",
        is_grpc=True,
        grpc_status=0,
        request=Part(
            headers=(("content-type", "application/grpc"), ("grpc-encoding", coding), ("x-tag-bin", "AAE")),
            messages=tuple(
                Message(offset_us=n * gap_us, size=len(m), data=encode(m, coding), compressed=bool(coding))
                for n, m in enumerate(messages)
            ),
        ),
    )


def _record(directory: Path, *exchanges: Exchange, rules: RedactionRules | None = None) -> str:
    notes = note_of([rules]) if rules else None
    store = RecordingStore.open(str(directory / "recording"))
    writer = RecordingWriter(store, instance="t", now=lambda: _START, notes=notes)
    writer.write(exchanges)
    writer.close()
    return str(directory / "recording")


@dataclass
class _Service:
    """An HTTP service that notes what it gets."""

    port: int = 0
    heads: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: bytes = b"HTTP/1.1 200 OK\r\nserver: t\r\ncontent-length: 2\r\n\r\nok"
    delay: float = 0.0
    busiest: int = 0
    busy: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def _service(**changes: Any) -> AsyncIterator[_Service]:
    service = _Service(**changes)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            service.heads.append((lines[0], headers, body))
            service.busy += 1
            service.busiest = max(service.busiest, service.busy)
            await asyncio.sleep(service.delay)
            service.busy -= 1
            writer.write(service.answer)
            await writer.drain()

    async with serving(serve) as service.port:
        yield service


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


async def _replay(recording: str, url: str, **changes: Any) -> ReplayReport:
    target = changes.pop("target", None) or Target(url=url)
    dry_run = changes.pop("dry_run", False)
    return await replay(ReplayJob(recording=recording, target=target, run_id="run-1", **changes), dry_run=dry_run)


@pytest.mark.asyncio
async def test_a_request_is_sent_as_it_was_with_the_mark(tmp_path: Path) -> None:
    recorded = _exchange(
        method="POST",
        request=Part(
            headers=(
                ("x-request-id", "id-0"),
                ("content-type", "text/plain"),
                ("authorization", "[redacted]"),
                ("content-length", "99"),
                ("connection", "close"),
                ("x-envoy-attempt-count", "1"),
                ("x-name", "\xe9"),
            ),
            body=b"hello",
        ),
    )
    async with _service() as service:
        report = await _replay(_record(tmp_path, recorded), service.url, guard=ReplayGuard(waiver=_WAIVER))
    ((line, headers, body),) = service.heads
    assert line == "POST /things/0?a=%2F.. HTTP/1.1"
    assert headers == {
        "host": "shop.example:8000",
        "x-request-id": "id-0",
        "content-type": "text/plain",
        "x-name": "\xe9",
        "x-traffic-replay": "run-1",
        "content-length": "5",
    }
    assert body == b"hello"
    assert (report.sent, report.completed, report.statuses, report.holds) == (1, 1, {"200": 1}, True)


@pytest.mark.asyncio
async def test_the_target_s_own_headers_and_authority_replace_the_recorded_ones(tmp_path: Path) -> None:
    async with _service() as service:
        target = Target(url=service.url, authority="other.example", headers={"authorization": "fake", "accept": "x"})
        await _replay(_record(tmp_path, _exchange()), service.url, target=target)
    ((_, headers, _),) = service.heads
    assert (headers["host"], headers["authorization"], headers["accept"]) == ("other.example", "fake", "x")
    assert "fake" not in repr(target)


@pytest.mark.asyncio
async def test_responses_are_written_and_pair_with_the_recorded_ones(tmp_path: Path) -> None:
    async with _service(answer=b"HTTP/1.1 404 No\r\nset-cookie: fake\r\ncontent-length: 2\r\n\r\nno") as service:
        report = await _replay(
            _record(tmp_path, _exchange(1), _exchange(2)), service.url, result=str(tmp_path / "result")
        )
    results = list(RecordingReader.open(str(tmp_path / "result")).exchanges())
    assert sorted(e.request_id for e in results) == ["id-1", "id-2"]
    assert {(e.side, e.source, e.status, e.response.body, e.ending) for e in results} == {
        (Side.MIRROR, "replay-run-1", 404, b"no", Ending.COMPLETE)
    }
    assert ("set-cookie", "[redacted]") in results[0].response.headers
    assert report.changed_status == 2


@pytest.mark.asyncio
async def test_responses_are_redacted_by_the_rules_of_the_recording_also_if_replayed_again(tmp_path: Path) -> None:
    rules = RedactionRules(headers=["x-user"], json_paths=["$.email"])
    answer = b'{"email":"fake","id":1}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-user: fake\r\nset-cookie: fake\r\n"
    recording = _record(tmp_path, _exchange(), rules=rules)
    async with _service(answer=head + b"content-length: %d\r\n\r\n" % len(answer) + answer) as service:
        await _replay(recording, service.url, result=str(tmp_path / "one"), result_side=Side.PRIMARY)
        await _replay(str(tmp_path / "one"), service.url, result=str(tmp_path / "two"))
    for result in ("one", "two"):
        (exchange,) = RecordingReader.open(str(tmp_path / result)).exchanges()
        assert exchange.response.body == b'{"email":"[redacted]","id":1}'
        assert {value for name, value in exchange.response.headers if name in ("x-user", "set-cookie")} == {
            "[redacted]"
        }


def test_rules_are_read_as_they_were_noted_and_never_guessed(tmp_path: Path) -> None:
    descriptors = descriptor_pb2.FileDescriptorSet(file=[descriptor_pb2.FileDescriptorProto(name="a.proto")])
    rules = RedactionRules(query=["code"], protobuf_fields=["a.B.c"], descriptor_set=descriptors.SerializeToString())
    assert noted_rules(RecordingReader.open(_record(tmp_path / "a", _exchange(), rules=rules))) == [rules]
    assert noted_rules(RecordingReader.open(_record(tmp_path / "b", _exchange()))) == []
    store = RecordingStore.open(str(tmp_path / "c"))
    writer = RecordingWriter(store, instance="t", notes={RULES_KEY: '[{"later": 1}]'})
    writer.write([_exchange()])
    writer.close()
    with pytest.raises(ValidationError, match="must tell the redaction rules"):
        noted_rules(RecordingReader.open(str(tmp_path / "c")))


@pytest.mark.asyncio
async def test_requests_keep_their_distances_and_order(tmp_path: Path) -> None:
    exchanges = [_exchange(n) for n in (0, 30, 10, 20)]
    async with _service() as service:
        report = await _replay(_record(tmp_path, *exchanges), service.url, pace=Pace(speed=2))
    assert [headers["x-request-id"] for _, headers, _ in service.heads] == ["id-0", "id-10", "id-20", "id-30"]
    assert report.elapsed_seconds >= 0.15
    assert report.lateness.p99_ms is not None


@pytest.mark.asyncio
async def test_no_more_requests_are_in_flight_than_allowed(tmp_path: Path) -> None:
    exchanges = [_exchange(n, started_at=_START) for n in range(12)]
    async with _service(delay=0.02) as service:
        report = await _replay(_record(tmp_path, *exchanges), service.url, max_in_flight=3)
    assert service.busiest == 3
    assert report.completed == 12
    assert report.held_back > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_total_is_limited(tmp_path: Path, dry_run: bool) -> None:
    recording = _record(tmp_path, *[_exchange(n, started_at=_START) for n in range(20)])
    async with _service() as service:
        report = await _replay(recording, service.url, max_requests=7, dry_run=dry_run)
    assert len(service.heads) == (0 if dry_run else 7)
    assert (report.sent, report.stopped_by, report.is_dry_run, report.holds) == (7, "limit", dry_run, True)


@pytest.mark.asyncio
async def test_only_safe_methods_leave_without_a_waiver(tmp_path: Path) -> None:
    safe = [_exchange(n, method=m) for n, m in enumerate(("GET", "HEAD", "OPTIONS"))]
    unsafe = [_exchange(n + 5, method=m) for n, m in enumerate(("POST", "PUT", "DELETE", "PATCH", "PURGE"))]
    unsafe.append(_grpc_exchange("Echo", [b"x"]))
    async with _service(answer=b"HTTP/1.1 204 No Content\r\n\r\n") as service:
        report = await _replay(_record(tmp_path, *safe, *unsafe), service.url)
    assert {line.split()[0] for line, _, _ in service.heads} == {"GET", "HEAD", "OPTIONS"}
    assert report.skipped == {Skip.SIDE_EFFECTS.value: 6}


@pytest.mark.asyncio
@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_a_grpc_stream_is_replayed_message_by_message(tmp_path: Path, coding: str) -> None:
    recording = _record(tmp_path, _grpc_exchange("Echo", [b"a", b"", b"ccc"], coding=coding, gap_us=20_000))
    async with _echo() as (url, seen):
        report = await _replay(
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
    recording = _record(tmp_path, _grpc_exchange("Refuse", [b"a"]))
    async with _echo() as (url, _):
        report = await _replay(recording, url, guard=ReplayGuard(waiver=_WAIVER), result=str(tmp_path / "result"))
    assert (report.statuses, report.failures, report.changed_status) == ({"grpc 5": 1}, {}, 1)
    (result,) = RecordingReader.open(str(tmp_path / "result")).exchanges()
    assert {*result.response.trailers} >= {("grpc-message", "100%25 gone: %C3%A4"), ("x-why-bin", "AAEC/w")}


@pytest.mark.asyncio
async def test_a_last_stream_that_is_longer_than_any_call_may_be_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.operations.replay.run._GRACE_SECONDS", 0.0)
    recording = _record(tmp_path, _grpc_exchange("Echo", [b"a", b"b"], gap_us=800_000))
    async with _echo() as (url, _):
        report = await _replay(recording, url, guard=ReplayGuard(waiver=_WAIVER), timeout_seconds=0.5)
    assert (report.sent, report.completed, report.failures) == (1, 1, {})


@pytest.mark.asyncio
async def test_a_stream_that_is_still_open_after_a_stop_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.operations.replay.run._GRACE_SECONDS", 0.0)
    stop = asyncio.Event()
    async with _echo() as (url, seen):
        job = ReplayJob(
            recording=_record(tmp_path, _grpc_exchange("Echo", [b"a", b"b"], gap_us=60_000_000)),
            target=Target(url=url),
            guard=ReplayGuard(waiver=_WAIVER),
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
    recording = _record(tmp_path, _grpc_exchange("Hang", [b"a"]), _exchange(1, method="GET"))
    async with _echo() as (url, _):
        report = await _replay(recording, url, guard=ReplayGuard(rpc_methods=["test.Echo/Hang"]), timeout_seconds=1)
    assert report.failures["timeout"] >= 1
    assert report.completed == 0
    assert not report.holds


@pytest.mark.asyncio
@pytest.mark.parametrize("is_grpc", [False, True])
async def test_an_unreachable_target_is_a_counted_failure(tmp_path: Path, is_grpc: bool) -> None:
    async with _service() as service:
        url = service.url
    exchange = _grpc_exchange("Echo", [b"a"]) if is_grpc else _exchange()
    recording = _record(tmp_path, exchange)
    report = await _replay(recording, url, guard=ReplayGuard(waiver=_WAIVER), result=str(tmp_path / "result"))
    assert report.failures == {"unavailable" if is_grpc else "ConnectError": 1}
    assert not report.holds
    (result,) = RecordingReader.open(str(tmp_path / "result")).exchanges()
    assert (result.ending, result.status) == (Ending.RESET, None)


@pytest.mark.asyncio
async def test_stopping_finishes_what_was_sent(tmp_path: Path) -> None:
    recording = _record(tmp_path, _exchange(0), _exchange(1, started_at=_START + timedelta(hours=1)))
    stop = asyncio.Event()
    async with _service() as service:
        job = ReplayJob(recording=recording, target=Target(url=service.url), result=str(tmp_path / "result"))
        running = asyncio.ensure_future(replay(job, stop=stop))
        async with asyncio.timeout(10):
            while not service.heads:
                await asyncio.sleep(0.005)
            stop.set()
            report = await running
    assert (report.sent, report.completed, report.stopped_by, report.holds) == (1, 1, "interrupted", False)
    assert len(list(RecordingReader.open(str(tmp_path / "result")).exchanges())) == 1


@pytest.mark.asyncio
async def test_damage_is_reported(tmp_path: Path) -> None:
    recording = _record(tmp_path, _exchange())
    (file,) = Path(recording).rglob("*.parquet")
    (file.parent / "torn.parquet").write_bytes(file.read_bytes()[:-4])
    async with _service() as service:
        report = await _replay(recording, service.url)
    assert (report.sent, len(report.damage), report.holds) == (1, 1, False)


@asynccontextmanager
async def _h2_service() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """An HTTP/2 service without TLS that answers each request with its own body."""
    seen: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    seen.append({str(k): str(v) for k, v in event.headers})
                    bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [(":status", "200")])
                    connection.send_data(event.stream_id, bodies.pop(event.stream_id), end_stream=True)
            writer.write(connection.data_to_send())

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", seen


@pytest.mark.asyncio
async def test_plain_http_goes_over_http_2_when_asked(tmp_path: Path) -> None:
    recording = _record(tmp_path, *[_exchange(n, method="POST", request=Part(body=b"b%d" % n)) for n in range(3)])
    async with _h2_service() as (url, seen):
        report = await _replay(
            recording,
            url,
            target=Target(url=url, http_version=HttpVersion.HTTP_2),
            guard=ReplayGuard(waiver=_WAIVER),
            result=str(tmp_path / "result"),
        )
    assert report.completed == 3
    assert {(h[":authority"], h[":method"]) for h in seen} == {("shop.example:8000", "POST")}
    results = RecordingReader.open(str(tmp_path / "result")).exchanges()
    assert {(e.request_id, e.response.body) for e in results} == {(f"id-{n}", b"b%d" % n) for n in range(3)}


@pytest.mark.asyncio
async def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no finished recording"):
        await _replay(str(tmp_path), "http://127.0.0.1:1")
