"""HTTP/1.1 to one Envoy and behind it: callers' connections, and the sink's."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Final, cast

import httptools

from ..recording.exchange import Headers
from ..replay.wire import UnsendableError, request_line
from .bootstrap import ARRIVAL, CLUSTER, DRAW, NUMBER, ROUTE
from .fates import Arrival

_OWN: Final = frozenset({NUMBER, DRAW, CLUSTER})
_NO_VALUE: Final = re.compile(r"[\r\n\0]")
_CHUNK: Final = 65_536
_ZEROS: Final = bytes(_CHUNK)
_LONGEST_KEPT: Final = 4_096
"""Bytes of a proxy's own answer that are kept; longer ones differ before that."""


class ClosedError(Exception):
    """A connection ended before the answer, or what came was no HTTP."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """A request's body.

    Attributes:
        data: What is known of it.
        size: Bytes to send; what is not known of them are zeros.
    """

    data: bytes = field(default=b"", repr=False)
    size: int = 0

    def chunks(self) -> Iterator[bytes]:
        """The bytes in pieces."""
        for begin in range(0, len(self.data), _CHUNK):
            yield self.data[begin : begin + _CHUNK]
        for left in range(self.size - len(self.data), 0, -_CHUNK):
            yield _ZEROS[:left]


NO_BODY: Final = Body()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the caller of a request gets.

    Attributes:
        status: HTTP status.
        headers: Headers, without the sink's own.
        body: First bytes of the body.
        arrival: Which arrival at the sink is answered; None where the proxy answers itself.
        route: Index of the route that was taken, where the answer tells.
    """

    status: int
    headers: Headers
    body: bytes
    arrival: int | None
    route: int | None


class Line(asyncio.Protocol):
    """A connection over which requests are sent one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._without_body = False
        self._wake = asyncio.Event()
        self._paused = False
        self._open = True
        self.reusable = True
        """Whether another request may follow."""
        self._begin()

    def _begin(self) -> None:
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._kept = 0
        self._status = 0
        self._complete = False

    async def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: Body = NO_BODY) -> Answer:
        """Send a request and read its answer.

        Raises:
            UnsendableError: Something in it is no HTTP/1.1.
            ClosedError: The connection ends before the answer, or what comes is no HTTP.
        """
        head = head_of(method, target, [*headers, ("content-length", str(body.size))] if body.size else headers)
        transport = cast("asyncio.Transport", self._transport)
        self._begin()
        self._without_body = method in ("HEAD", "CONNECT")
        self._wake.clear()
        transport.write(head)
        for chunk in body.chunks():
            while self._paused and self._open and not self._complete:
                await self._wake.wait()
                self._wake.clear()
            if self._complete or not self._open:
                self.reusable = False  # answered before all was sent
                break
            transport.write(chunk)
        while self._open and not self._complete:
            await self._wake.wait()
            self._wake.clear()
        if not self._complete:
            self.reusable = False
            raise ClosedError("the connection was closed before the answer")
        return self._answer()

    def _answer(self) -> Answer:
        told = {name: int(value) for name, value in self._headers if name in (ARRIVAL, ROUTE) and value.isdecimal()}
        return Answer(
            status=self._status,
            headers=tuple(each for each in self._headers if each[0] not in (ARRIVAL, ROUTE)),
            body=b"".join(self._body)[:_LONGEST_KEPT],
            arrival=told.get(ARRIVAL),
            route=told.get(ROUTE),
        )

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._complete:
            self.reusable = False  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.reusable = False
        except httptools.HttpParserError:
            self._open = self.reusable = False
            self._wake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        if not self._complete and self._status and self._reads_to_its_end():
            self._complete = True  # a body that the connection's end ends
        self._open = self.reusable = False
        self._wake.set()

    def _reads_to_its_end(self) -> bool:
        names = {name for name, _ in self._headers}
        return not names & {"content-length", "transfer-encoding"}

    def pause_writing(self) -> None:
        """Hold the body back."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with the body."""
        self._paused = False
        self._wake.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append(_text(name, value))

    def on_headers_complete(self) -> None:
        """Note the status."""
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # noqa: PLR2004 -- an interim answer
            self._headers = []
            return
        self._status = status
        if self._without_body or status == 101:  # noqa: PLR2004 -- the parser would wait for a body, or switch protocols
            self.reusable = False
            self._end()

    def on_body(self, body: bytes) -> None:
        """Keep the first bytes."""
        if self._kept < _LONGEST_KEPT:
            self._body.append(body)
            self._kept += len(body)

    def on_message_complete(self) -> None:
        """Note that the answer is there."""
        if self._status:
            self.reusable = self.reusable and self._parser.should_keep_alive()
            self._end()

    def _end(self) -> None:
        self._complete = True
        self._wake.set()


@dataclass(kw_only=True)
class Sink:
    """Answers every request with 200 and nothing, and keeps what arrived.

    Attributes:
        arrivals: By the number of the request, each with the number of the arrival.
    """

    arrivals: dict[int, list[tuple[int, Arrival]]] = field(default_factory=dict[int, list[tuple[int, Arrival]]])
    _count: int = 0

    def line(self) -> asyncio.Protocol:
        """One connection."""
        return _SinkLine(self)

    def arrived(self, method: str, path: str, headers: Headers, size: int) -> bytes:
        """Keep a request; return the answer."""
        told = dict(headers)
        self._count += 1
        arrival = Arrival(
            cluster=told.get(CLUSTER, ""),
            method=method,
            path=path,
            headers=tuple(each for each in headers if each[0] not in _OWN),
            size=size,
        )
        if (number := told.get(NUMBER, "")).isdecimal():
            self.arrivals.setdefault(int(number), []).append((self._count, arrival))
        answer = f"HTTP/1.1 200 OK\r\n{ARRIVAL}: {self._count}\r\ncontent-length: 0\r\n"
        if told.get("content-type", "").startswith("application/grpc"):
            answer += "content-type: application/grpc\r\ngrpc-status: 0\r\n"
        return f"{answer}\r\n".encode()


class _SinkLine(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            # What asks for another protocol was answered, and no HTTP follows it; the proxy sends no nonsense.
            if self._transport is not None:
                self._transport.close()

    def on_message_begin(self) -> None:
        self._path = b""
        self._headers: list[tuple[str, str]] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append(_text(name, value))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii")
        answer = self._sink.arrived(method, self._path.decode("latin-1"), tuple(self._headers), self._size)
        if self._transport is not None:
            self._transport.write(answer)


@lru_cache(maxsize=16_384)
def _text(name: bytes, value: bytes) -> tuple[str, str]:
    return intern(name.decode("latin-1").lower()), value.decode("latin-1")


def head_of(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a request's head.

    Raises:
        UnsendableError: It would not be one request.
    """
    name, path = request_line(method, target)
    lines = [_line(*each) for each in headers]
    return b"".join([name.encode(), b" ", path, b" HTTP/1.1\r\n", *lines, b"\r\n"])


@lru_cache(maxsize=16_384)
def _line(name: str, value: str) -> bytes:
    request_line(name, "/")  # a name is a token, as a method is
    if _NO_VALUE.search(value):
        raise UnsendableError("a header's value has line breaks")
    try:
        return f"{name}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        raise UnsendableError("it has characters that are no bytes") from None
