"""What is replayed, when, with which headers; and that nothing with side effects leaves without a word."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.recording import (
    Ending,
    Part,
    RecordingReader,
    RecordingStore,
    RecordingWriter,
    Side,
)
from pulumi_traffic_mirror.operations.recording.noted_rules import RULES_KEY, noted_rules
from pulumi_traffic_mirror.operations.recording.redaction import RedactionRules
from pulumi_traffic_mirror.operations.replay import Pace, ReplayGuard, ReplayJob, Skip, Target, replay
from tests.support.loopback_service import serving
from tests.support.replayed import START, WAIVER, record, recorded_call, recorded_request, replayed

pytestmark = pytest.mark.slow


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


@pytest.mark.asyncio
async def test_a_request_is_sent_as_it_was_with_the_mark(tmp_path: Path) -> None:
    recorded = recorded_request(
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
        report = await replayed(record(tmp_path, recorded), service.url, guard=ReplayGuard(waiver=WAIVER))
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
async def test_requests_with_redacted_values_are_counted_and_sent_in_a_form_that_servers_take(tmp_path: Path) -> None:
    recording = record(
        tmp_path,
        recorded_request(1),
        recorded_request(2, path="/a?token=[redacted]&b=c"),
        recorded_request(3, request=Part(headers=(("authorization", "[redacted]"),))),
    )
    async with _service() as service:
        report = await replay(ReplayJob(recording=recording, target=Target(url=service.url)))
    assert (report.sent, report.redacted) == (3, 2)
    assert sorted(head for head, *_ in service.heads)[0] == "GET /a?token=%5Bredacted%5D&b=c HTTP/1.1"
    assert not any("authorization" in headers for _, headers, _ in service.heads)


@pytest.mark.asyncio
async def test_the_target_s_own_headers_and_authority_replace_the_recorded_ones(tmp_path: Path) -> None:
    async with _service() as service:
        target = Target(url=service.url, authority="other.example", headers={"authorization": "fake", "accept": "x"})
        await replayed(record(tmp_path, recorded_request()), service.url, target=target)
    ((_, headers, _),) = service.heads
    assert (headers["host"], headers["authorization"], headers["accept"]) == ("other.example", "fake", "x")
    assert "fake" not in repr(target)


@pytest.mark.asyncio
async def test_responses_are_written_and_pair_with_the_recorded_ones(tmp_path: Path) -> None:
    async with _service(answer=b"HTTP/1.1 404 No\r\nset-cookie: fake\r\ncontent-length: 2\r\n\r\nno") as service:
        report = await replayed(
            record(tmp_path, recorded_request(1), recorded_request(2)), service.url, result=str(tmp_path / "result")
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
    recording = record(tmp_path, recorded_request(), rules=rules)
    async with _service(answer=head + b"content-length: %d\r\n\r\n" % len(answer) + answer) as service:
        await replayed(recording, service.url, result=str(tmp_path / "one"), result_side=Side.PRIMARY)
        await replayed(str(tmp_path / "one"), service.url, result=str(tmp_path / "two"))
    for result in ("one", "two"):
        (exchange,) = RecordingReader.open(str(tmp_path / result)).exchanges()
        assert exchange.response.body == b'{"email":"[redacted]","id":1}'
        assert {value for name, value in exchange.response.headers if name in ("x-user", "set-cookie")} == {
            "[redacted]"
        }


def test_rules_are_read_as_they_were_noted_and_never_guessed(tmp_path: Path) -> None:
    descriptors = descriptor_pb2.FileDescriptorSet(file=[descriptor_pb2.FileDescriptorProto(name="a.proto")])
    rules = RedactionRules(query=["code"], protobuf_fields=["a.B.c"], descriptor_set=descriptors.SerializeToString())
    assert noted_rules(RecordingReader.open(record(tmp_path / "a", recorded_request(), rules=rules))) == [rules]
    assert noted_rules(RecordingReader.open(record(tmp_path / "b", recorded_request()))) == []
    store = RecordingStore.open(str(tmp_path / "c"))
    writer = RecordingWriter(store, instance="t", notes={RULES_KEY: '[{"later": 1}]'})
    writer.write([recorded_request()])
    writer.close()
    with pytest.raises(ValidationError, match="must tell the redaction rules"):
        noted_rules(RecordingReader.open(str(tmp_path / "c")))


@pytest.mark.asyncio
async def test_requests_keep_their_distances_and_order(tmp_path: Path) -> None:
    exchanges = [recorded_request(n) for n in (0, 30, 10, 20)]
    async with _service() as service:
        report = await replayed(record(tmp_path, *exchanges), service.url, pace=Pace(speed=2))
    assert [headers["x-request-id"] for _, headers, _ in service.heads] == ["id-0", "id-10", "id-20", "id-30"]
    assert report.elapsed_seconds >= 0.15
    assert report.lateness.p99_ms is not None


@pytest.mark.asyncio
async def test_no_more_requests_are_in_flight_than_allowed(tmp_path: Path) -> None:
    exchanges = [recorded_request(n, started_at=START) for n in range(12)]
    async with _service(delay=0.02) as service:
        report = await replayed(record(tmp_path, *exchanges), service.url, max_in_flight=3)
    assert service.busiest == 3
    assert report.completed == 12
    assert report.held_back > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_total_is_limited(tmp_path: Path, dry_run: bool) -> None:
    recording = record(tmp_path, *[recorded_request(n, started_at=START) for n in range(20)])
    async with _service() as service:
        report = await replayed(recording, service.url, max_requests=7, dry_run=dry_run)
    assert len(service.heads) == (0 if dry_run else 7)
    assert (report.sent, report.stopped_by, report.is_dry_run, report.holds) == (7, "limit", dry_run, True)


@pytest.mark.asyncio
async def test_only_safe_methods_leave_without_a_waiver(tmp_path: Path) -> None:
    safe = [recorded_request(n, method=m) for n, m in enumerate(("GET", "HEAD", "OPTIONS"))]
    unsafe = [recorded_request(n + 5, method=m) for n, m in enumerate(("POST", "PUT", "DELETE", "PATCH", "PURGE"))]
    unsafe.append(recorded_call("Echo", [b"x"]))
    async with _service(answer=b"HTTP/1.1 204 No Content\r\n\r\n") as service:
        report = await replayed(record(tmp_path, *safe, *unsafe), service.url)
    assert {line.split()[0] for line, _, _ in service.heads} == {"GET", "HEAD", "OPTIONS"}
    assert report.skipped == {Skip.SIDE_EFFECTS.value: 6}


@pytest.mark.asyncio
async def test_stopping_finishes_what_was_sent(tmp_path: Path) -> None:
    recording = record(tmp_path, recorded_request(0), recorded_request(1, started_at=START + timedelta(hours=1)))
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
    recording = record(tmp_path, recorded_request())
    (file,) = Path(recording).rglob("*.parquet")
    (file.parent / "torn.parquet").write_bytes(file.read_bytes()[:-4])
    async with _service() as service:
        report = await replayed(recording, service.url)
    assert (report.sent, len(report.damage), report.holds) == (1, 1, False)


@pytest.mark.asyncio
async def test_an_empty_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no finished recording"):
        await replayed(str(tmp_path), "http://127.0.0.1:1")


@pytest.mark.asyncio
async def test_a_storage_that_is_slow_holds_the_replay_back_instead_of_filling_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.results._WRITE_ROWS", 4)
    monkeypatch.setattr("pulumi_traffic_mirror.operations.replay.results._MAX_WAITING_ROWS", 8)
    storage_works, write = threading.Event(), RecordingWriter.write

    def slow(writer: RecordingWriter, exchanges: Any) -> None:
        assert storage_works.wait(30)
        write(writer, exchanges)

    recording = record(tmp_path, *[recorded_request(n, started_at=START) for n in range(100)])
    async with _service() as service:
        monkeypatch.setattr(RecordingWriter, "write", slow)
        running = asyncio.ensure_future(
            replayed(recording, service.url, result=str(tmp_path / "result"), max_in_flight=2)
        )
        # Four are being written, nine wait, and two may be on their way: then nothing more is sent.
        async with asyncio.timeout(10):
            while len(service.heads) < 13:
                await asyncio.sleep(0.005)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(service.heads) <= 15
        storage_works.set()
        report = await running
    assert (report.completed, report.unwritten) == (100, 0)
    assert len(list(RecordingReader.open(str(tmp_path / "result")).exchanges())) == 100
