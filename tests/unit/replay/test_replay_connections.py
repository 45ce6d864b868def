"""What happens to connections while requests are on them, as a good client takes it."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.recording import Ending, Part
from pulumi_traffic_mirror.operations.replay import HttpVersion, Pace, Target
from tests.support.certificates import make_certificates
from tests.support.loopback_envoy import bootstrap, recorder_filter, running_envoy
from tests.support.loopback_h2 import h2_service
from tests.support.loopback_service import free_port, serving
from tests.support.replayed import recorded_call, recorded_request, results_of, unary_service

pytestmark = pytest.mark.slow

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def _h2(url: str, **changes: Any) -> Target:
    return Target(url=url, http_version=HttpVersion.HTTP_2, **changes)


@asynccontextmanager
async def _http(
    answer: Callable[[int, str, asyncio.StreamWriter], Awaitable[bool]],
) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP/1.1 service: ``answer`` gets the number of a request on its connection, tells whether that goes on."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1_000_000):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = head.lower().partition("content-length:")[2].split("\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            seen.append(head + body.decode("latin-1"))
            if not await answer(number, head, writer):
                return

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", seen


def _requests(count: int, method: str, body: bytes | None = None) -> list[Any]:
    return [recorded_request(n, method=method, path=f"/{n}", request=Part(body=body)) for n in range(count)]


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_goes_away_in_good_order_loses_no_answer(tmp_path: Path, method: str) -> None:
    """As nginx does it: later streams are not looked at, and the connection ends with the last answer."""

    async def answer(number: int, _headers: dict[str, str]) -> list[Any]:
        steps: list[Any] = [("headers", [(":status", "200")], False), ("data", b"ok", True)]
        if number > 9:
            return []
        return [*steps, ("goaway", 9), ("wait", 0.02), ("close",)] if number == 9 else steps

    recorded = _requests(200, method, b"x" if method == "POST" else None)
    async with h2_service(answer) as (url, seen):
        report, results = await results_of(tmp_path, recorded, _h2(url), pace=Pace(rate=5000), max_in_flight=16)
    assert (report.completed, report.failures) == (200, {})
    assert {result.response.body for result in results} == {b"ok"}
    assert {request[":path"] for request in seen} == {f"/{n}" for n in range(200)}


@asynccontextmanager
async def _draining_envoy(
    binary: Path, folder: Path, bound: dict[str, Any], *, upstream: int | None
) -> AsyncIterator[str]:
    """An Envoy that bounds its connections, in front of a gRPC service or answering itself."""
    config = bootstrap(recorder_filter(), collector_port=1, upstream_port=upstream, h2=True)
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    # Nobody records here.
    manager["http_filters"] = manager["http_filters"][-1:]
    manager["common_http_protocol_options"] = bound
    async with running_envoy(binary, folder, config) as proxy:
        yield proxy.url


@pytest.mark.asyncio
@pytest.mark.parametrize("bound", [{"max_requests_per_connection": 20}, {"max_connection_duration": "0.3s"}])
@pytest.mark.parametrize("version", ["1.1", "2", "grpc"])
async def test_an_envoy_that_drains_its_connections_loses_no_answer(
    tmp_path: Path, envoy: Path, bound: dict[str, Any], version: str
) -> None:
    async def echo(message: bytes, _context: Any) -> bytes:
        return message

    async with AsyncExitStack() as stack:
        if version == "grpc":
            upstream = int((await stack.enter_async_context(unary_service(echo))).rpartition(":")[2])
            recorded = [replace(recorded_call("Ask", [b"a"]), request_id=f"{n}") for n in range(500)]
        else:
            upstream, recorded = None, _requests(500, "GET")
        url = await stack.enter_async_context(_draining_envoy(envoy, tmp_path, bound, upstream=upstream))
        target = Target(url=url, http_version=HttpVersion.HTTP_1_1 if version == "1.1" else HttpVersion.HTTP_2)
        report, _ = await results_of(tmp_path, recorded, target, pace=Pace(rate=500), max_in_flight=32)
    assert report.failures == {}
    assert report.statuses == {"grpc 0" if version == "grpc" else "200": 500}


@pytest.mark.asyncio
async def test_connections_that_a_server_closes_after_each_answer_lose_none(tmp_path: Path) -> None:
    async def answer(_number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(_OK)
        await writer.drain()
        return False

    async with _http(answer) as (url, _):
        report, _ = await results_of(tmp_path, _requests(100, "GET"), url, pace=Pace(rate=1000), max_in_flight=4)
    assert (report.completed, report.failures) == (100, {})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "body", "times"), [("GET", None, 2), ("PUT", b"x", 2), ("POST", b"x", 1), ("POST", None, 1)]
)
async def test_only_what_may_be_repeated_is_sent_again_when_a_kept_connection_dies(
    tmp_path: Path, method: str, body: bytes | None, times: int
) -> None:
    """The second request of each connection is read and never answered."""

    async def answer(number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        if number == 0:
            writer.write(_OK)
            await writer.drain()
        return number == 0

    first, second = (
        recorded_request(0, path="/first"),
        recorded_request(1, method=method, path="/second", request=Part(body=body)),
    )
    async with _http(answer) as (url, seen):
        report, _ = await results_of(tmp_path, [first, second], url, max_in_flight=1)
    asked = Counter(head.split(" ")[1] for head in seen)
    if method == "POST" and body is None:
        assert (report.completed, asked["/second"]) == (2, 1), "it had a connection of its own"
    else:
        assert asked["/second"] == times
        assert report.failures == ({} if times == 2 else {"connection closed without an answer": 1})


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1)])
async def test_the_same_holds_over_http_2(tmp_path: Path, method: str, times: int) -> None:
    async def answer(number: int, _headers: dict[str, str]) -> list[Any]:
        return [("close",)] if number else [("headers", [(":status", "200")], True)]

    second = recorded_request(1, method=method, path="/second", request=Part(body=b"x"))
    async with h2_service(answer) as (url, seen):
        report, _ = await results_of(tmp_path, [recorded_request(0), second], _h2(url), max_in_flight=1)
    assert [request[":path"] for request in seen].count("/second") == times
    assert report.failures == ({} if times == 2 else {"connection closed without an answer": 1})


@pytest.mark.asyncio
async def test_a_server_that_never_answers_is_asked_no_more_than_twice(tmp_path: Path) -> None:
    async def answer(_number: int, _head: str, _writer: asyncio.StreamWriter) -> bool:
        return False

    async with _http(answer) as (url, seen):
        report, (result,) = await results_of(tmp_path, _requests(1, "GET"), url)
    assert report.failures == {"connection closed without an answer": 1}
    assert len(seen) <= 2
    assert (result.status, result.ending) == (None, Ending.RESET)


@pytest.mark.asyncio
@pytest.mark.parametrize("hangs", [False, True])
async def test_what_came_of_an_answer_that_broke_off_or_timed_out_is_kept(tmp_path: Path, hangs: bool) -> None:
    async def answer(_number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nserver: t\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        if hangs:
            await asyncio.sleep(60)
        return False

    async with _http(answer) as (url, _):
        report, (result,) = await results_of(tmp_path, _requests(1, "GET"), url, timeout_seconds=0.5)
    assert report.failures == {"timeout" if hangs else "answer broke off": 1}
    assert (result.status, result.ending, result.response.truncated) == (200, Ending.RESET, True)
    assert (result.response.body, ("server", "t") in result.response.headers) == (b"half", True)


@pytest.mark.asyncio
async def test_trailers_go_and_come(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\nx-sum: 7\r\n\r\n"))
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n")
        writer.write(b"server: t\r\n\r\n3\r\nabc\r\n0\r\nx-took: 5\r\n\r\n")
        await writer.drain()

    recorded = recorded_request(method="POST", request=Part(body=b"hello", trailers=(("x-sum", "7"),)))
    async with serving(serve) as port:
        report, (result,) = await results_of(tmp_path, [recorded], f"http://127.0.0.1:{port}")
    assert report.statuses == {"200": 1}
    assert requests[0].lower().endswith(b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")
    assert (result.response.body, result.response.trailers) == (b"abc", (("x-took", "5"),))
    assert "link" not in dict(result.response.headers)


@pytest.mark.asyncio
async def test_trailers_that_cannot_be_sent_are_told(tmp_path: Path) -> None:
    recorded = recorded_request(method="POST", request=Part(body=b"hello", trailers=(("x-sum", "7"),)))
    report, _ = await results_of(tmp_path, [recorded], _h2(f"http://127.0.0.1:{free_port()}"))
    assert report.failures == {"cannot be sent: trailers over HTTP/2": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "GE T"}, "cannot be sent: its method is no token"),
        ({"path": "/a b"}, "cannot be sent: its path has spaces or control characters"),
        ({"path": "/\u20ac"}, "cannot be sent: it has characters that are no bytes"),
        ({"authority": "a\r\nb"}, "cannot be sent: a header's value has line breaks"),
        ({"request": Part(headers=(("a b", "c"),))}, "cannot be sent: a header's name is no token"),
        ({"request": Part(headers=(("a", "b\r\nc: d"),))}, "cannot be sent: a header's value has line breaks"),
    ],
)
async def test_what_no_request_can_carry_is_not_sent(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    async def answer(_number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(_OK)
        await writer.drain()
        return True

    async with _http(answer) as (url, seen):
        report, _ = await results_of(tmp_path, [recorded_request(**changes), recorded_request(1)], url)
    assert (report.completed, report.failures) == (1, {reason: 1})
    assert len(seen) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"hello\r\nworld\r\n\r\n", "no HTTP answer"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
            "chunk hex-length char not a hex digit: N",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"x: %s\r\n" % (b"y" * 9000) * 60 + b"\r\n", "Too large response headers: N > N"),
        (b"", "connection closed without an answer"),
    ],
)
async def test_nonsense_is_told_in_words(tmp_path: Path, answer: bytes, reason: str) -> None:
    async def nonsense(_number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        await writer.drain()
        return False

    async with _http(nonsense) as (url, _):
        report, _ = await results_of(tmp_path, _requests(1, "GET"), url)
    assert report.failures == {reason: 1}


@pytest.mark.asyncio
async def test_methods_and_bodies_are_sent_as_they_were(tmp_path: Path) -> None:
    async def answer(_number: int, head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(_OK.removesuffix(b"ok") if head.startswith("HEAD") else _OK)
        await writer.drain()
        return True

    cases = [
        ("HEAD", None, ""),
        ("DELETE", None, ""),
        ("OPTIONS", None, ""),
        ("POST", None, "Content-Length: 0\r\n"),
        ("PATCH", "p", "Content-Length: 1\r\n"),
        ("GET", "g", "Content-Length: 1\r\n"),
    ]
    recorded = [
        recorded_request(
            n, method=method, path="/x", request=Part(headers=(("x-empty", ""),), body=body and body.encode())
        )
        for n, (method, body, _) in enumerate(cases)
    ]
    async with _http(answer) as (url, seen):
        report, _ = await results_of(tmp_path, recorded, url, max_in_flight=1, run_id="r")
    assert report.failures == {}
    assert [text.replace("x-traffic-replay: r\r\n", "") for text in seen] == [
        f"{method} /x HTTP/1.1\r\nHost: shop.example:8000\r\nx-empty:\r\n{length}\r\n{body or ''}"
        for method, body, length in cases
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_grpc", [False, True])
async def test_variables_for_proxies_are_nothing_to_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_grpc: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    async def answer(_number: int, _headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")], True)]

    recorded = recorded_call("Ask", [b"a"]) if is_grpc else recorded_request()
    async with h2_service(answer) as (url, _):
        report, _ = await results_of(tmp_path, [recorded], _h2(url))
    assert report.statuses == {"grpc 0" if is_grpc else "200": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("is_grpc", [False, True])
async def test_an_unreachable_target_is_a_counted_failure(tmp_path: Path, is_grpc: bool) -> None:
    exchange = recorded_call("Echo", [b"a"]) if is_grpc else recorded_request()
    report, (result,) = await results_of(tmp_path, [exchange], f"http://127.0.0.1:{free_port()}")
    assert (report.failures, report.holds) == ({"connection refused": 1}, False)
    assert (result.ending, result.status) == (Ending.RESET, None)


@pytest.mark.asyncio
async def test_plain_http_goes_over_http_2_when_asked(tmp_path: Path) -> None:
    async def answer(_number: int, headers: dict[str, str]) -> list[Any]:
        return [("headers", [(":status", "200")], False), ("data", headers["body"].encode(), True)]

    recorded = [recorded_request(n, method="POST", request=Part(body=b"b%d" % n)) for n in range(3)]
    async with h2_service(answer) as (url, seen):
        report, results = await results_of(tmp_path, recorded, _h2(url))
    assert report.completed == 3
    assert {(h[":authority"], h[":method"], h["content-length"]) for h in seen} == {("shop.example:8000", "POST", "2")}
    assert {h[":path"] for h in seen} == {f"/things/{n}?a=%2F.." for n in range(3)}
    assert {(e.request_id, e.response.body) for e in results} == {(f"id-{n}", b"b%d" % n) for n in range(3)}


@asynccontextmanager
async def _tls(folder: Path, *, alpn: list[str] | None = None) -> AsyncIterator[str]:
    """An HTTP/1.1 service with TLS whose certificate is for ``shop.example`` and which wants one of its clients."""
    make_certificates(folder, "shop.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    if alpn:
        context.set_alpn_protocols(alpn)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_OK)
                await writer.drain()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.asyncio
async def test_a_target_with_tls_is_believed_by_its_certificate_and_name(tmp_path: Path) -> None:
    files = {"certificate_file": tmp_path / "certificate.pem", "key_file": tmp_path / "key.pem"}
    ca = {"ca_file": tmp_path / "ca.pem"}
    async with _tls(tmp_path) as url:
        cases: list[tuple[dict[str, Any], str]] = [
            ({**ca, **files, "server_name": "shop.example"}, ""),
            ({**ca, **files, "server_name": "other.example"}, "no alternative certificate subject name matches"),
            ({**files, "server_name": "shop.example"}, "self-signed certificate in certificate chain"),
        ]
        for number, (options, words) in enumerate(cases):
            folder = tmp_path / str(number)
            report, _ = await results_of(folder, [recorded_request()], Target(url=url, **options))
            assert report.statuses == ({} if words else {"200": 1})
            assert all(words in reason for reason in report.failures)
            assert len(report.failures) == bool(words)


@pytest.mark.asyncio
async def test_a_target_that_does_not_speak_http_2_is_told_as_such(tmp_path: Path) -> None:
    async def answer(_number: int, _head: str, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        return False

    async with _http(answer) as (url, _):
        report, _ = await results_of(tmp_path, [recorded_request()], _h2(url))
    assert report.completed == 0
    (reason,) = report.failures
    assert "Perhaps, peer does not support HTTP/2" in reason
