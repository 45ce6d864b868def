"""The rendered filter in a real proxy, reporting to the real collector."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pyarrow as pa
import pytest

from pulumi_traffic_mirror.model.request_sampling import is_sampled, sample_threshold
from pulumi_traffic_mirror.operations.diff.answers import pair_keys
from pulumi_traffic_mirror.operations.recording import Ending, Side
from tests.support.loopback_collector import LoopbackCollector, running_collector
from tests.support.loopback_envoy import Proxy, bootstrap, recorder_filter, running_envoy
from tests.support.loopback_service import serving


async def _post(proxy: Proxy, *, count: int = 1, content: bytes = b'{"question": 1}') -> list[str]:
    """Call and return the request identifiers; every call must succeed."""
    identifiers = [str(uuid.uuid4()) for _ in range(count)]
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        for identifier in identifiers:
            headers = {"x-request-id": identifier, "authorization": "fake", "content-type": "application/json"}
            answer = await client.post(f"{proxy.url}/ask?token=fake", content=content, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"answer": 42})
    return identifiers


async def _until_recorded(running: LoopbackCollector, count: int = 1) -> None:
    """Reports are on their way when a call returns, and they die with the proxy."""
    async with asyncio.timeout(20):
        while running.counters.recorded < count:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _answering_server() -> AsyncIterator[int]:
    """An HTTP service that reads each request to its end and gives one answer to all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
            writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"answer": 42}')
            await writer.drain()

    async with serving(serve) as port:
        yield port


@asynccontextmanager
async def _recorded_proxy(binary: Path, folder: Path, *, collector_port: int, **changes: Any) -> AsyncIterator[Proxy]:
    at_edge = changes.pop("at_edge", False)
    async with _answering_server() as upstream:
        config = bootstrap(
            recorder_filter(**changes),
            collector_port=collector_port,
            upstream_port=upstream,
            h2=False,
            at_edge=at_edge,
        )
        async with running_envoy(binary, folder, config) as proxy:
            yield proxy


@pytest.mark.asyncio
async def test_a_call_through_the_proxy_is_recorded_whole_and_scrubbed(tmp_path: Path, envoy: Path) -> None:
    async with (
        running_collector(tmp_path / "out") as running,
        _recorded_proxy(envoy, tmp_path, collector_port=running.port, side="mirror", source="b") as proxy,
    ):
        (identifier,) = await _post(proxy)
        await _until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.request_id, exchange.side, exchange.source) == (identifier, Side.MIRROR, "b")
    assert (exchange.method, exchange.path, exchange.status) == ("POST", "/ask?token=%5Bredacted%5D", 200)
    assert (exchange.request.body, exchange.response.body) == (b'{"question": 1}', b'{"answer": 42}')
    assert dict(exchange.request.headers)["authorization"] == "[redacted]"
    assert exchange.ending is Ending.COMPLETE
    assert exchange.duration_us is not None
    files = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet"))
    assert b"fake" not in files


@pytest.mark.asyncio
@pytest.mark.parametrize("percent", [100, 99.9999])
async def test_headers_that_are_withheld_never_reach_the_collector(tmp_path: Path, envoy: Path, percent: float) -> None:
    """By both forms of the filter: a redaction that would replace the value has nothing to replace."""
    withheld = ("authorization", "content-type")
    async with (
        running_collector(tmp_path / "out") as running,
        _recorded_proxy(
            envoy, tmp_path, collector_port=running.port, withheld_headers=withheld, sample_percent=percent
        ) as proxy,
    ):
        await _post(proxy, count=3)
        await _until_recorded(running, 3)
    for exchange in running.exchanges():
        names = {name for name, _ in exchange.request.headers}
        assert not names & set(withheld)
        assert {"x-request-id", "user-agent"} <= names
        assert exchange.request.body == b'{"question": 1}'


@pytest.mark.asyncio
async def test_without_bodies_heads_are_recorded(tmp_path: Path, envoy: Path) -> None:
    async with (
        running_collector(tmp_path / "out") as running,
        _recorded_proxy(envoy, tmp_path, collector_port=running.port, bodies=False) as proxy,
    ):
        (identifier,) = await _post(proxy)
        await _until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.request_id, exchange.status, exchange.ending) == (identifier, 200, Ending.COMPLETE)
    parts = [(part.body, part.body_size, part.truncated) for part in (exchange.request, exchange.response)]
    assert parts == [(None, 15, True), (None, 14, True)]


@pytest.mark.asyncio
@pytest.mark.parametrize("kept", [True, False])
async def test_a_gateway_keeps_identifiers_from_outside_only_where_it_is_told_to(
    tmp_path: Path, envoy: Path, kept: bool
) -> None:
    async with (
        running_collector(tmp_path / "out") as running,
        _recorded_proxy(envoy, tmp_path, collector_port=running.port, at_edge=True, keep_request_ids=kept) as proxy,
    ):
        (identifier,) = await _post(proxy)
        await _until_recorded(running)
    (exchange,) = running.exchanges()
    assert exchange.request_id
    # The proxy may note in the identifier whether it traces; that is not what pairs.
    here, there = pair_keys(pa.array([exchange.request_id, identifier])).to_pylist()
    assert (here == there) is kept


@asynccontextmanager
async def _echo_server() -> AsyncIterator[int]:
    """A gRPC service that answers each message of a stream with itself, twice, and ends with trailers."""

    async def echo(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message
            yield message * 2
        context.set_trailing_metadata((("x-checksum", "7"),))

    behaviour: Any = echo
    server = grpc.aio.server()
    handlers = {"Talk": grpc.stream_stream_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@pytest.mark.asyncio
async def test_a_grpc_stream_is_split_into_its_messages(tmp_path: Path, envoy: Path) -> None:
    async with _echo_server() as upstream, running_collector(tmp_path / "out") as running:
        config = bootstrap(recorder_filter(), collector_port=running.port, upstream_port=upstream, h2=True)
        async with (
            running_envoy(envoy, tmp_path, config) as proxy,
            grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel,
        ):
            make_call: Any = channel.stream_stream("/test.Echo/Talk")
            call = make_call(metadata=(("x-request-id", "stream-1"),))
            for message in (b"a", b"", b"b" * 100_000):
                await call.write(message)
                assert [await call.read(), await call.read()] == [message, message * 2]
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            await _until_recorded(running)
    (exchange,) = running.exchanges()
    assert exchange.is_grpc
    assert (exchange.request_id, exchange.path, exchange.grpc_status) == ("stream-1", "/test.Echo/Talk", 0)
    assert [m.size for m in exchange.request.messages] == [1, 0, 100_000]
    assert [m.size for m in exchange.response.messages] == [1, 2, 0, 0, 100_000, 200_000]
    assert [m.truncated for m in exchange.request.messages] == [False, False, True], "64 KiB are kept"
    offsets = [m.offset_us for m in exchange.request.messages]
    assert offsets == sorted(offsets)
    assert ("x-checksum", "7") in exchange.response.trailers
    assert exchange.ending is Ending.COMPLETE


@pytest.mark.asyncio
async def test_without_bodies_a_grpc_call_has_its_status(tmp_path: Path, envoy: Path) -> None:
    async with _echo_server() as upstream, running_collector(tmp_path / "out") as running:
        config = bootstrap(recorder_filter(bodies=False), collector_port=running.port, upstream_port=upstream, h2=True)
        async with (
            running_envoy(envoy, tmp_path, config) as proxy,
            grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel,
        ):
            make_call: Any = channel.stream_stream("/test.Echo/Talk")
            call = make_call(metadata=(("x-request-id", "stream-1"),))
            await call.write(b"a")
            await call.done_writing()
            assert [await call.read(), await call.read()] == [b"a", b"aa"]
            assert await call.read() is grpc.aio.EOF
            await _until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.is_grpc, exchange.grpc_status, exchange.ending) == (True, 0, Ending.COMPLETE)
    assert (exchange.request.messages, exchange.response.messages) == ((), ())
    assert ("x-checksum", "7") in exchange.response.trailers


@pytest.mark.asyncio
async def test_only_the_sampled_requests_are_reported_and_both_ends_agree(tmp_path: Path, envoy: Path) -> None:
    async with (
        running_collector(tmp_path / "out", sample_percent=25) as running,
        _recorded_proxy(envoy, tmp_path, collector_port=running.port, sample_percent=25) as proxy,
    ):
        identifiers = await _post(proxy, count=60)
        expected = {one for one in identifiers if is_sampled(one, sample_threshold(25))}
        await _until_recorded(running, len(expected))
        stats = await proxy.stats("ext_proc")
    assert {exchange.request_id for exchange in running.exchanges()} == expected
    assert stats["http.in.ext_proc.streams_started"] == len(expected)
    assert running.counters.sampled_out == 0


@pytest.mark.asyncio
async def test_without_a_collector_every_call_succeeds_and_it_is_used_once_it_is_there(
    tmp_path: Path, envoy: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
    async with _recorded_proxy(envoy, tmp_path, collector_port=port) as proxy:
        await _post(proxy, count=20)
        async with running_collector(tmp_path / "out", port=port) as running, asyncio.timeout(20):
            while not running.counters.recorded:
                await _post(proxy)
        await _post(proxy, count=20)
    assert running.exchanges()


@pytest.mark.asyncio
async def test_a_collector_that_never_reads_delays_nobody(tmp_path: Path, envoy: Path) -> None:
    # The kernel accepts connections for this socket and nothing ever reads them.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with _recorded_proxy(envoy, tmp_path, collector_port=mute.getsockname()[1]) as proxy:
            # Well below the five seconds after which the proxy would find out.
            async with asyncio.timeout(4):
                await _post(proxy, count=20)
                await _post(proxy, count=2, content=b"x" * 5_000_000)
            assert (await proxy.stats("ext_proc"))["http.in.ext_proc.streams_started"] == 22


@pytest.mark.asyncio
async def test_a_filter_that_waits_for_answers_is_let_go(tmp_path: Path, envoy: Path) -> None:
    async with running_collector(tmp_path / "out") as running:
        config = bootstrap(recorder_filter(), collector_port=running.port, upstream_port=None, h2=False)
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"][0]["typed_config"]["observability_mode"] = False
        async with running_envoy(envoy, tmp_path, config) as proxy:
            await _post(proxy, count=3)
    assert running.counters.dropped_protocol == 3
    assert running.counters.recorded == 0
