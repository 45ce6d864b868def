"""Recording by a real proxy's access log, to the real collector."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model.recorder_filter import LOGGED_KEY
from pulumi_traffic_mirror.model.recording import RecorderSettings, logged_digest
from pulumi_traffic_mirror.model.request_sampling import is_sampled, sample_threshold
from pulumi_traffic_mirror.operations.recording import Ending, Exchange, Side
from pulumi_traffic_mirror.operations.recording.access_log import METHOD, SERVICE, LogMessage, exchange_of
from pulumi_traffic_mirror.operations.recording.assembling import LARGEST, Origin
from pulumi_traffic_mirror.operations.recording.schema import to_batch
from tests.support.loopback_collector import LoopbackCollector, running_collector
from tests.support.loopback_envoy import Proxy, bootstrap, recorder_filter, running_envoy
from tests.support.loopback_service import serving

LOGGED = RecorderSettings(
    body_kib=0, access_log_headers=["user-agent", "x-several", "authorization", "set-cookie"]
).logged_headers


async def until_recorded(running: LoopbackCollector, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while running.counters.recorded < count:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """An HTTP service that gives one answer to all, and hangs up after one that is shorter than it says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            size = head.partition(b"content-length:")[2].split(b"\r\n")[0]
            await reader.readexactly(int(size or 0))
            writer.write(answer)
            await writer.drain()
            if b"content-length: 14\r\n" not in answer:
                writer.close()
                return

    async with serving(serve) as port:
        yield port


async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never end it."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")
    await reader.read()  # until the proxy hangs up
    writer.close()


@asynccontextmanager
async def logging_proxy(
    binary: Path,
    folder: Path,
    collector_port: int,
    upstream: int,
    *,
    h2: bool = False,
    action: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Proxy]:
    recorder = recorder_filter(logged_headers=LOGGED, bodies=False, **more)
    config = bootstrap(recorder, collector_port=collector_port, upstream_port=upstream, h2=h2)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"] |= action or {}
    async with running_envoy(binary, folder, config) as proxy:
        yield proxy


REWRITING = {"prefix_rewrite": "/elsewhere", "host_rewrite_literal": "other.example"}
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-other: 1\r\ncontent-length: 14\r\n\r\n{"answer": 42}'
"""Its length is what tells whole answers from those that break off."""


async def post(proxy: Proxy, count: int = 1) -> list[str]:
    identifiers = [str(uuid.uuid4()) for _ in range(count)]
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        for identifier in identifiers:
            headers = [
                *(("x-request-id", identifier), ("authorization", "fake"), ("host", "shop.example")),
                *(("x-several", "a"), ("x-several", "b"), ("x-unnamed", "c")),
            ]
            answer = await client.post(f"{proxy.url}/ask?token=fake&a=1", content=b"question", headers=headers)
            assert answer.status_code == 200
    return identifiers


@pytest.mark.asyncio
@pytest.mark.parametrize("rewritten", [False, True])
async def test_what_was_called_is_recorded_without_bodies_and_credentials(
    tmp_path: Path, envoy: Path, rewritten: bool
) -> None:
    async with (
        running_collector(tmp_path / "out", logged_headers=LOGGED) as running,
        answering(ANSWER) as upstream,
        logging_proxy(
            envoy, tmp_path, running.port, upstream, action=REWRITING if rewritten else None, side="mirror", source="b"
        ) as proxy,
    ):
        (identifier,) = await post(proxy)
        await until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.request_id, exchange.side, exchange.source) == (identifier, Side.MIRROR, "b")
    assert (exchange.method, exchange.authority, exchange.scheme) == ("POST", "shop.example", "http")
    assert exchange.path == "/ask?token=%5Bredacted%5D&a=1"
    assert (exchange.status, exchange.ending, exchange.is_grpc) == (200, Ending.COMPLETE, False)
    assert dict(exchange.request.headers).items() >= {"authorization": "[redacted]", "x-several": "a,b"}.items()
    assert "x-unnamed" not in dict(exchange.request.headers)
    assert dict(exchange.response.headers)["content-type"] == "text/plain"
    parts = [(part.body, part.body_size, part.truncated) for part in (exchange.request, exchange.response)]
    assert parts == [(None, 8, True), (None, 14, True)]
    assert exchange.duration_us is not None
    assert 0 < (exchange.first_byte_us or 0) <= exchange.duration_us
    assert b"fake" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.parquet"))


async def one_of(envoy: Path, folder: Path, answer: bytes, *, method: str = "GET") -> Exchange:
    async with (
        running_collector(folder / "out", logged_headers=LOGGED) as running,
        answering(answer) as upstream,
        logging_proxy(envoy, folder, running.port, upstream) as proxy,
    ):
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            with suppress(httpx.HTTPError):
                await client.request(method, proxy.url)
        await until_recorded(running)
    return running.exchanges()[0]


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_told_as_such(tmp_path: Path, envoy: Path) -> None:
    exchange = await one_of(envoy, tmp_path, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
    assert (exchange.status, exchange.ending, exchange.response.truncated) == (200, Ending.RESET, True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "action", [{"timeout": "0.3s"}, {"idle_timeout": "0.3s"}, {"max_stream_duration": {"max_stream_duration": "0.3s"}}]
)
async def test_an_answer_that_takes_too_long_is_told_as_such(
    tmp_path: Path, envoy: Path, action: Mapping[str, Any]
) -> None:
    async with (
        running_collector(tmp_path / "out", logged_headers=LOGGED) as running,
        serving(stalling) as upstream,
        logging_proxy(envoy, tmp_path, running.port, upstream, action=action) as proxy,
    ):
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            with suppress(httpx.HTTPError):
                await client.get(proxy.url)
        await until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.status, exchange.ending, exchange.response.truncated) == (200, Ending.RESET, True)


@pytest.mark.asyncio
async def test_a_method_that_the_log_has_no_name_for_is_told(tmp_path: Path, envoy: Path) -> None:
    exchange = await one_of(envoy, tmp_path, ANSWER, method="PROPFIND")
    assert (exchange.method, exchange.status) == ("PROPFIND", 200)
    assert all(not name.startswith(":") for name, _ in exchange.request.headers)


@pytest.mark.asyncio
async def test_an_entry_that_cannot_be_read_is_counted_and_hides_no_other(tmp_path: Path) -> None:
    message = LogMessage()
    for second in (253_402_300_800, 2**60, -(2**60), 1_800_000_000):
        entry = message.http_logs.log_entry.add()
        entry.request.path = f"/{second}"
        entry.common_properties.start_time.seconds = second
    entry = message.http_logs.log_entry.add(request={"path": "/endless"})
    entry.common_properties.duration.seconds = 2**60
    entry = message.http_logs.log_entry.add(request={"path": "/huge", "request_body_bytes": 2**64 - 1})
    entry.response.response_code.value, entry.response.response_body_bytes = 2**32 - 1, 2**64 - 1
    async with running_collector(tmp_path / "out", logged_headers=LOGGED) as running:
        metadata = ((LOGGED_KEY, logged_digest(LOGGED or ())),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            call: Any = channel.stream_unary(f"/{SERVICE}/{METHOD}")
            await call(iter([message.SerializeToString()]), metadata=metadata)
        await until_recorded(running, 2)
    huge, usual = running.exchanges()
    assert (usual.path, huge.path, huge.status) == ("/1800000000", "/huge", None)
    assert (huge.request.body_size, huge.response.body_size) == (LARGEST, LARGEST)
    assert running.counters.dropped_protocol == 4


@given(
    seconds=st.integers(-(2**63), 2**63 - 1),
    nanos=st.integers(-(2**31), 2**31 - 1),
    size=st.integers(0, 2**64 - 1),
    status=st.integers(0, 2**32 - 1),
)
def test_what_an_entry_tells_fits_its_columns_or_is_no_time(seconds: int, nanos: int, size: int, status: int) -> None:
    entry = LogMessage().http_logs.log_entry.add(request={"path": "/", "request_body_bytes": size})
    entry.response.response_body_bytes, entry.response.response_code.value = size, status
    for name in ("start_time", "duration", "time_to_first_upstream_rx_byte"):
        span = getattr(entry.common_properties, name)
        span.seconds, span.nanos = seconds, nanos
    with suppress(OverflowError):
        exchange = exchange_of(entry, Origin(side=Side.PRIMARY, source="s"))
        assert exchange is not None
        assert to_batch([exchange]).num_rows == 1


@pytest.mark.asyncio
async def test_cookies_of_an_answer_are_told_one_by_one(tmp_path: Path, envoy: Path) -> None:
    cookies = (b"a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/", b"b=fake; HttpOnly")
    lines = b"".join(b"set-cookie: %b\r\n" % each for each in cookies)
    exchange = await one_of(envoy, tmp_path, ANSWER.replace(b"x-other: 1\r\n", lines))
    assert [name for name, _ in exchange.response.headers].count("set-cookie") == 2


@pytest.mark.asyncio
async def test_an_answer_of_the_proxy_itself_is_an_answer(tmp_path: Path, envoy: Path) -> None:
    exchange = await one_of(envoy, tmp_path, b"nonsense\r\n\r\n")
    assert (exchange.status, exchange.ending) == (502, Ending.COMPLETE)


@pytest.mark.asyncio
async def test_a_caller_that_leaves_is_told_as_such(tmp_path: Path, envoy: Path) -> None:
    begun = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await reader.read()  # until the proxy hangs up
        writer.close()

    async with (
        running_collector(tmp_path / "out", logged_headers=LOGGED) as running,
        serving(serve) as upstream,
        logging_proxy(envoy, tmp_path, running.port, upstream) as proxy,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(20):
            await begun.wait()
        writer.close()
        await until_recorded(running)
    (exchange,) = running.exchanges()
    assert (exchange.status, exchange.ending) == (None, Ending.RESET)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND])
async def test_a_grpc_call_has_its_status(tmp_path: Path, envoy: Path, code: grpc.StatusCode) -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        if code is not grpc.StatusCode.OK:
            await context.abort(code, "no such thing")
        return request * 2

    behaviour: Any = answer
    server = grpc.aio.server()
    handlers = {"Ask": grpc.unary_unary_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    upstream = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with (
        running_collector(tmp_path / "out", logged_headers=LOGGED) as running,
        logging_proxy(envoy, tmp_path, running.port, upstream, h2=True) as proxy,
        grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel,
    ):
        call: Any = channel.unary_unary("/test.Echo/Ask")(b"a", metadata=(("x-request-id", "call-1"),))
        assert await call.code() is code
        await until_recorded(running)
    await server.stop(0)
    (exchange,) = running.exchanges()
    assert (exchange.is_grpc, exchange.request_id, exchange.path) == (True, "call-1", "/test.Echo/Ask")
    assert (exchange.status, exchange.grpc_status, exchange.ending) == (200, code.value[0], Ending.COMPLETE)
    if code is not grpc.StatusCode.OK:
        assert ("grpc-message", "no such thing") in exchange.response.trailers
        assert exchange.response.headers == ()


@pytest.mark.asyncio
async def test_only_the_sampled_requests_are_told(tmp_path: Path, envoy: Path) -> None:
    async with (
        running_collector(tmp_path / "out", logged_headers=LOGGED) as running,
        answering(ANSWER) as upstream,
        logging_proxy(envoy, tmp_path, running.port, upstream, sample_percent=25) as proxy,
    ):
        identifiers = await post(proxy, 60)
        expected = {one for one in identifiers if is_sampled(one, sample_threshold(25))}
        await until_recorded(running, len(expected))
    assert {exchange.request_id for exchange in running.exchanges()} == expected


@pytest.mark.asyncio
async def test_a_collector_that_never_reads_delays_nobody(tmp_path: Path, envoy: Path) -> None:
    # The kernel accepts connections for this socket and nothing ever reads them.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with (
            answering(ANSWER) as upstream,
            logging_proxy(envoy, tmp_path, mute.getsockname()[1], upstream) as proxy,
            asyncio.timeout(4),  # below the five seconds after which the proxy would find out
        ):
            await post(proxy, 200)


@pytest.mark.asyncio
@pytest.mark.parametrize("expected", [None, ("user-agent",)])
async def test_what_a_proxy_with_another_configuration_tells_is_left_out_and_counted(
    tmp_path: Path, envoy: Path, expected: tuple[str, ...] | None
) -> None:
    """As for a moment while settings change: files say which headers they have."""
    async with (
        running_collector(tmp_path / "out", logged_headers=expected or ()) as running,
        answering(ANSWER) as upstream,
        logging_proxy(envoy, tmp_path, running.port, upstream) as proxy,
    ):
        await post(proxy, 3)
        async with asyncio.timeout(20):
            while running.counters.dropped_protocol < 3:
                await asyncio.sleep(0.005)
    assert running.counters.recorded == 0


@pytest.mark.asyncio
async def test_a_header_s_bytes_are_recorded_as_by_the_filter(tmp_path: Path, envoy: Path) -> None:
    exchange = await one_of(envoy, tmp_path, ANSWER.replace(b"x-other: 1", "x-several: é".encode()))
    assert dict(exchange.response.headers)["x-several"] == "\xc3\xa9"
