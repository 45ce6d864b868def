"""Sending recorded HTTP requests again, over HTTP/1.1 or HTTP/2."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpcore

from ..recording import Exchange, Headers, Part
from .outcome import Outcome, microseconds_since
from .target import HttpVersion, Target

_FAILURES: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable, OSError)


class HttpSender:
    """Sends plain HTTP requests over a pool of connections."""

    def __init__(self, target: Target, *, timeout_seconds: float, max_body_bytes: int) -> None:
        """Prepare; connections are made as they are needed.

        Args:
            target: Where to.
            timeout_seconds: Bound on the whole of one request.
            max_body_bytes: Bytes kept of each response body.

        Raises:
            ValidationError: The target's certificates cannot be read.
        """
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._connections = _Connections(target)

    async def send(self, exchange: Exchange, headers: Headers) -> Outcome:
        """Send one request and read its response; failures are part of the outcome."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(exchange, headers, started)
        except (TimeoutError, httpcore.TimeoutException):
            return Outcome(failure="timeout", duration_us=microseconds_since(started))
        except _FAILURES as error:
            return Outcome(failure=type(error).__name__, duration_us=microseconds_since(started))

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def _exchange(self, exchange: Exchange, headers: Headers, started: float) -> Outcome:
        body = exchange.request.body or b""
        authority = self._target.authority_of(exchange.authority)
        wire = [(b"host", authority.encode("latin-1"))]
        wire += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if body or exchange.method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
            wire.append((b"content-length", str(len(body)).encode()))
        url = httpcore.URL(
            scheme=self._target.scheme.encode(),
            host=self._target.host.encode("idna"),
            port=self._target.port,
            target=exchange.path.encode("latin-1"),
        )
        extensions: dict[str, Any] = {}
        if self._target.server_name:
            extensions["sni_hostname"] = self._target.server_name
        request = httpcore.Request(exchange.method, url, headers=wire, content=body, extensions=extensions)
        async with self._connections.lent() as connection:
            response = await connection.handle_async_request(request)
            first_byte_us = microseconds_since(started)
            kept, size = bytearray(), 0
            try:
                async for chunk in response.aiter_stream():
                    size += len(chunk)
                    kept += chunk[: max(0, self._max_body_bytes - len(kept))]
            finally:
                await response.aclose()
        return Outcome(
            status=response.status,
            first_byte_us=first_byte_us,
            duration_us=microseconds_since(started),
            response=Part(
                headers=tuple((n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in response.headers),
                body=bytes(kept),
                body_size=size,
                truncated=size > len(kept),
            ),
        )


class _Connections:
    """Connections to one target, the last one used first.

    The library's own pool looks at every idle connection for every request, which with some hundred of them takes
    longer than the request (measured: 30 requests per second).
    """

    def __init__(self, target: Target) -> None:
        self._is_h2 = target.http_version is HttpVersion.HTTP_2
        self._ssl_context = target.ssl_context()
        self._origin = httpcore.Origin(target.scheme.encode(), target.host.encode("idna"), target.port)
        self._idle: list[httpcore.AsyncHTTPConnection] = []
        self._retired: list[httpcore.AsyncHTTPConnection] = []

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[httpcore.AsyncHTTPConnection]:
        """Lend a connection for one request; with HTTP/2 it is shared meanwhile."""
        connection = await self._usable()
        if self._is_h2:
            self._idle.append(connection)
            yield connection
            return
        try:
            yield connection
        except BaseException:
            # Something of the answer may still come, so it can serve nobody else.
            await connection.aclose()
            raise
        if connection.is_idle():
            self._idle.append(connection)

    async def close(self) -> None:
        """Close all that nobody uses."""
        for connection in (*self._idle, *self._retired):
            await connection.aclose()

    async def _usable(self) -> httpcore.AsyncHTTPConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            if self._is_h2 and not connection.is_closed():
                # Others may still be reading from it.
                self._retired.append(connection)
            else:
                await connection.aclose()
        return httpcore.AsyncHTTPConnection(
            self._origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=30.0,
            http1=not self._is_h2,
            http2=self._is_h2,
        )
