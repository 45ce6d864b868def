"""Sending recorded requests again, HTTP/1.1, HTTP/2 and gRPC alike, by libcurl."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ..recording import Exchange, Headers
from .guard import ReplayGuard
from .multi import Multi
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
        self._multi = Multi(max_connections=max_in_flight)

    def send(self, exchange: Exchange, headers: Headers, on_end: Callable[[Outcome], None]) -> None:
        """Send one request.

        Args:
            exchange: The recorded one.
            headers: What is sent in place of its headers.
            on_end: Told what came, whatever it is; perhaps at once.
        """
        exchange = replace(exchange, path=self._target.path_of(exchange.path)) if self._target.rewrites else exchange
        kind = Transfer.kind_of(self._target, exchange)
        free = self._free[kind]
        transfer = free.pop() if free else Transfer(self._target, *kind)
        self._begin(_Sending(exchange, headers, on_end, transfer, free), self._end_or_repeat)

    def _begin(self, sending: "_Sending", end: "Callable[[_Sending, BaseException | None], None]") -> None:
        exchange, transfer = sending.exchange, sending.transfer
        try:
            transfer.begin(
                exchange,
                sending.headers,
                authority=self._target.authority_of(exchange.authority),
                timeout_seconds=self._timeout_seconds,
                max_body_bytes=self._max_body_bytes,
                speed=self._speed,
                may_be_called_again=self._guard.names(exchange),
            )
            self._multi.add(transfer.curl, partial(end, sending))
        except Exception as error:  # one request that cannot be sent must not end the others
            reason = str(error) if isinstance(error, UnsendableError) else type(error).__name__
            sending.on_end(Outcome(failure=f"cannot be sent: {reason}"))

    def _end_or_repeat(self, sending: "_Sending", error: BaseException | None) -> None:
        if error is not None and sending.transfer.may_repeat(error):
            self._begin(sending, self._end)
        else:
            self._end(sending, error)

    def _end(self, sending: "_Sending", error: BaseException | None) -> None:
        try:
            outcome = sending.transfer.outcome(error)
        except Exception as unexpected:  # nor one that nobody can read
            outcome = Outcome(failure=f"cannot be read: {type(unexpected).__name__}")
        sending.free.append(sending.transfer)
        sending.on_end(outcome)

    def abandon(self) -> None:
        """End what is still in flight; each is told of as cut off."""
        self._multi.cancel()

    def close(self) -> None:
        """Close all connections."""
        self._multi.close()


class _Sending(NamedTuple):
    """A request on its way."""

    exchange: Exchange
    headers: Headers
    on_end: Callable[[Outcome], None]
    transfer: Transfer
    free: list[Transfer]
    """Where the transfer goes when it is done."""
