"""Sending recorded HTTP requests again, over HTTP/1.1 or HTTP/2."""

import asyncio
import time
from typing import Any, Final

import httpcore

from ..recording import Exchange, Headers, Part
from .outcome import Outcome, microseconds_since
from .target import HttpVersion, Target

_FAILURES: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable, OSError)


class HttpSender:
    """Sends plain HTTP requests over a pool of connections."""

    def __init__(self, target: Target, *, max_connections: int, timeout_seconds: float, max_body_bytes: int) -> None:
        """Prepare; connections are made as they are needed.

        Args:
            target: Where to.
            max_connections: Connections held at once; with HTTP/2 each carries many requests.
            timeout_seconds: Bound on the whole of one request.
            max_body_bytes: Bytes kept of each response body.

        Raises:
            ValidationError: The target's certificates cannot be read.
        """
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        is_h2 = target.http_version is HttpVersion.HTTP_2
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=target.ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=30.0,
            http1=not is_h2,
            http2=is_h2,
        )

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
        await self._pool.aclose()

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
        response = await self._pool.handle_async_request(request)
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
