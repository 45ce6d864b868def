"""Sending recorded requests again, HTTP/1.1, HTTP/2 and gRPC alike, by libcurl."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..recording import Exchange, Headers
from .guard import ReplayGuard
from .libcurl import pycurl
from .outcome import Outcome
from .target import Target
from .transfer import Transfer
from .wire import UnsendableError


class Sender:
    """Sends requests over connections that it keeps, and tells what came of each."""

    def __init__(
        self,
        target: Target,
        *,
        timeout_seconds: float,
        max_body_bytes: int,
        speed: float | None,
        max_in_flight: int,
        guard: ReplayGuard,
    ) -> None:
        """Prepare; connections are made as they are needed.

        Args:
            target: Where to.
            timeout_seconds: Bound on the whole of one request, beside the time that a stream's messages take.
            max_body_bytes: Bytes kept of each answer.
            speed: Factor on the distances between the messages of one stream; ``None`` sends them without.
            max_in_flight: Requests at once at most, so connections that are kept.
            guard: Tells which gRPC methods may be called again, so also when a connection died.

        Raises:
            ValidationError: The target's certificates cannot be read.
        """
        target.check_certificates()
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._speed = speed
        self._guard = guard
        self._free: dict[tuple[bool, bool, bool], list[Transfer]] = defaultdict(list)
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_in_flight)

    def send(self, exchange: Exchange, headers: Headers, on_end: Callable[[Outcome], None]) -> None:
        """Send one request.

        Args:
            exchange: The recorded one.
            headers: What is sent in place of its headers.
            on_end: Told what came, whatever it is; perhaps at once.
        """
        exchange = replace(exchange, path=self._target.path_of(exchange.path)) if self._target.rewrites else exchange
        authority = self._target.authority_of(exchange.authority)
        kind = Transfer.kind_of(self._target, exchange)
        free = self._free[kind]
        transfer = free.pop() if free else Transfer(self._target, *kind)

        def begin(end: Callable[["asyncio.Future[Any]"], None]) -> None:
            try:
                transfer.begin(
                    exchange,
                    headers,
                    authority=authority,
                    timeout_seconds=self._timeout_seconds,
                    max_body_bytes=self._max_body_bytes,
                    speed=self._speed,
                    may_be_called_again=self._guard.names(exchange),
                )
                ending = self._multi.add_handle(transfer.curl)
            except Exception as error:  # one request that cannot be sent must not end the others
                reason = str(error) if isinstance(error, UnsendableError) else type(error).__name__
                on_end(Outcome(failure=f"cannot be sent: {reason}"))
                return
            ending.add_done_callback(end)

        def end_or_repeat(ending: "asyncio.Future[Any]") -> None:
            error = None if ending.cancelled() else ending.exception()
            if error is not None and transfer.may_repeat(error):
                begin(end)
            else:
                end(ending)

        def end(ending: "asyncio.Future[Any]") -> None:
            error = asyncio.CancelledError() if ending.cancelled() else ending.exception()
            try:
                outcome = transfer.outcome(error)
            except Exception as unexpected:  # nor one that nobody can read
                outcome = Outcome(failure=f"cannot be read: {type(unexpected).__name__}")
            free.append(transfer)
            on_end(outcome)

        begin(end_or_repeat)

    def abandon(self) -> None:
        """End what is still in flight; each is told of as cut off."""
        for ending in self._multi.futures():
            ending.cancel()

    async def close(self) -> None:
        """Close all connections."""
        await self._multi.aclose()
