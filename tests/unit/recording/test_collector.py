"""The collector alone: what a proxy reports is what lies in the file, and every drop is counted."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as ext_proc

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.recording import DROPS
from pulumi_traffic_mirror.operations.recording import (
    CaptureLimits,
    Ending,
    RecordingReader,
    RecordingStore,
    RollLimits,
    Side,
)
from pulumi_traffic_mirror.operations.recording.compacting import compact
from pulumi_traffic_mirror.operations.recording.noted_rules import note_of, noted_headers, noted_rules
from pulumi_traffic_mirror.operations.recording.protocol import METHOD, SERVICE, SIDE_KEY, SOURCE_KEY
from pulumi_traffic_mirror.operations.recording.redaction import RedactionRules, Redactor
from pulumi_traffic_mirror.operations.recording.sampling import sample, write_sample
from pulumi_traffic_mirror.operations.recording.schema import HEADERS_KEY
from pulumi_traffic_mirror.operations.recording.settings import Bounds
from tests.support.loopback_collector import LoopbackCollector, running_collector
from tests.support.shop import exchange, record

Report: Any = getattr(ext_proc, "ProcessingRequest")  # noqa: B009 -- generated code without type information


def _headers(kind: str, *, end: bool = False, **headers: str) -> Any:
    pairs = [{"key": key.replace("_", "-"), "raw_value": value.encode()} for key, value in headers.items()]
    return Report(observability_mode=True, **{kind: {"headers": {"headers": pairs}, "end_of_stream": end}})


def _body(kind: str, data: bytes, *, end: bool) -> Any:
    return Report(observability_mode=True, **{kind: {"body": data, "end_of_stream": end}})


def _call(request_id: str = "id-1", *, response: bytes = b"there") -> list[Any]:
    first = _headers("request_headers", x_request_id=request_id, authorization="fake")
    first.request_headers.headers.headers.add(key=":path", raw_value=b"/hello")
    return [
        first,
        _body("request_body", b"hi", end=True),
        _headers("response_headers", server="s"),
        _body("response_body", response, end=True),
    ]


@asynccontextmanager
async def _proxy(collector: LoopbackCollector) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{collector.port}") as channel:
        yield channel.stream_stream(f"/{SERVICE}/{METHOD}")


async def _report(
    process: Any, reports: Sequence[Any], *, metadata: Sequence[tuple[str, str]] = (), abandon_when: Any = None
) -> None:
    call = process(metadata=tuple(metadata))
    for report in reports:
        await call.write(report.SerializeToString())
    if abandon_when:
        await _until(abandon_when)
        call.cancel()
        return
    if not reports:
        await call.done_writing()
    assert await call.read() is grpc.aio.EOF, "the collector ends the stream and answers nothing"


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_an_exchange_is_recorded_redacted_and_the_stream_ended_at_once(tmp_path: Path) -> None:
    async with running_collector(tmp_path) as running, _proxy(running) as process:
        await _report(process, _call(), metadata=((SIDE_KEY, "mirror"), (SOURCE_KEY, "gateway-b")))
    (exchange,) = running.exchanges()
    assert (exchange.request_id, exchange.side, exchange.source) == ("id-1", Side.MIRROR, "gateway-b")
    assert (exchange.path, exchange.request.body, exchange.response.body) == ("/hello", b"hi", b"there")
    assert ("authorization", "[redacted]") in exchange.request.headers
    assert exchange.ending is Ending.COMPLETE
    assert running.budget.used == 0
    assert (running.counters.streams, running.counters.written, running.counters.files) == (1, 1, 1)


@pytest.mark.asyncio
async def test_the_recording_has_the_rules_for_whoever_replays_it(tmp_path: Path) -> None:
    rules = RedactionRules(json_paths=["$.email"])
    async with running_collector(tmp_path, redaction=rules) as running, _proxy(running) as process:
        await _report(process, _call())
    assert noted_rules(RecordingReader.open(str(tmp_path))) == [rules]


def test_the_recording_says_which_headers_alone_it_has(tmp_path: Path) -> None:
    """In buckets and samples as well; of several recordings only what all have is known."""
    for name, headers in (("a", ["accept", "x-user"]), ("b", ["accept", "x-cell"]), ("all", None)):
        record(tmp_path / name, exchange(1), notes=note_of([], headers))
    reader = RecordingReader.open(str(tmp_path / "a"))
    assert noted_headers(reader) == {"accept", "x-user"}
    assert noted_headers(RecordingReader.open(str(tmp_path / "all"))) is None
    shutil.copytree(tmp_path / "b", tmp_path / "a" / "day=later", dirs_exist_ok=True)
    shutil.copytree(tmp_path / "all", tmp_path / "a" / "day=last", dirs_exist_ok=True)
    both = RecordingReader.open(str(tmp_path / "a"))
    assert noted_headers(both) == {"accept"}
    compact(both, RecordingStore.open(str(tmp_path / "buckets")))
    write_sample(both, sample(both), RecordingStore.open(str(tmp_path / "sample")))
    for name in ("buckets", "sample"):
        assert noted_headers(RecordingReader.open(str(tmp_path / name))) == {"accept"}


@pytest.mark.parametrize("note", ["{", '"accept"', "[1]"])
def test_a_note_on_headers_that_nobody_can_read_is_refused(tmp_path: Path, note: str) -> None:
    notes = {HEADERS_KEY.decode(): note}
    folder = record(tmp_path, exchange(1), notes=notes)
    with pytest.raises(ValidationError, match="logged_headers"):
        noted_headers(RecordingReader.open(str(folder)))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("settings", "marked", "side"),
    [
        ({"side": Side.PRIMARY}, True, Side.PRIMARY),
        ({}, True, Side.MIRROR),
        ({}, False, Side.PRIMARY),
        ({"mark_header": "x-other"}, True, Side.PRIMARY),
    ],
)
async def test_the_side_is_what_was_set_or_what_the_mark_says(
    tmp_path: Path, settings: dict[str, Any], marked: bool, side: Side
) -> None:
    reports = _call()
    if marked:
        reports[0].request_headers.headers.headers.add(key="x-traffic-mirror", raw_value=b"mirror")
    async with running_collector(tmp_path, **settings) as running, _proxy(running) as process:
        await _report(process, reports)
    assert [exchange.side for exchange in running.exchanges()] == [side]


@pytest.mark.asyncio
async def test_a_stream_that_breaks_off_is_recorded_as_far_as_it_went(tmp_path: Path) -> None:
    async with running_collector(tmp_path) as running, _proxy(running) as process:
        await _report(process, _call()[:3], abandon_when=lambda: running.budget.used)
        await _until(lambda: running.counters.recorded)
    (exchange,) = running.exchanges()
    assert (exchange.ending, exchange.response.body) == (Ending.RESET, None)
    assert running.counters.reset == 1


@pytest.mark.asyncio
async def test_what_is_open_at_the_end_is_recorded_as_cut(tmp_path: Path) -> None:
    bounds = Bounds(stop_seconds=0.2)
    async with running_collector(tmp_path, bounds=bounds) as running, _proxy(running) as process:
        await process().write(_call()[0].SerializeToString())
        await _until(lambda: running.budget.used)
        running.collector.cut(older_than_seconds=3600)
        assert not running.counters.cut, "a young exchange goes on"
        running.collector.cut()
        assert running.counters.cut == 1
    assert [exchange.ending for exchange in running.exchanges()] == [Ending.CUT]


@pytest.mark.asyncio
async def test_what_is_open_when_the_collector_stops_is_cut_and_not_reset(tmp_path: Path) -> None:
    bounds = Bounds(stop_seconds=0.1)
    async with running_collector(tmp_path, bounds=bounds) as running, _proxy(running) as process:
        await process().write(_call()[0].SerializeToString())
        await _until(lambda: running.budget.used)
        await running.collector.stop(running.server)
    assert [exchange.ending for exchange in running.exchanges()] == [Ending.CUT]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "late", [_body("response_body", b"later", end=False), _headers("response_headers", server="s")]
)
async def test_what_comes_after_a_cut_takes_and_gives_no_memory(tmp_path: Path, late: Any) -> None:
    async with running_collector(tmp_path) as running, _proxy(running) as process:
        call = process()
        await call.write(_call()[0].SerializeToString())
        await _until(lambda: running.budget.used)
        running.collector.cut()
        await _until(lambda: not running.budget.used)
        await call.write(late.SerializeToString())
        assert await call.read() is grpc.aio.EOF
    assert running.budget.used == 0


@pytest.mark.asyncio
async def test_a_large_transfer_is_let_go_before_it_can_hold_traffic_back(tmp_path: Path) -> None:
    limits = CaptureLimits(max_body_bytes=4, max_followed_bytes=100)
    reports = [_call()[0], *[_body("request_body", b"x" * 60, end=False) for _ in range(2)]]
    async with running_collector(tmp_path, capture=limits) as running, _proxy(running) as process:
        await _report(process, reports)
        await _until(lambda: running.counters.recorded)
    (exchange,) = running.exchanges()
    assert (exchange.ending, exchange.request.body, exchange.request.body_size) == (Ending.CUT, b"xxxx", 120)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "reports", "counter"),
    [
        ({"sample_percent": 0.001}, _call("0" * 28 + "ffff")[:1], "sampled_out"),
        ({"bounds": Bounds(memory_bytes=10)}, _call()[:1], "dropped_memory"),
        ({}, [Report(request_headers={})], "dropped_protocol"),
        ({}, [], "dropped_late"),
    ],
)
async def test_what_is_not_recorded_is_counted_by_its_reason(
    tmp_path: Path, changes: dict[str, Any], reports: list[Any], counter: str
) -> None:
    async with running_collector(tmp_path, **changes) as running, _proxy(running) as process:
        await _report(process, reports)
        await _until(lambda: getattr(running.counters, counter))
    assert running.counters.recorded == 0
    assert running.budget.used == 0
    assert counter == "sampled_out" or counter in DROPS


@pytest.mark.asyncio
async def test_more_open_exchanges_than_allowed_are_refused(tmp_path: Path) -> None:
    async with running_collector(tmp_path, bounds=Bounds(max_streams=1)) as running, _proxy(running) as process:
        first = process()
        await first.write(_call()[0].SerializeToString())
        await _until(lambda: running.budget.used)
        await _report(process, [])
        assert running.counters.dropped_streams == 1
        for report in _call()[1:]:
            await first.write(report.SerializeToString())
        assert await first.read() is grpc.aio.EOF
    assert len(running.exchanges()) == 1


@pytest.mark.asyncio
async def test_a_body_that_breaks_redaction_is_not_written_and_does_not_end_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Redactor.apply

    def fails_once(self: Redactor, exchange: Any) -> Any:
        if exchange.request_id == "bad":
            raise ZeroDivisionError
        return real(self, exchange)

    monkeypatch.setattr(Redactor, "apply", fails_once)
    async with running_collector(tmp_path) as running, _proxy(running) as process:
        await _report(process, _call("bad"))
        await _report(process, _call("good"))
    assert [exchange.request_id for exchange in running.exchanges()] == ["good"]
    assert (running.counters.redaction_failures, running.budget.used) == (1, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("the bucket's client is upset")]
)
async def test_a_failing_storage_loses_rows_not_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", fails)
    bounds, roll = Bounds(max_waiting=1), RollLimits(max_seconds=0.001)
    async with running_collector(tmp_path, bounds=bounds, roll=roll) as running, _proxy(running) as process:
        await _report(process, _call())
        await _until(lambda: running.counters.lost)
        await _report(process, _call())
    assert (running.counters.lost, running.counters.written, running.budget.used) == (2, 0, 0)


@pytest.mark.asyncio
async def test_a_status_that_no_column_holds_does_not_end_the_recording(tmp_path: Path) -> None:
    strange = _call("strange")
    strange[2].response_headers.headers.headers.add(key="grpc-status", raw_value=b"9" * 11)
    async with running_collector(tmp_path) as running, _proxy(running) as process:
        await _report(process, strange)
        await _report(process, _call("usual"))
    assert [(one.request_id, one.grpc_status) for one in running.exchanges()] == [("strange", None), ("usual", None)]


@pytest.mark.asyncio
async def test_a_full_queue_drops_instead_of_waiting(tmp_path: Path) -> None:
    async with running_collector(tmp_path, bounds=Bounds(max_waiting=1)) as running, _proxy(running) as process:
        await asyncio.gather(*[_report(process, _call(f"id-{n}")) for n in range(50)])
    counters = running.counters
    assert counters.dropped_queue > 0
    assert counters.recorded + counters.dropped_queue == 50
    assert len(running.exchanges()) == counters.recorded
    assert running.budget.used == 0


def test_bounds_are_positive() -> None:
    with pytest.raises(ValueError, match="max_streams"):
        replace(Bounds(), max_streams=0)
