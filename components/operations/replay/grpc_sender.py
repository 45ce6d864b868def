"""Sending recorded gRPC calls again as raw messages, unary and streaming alike, without generated stubs."""

import asyncio
import time
from base64 import b64decode, b64encode
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import quote

import grpc
import grpc.aio

from ...model import ValidationError
from ..recording import Exchange, Headers, Message, Part
from ..recording.codings import decode
from .outcome import US_PER_SECOND, Outcome, microseconds_since
from .target import Target

_MAX_CHANNELS: Final = 64
"""Channels kept, one for each authority; a recording behind one gateway has a few."""

_OWN_HEADERS: Final = frozenset({"content-type", "user-agent", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"})
"""Headers that the gRPC library writes itself."""

_UNQUOTED: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""Characters that stand for themselves in grpc-message. Source: gRPC over HTTP/2, "Percent-Encoded"."""

_LOCAL: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""Status codes that this end also makes up itself, when no response came."""


class GrpcSender:
    """Sends gRPC calls over one channel for each authority."""

    def __init__(
        self, target: Target, *, timeout_seconds: float, max_body_bytes: int, speed: float | None = 1.0
    ) -> None:
        """Prepare; connections are made as they are needed.

        Args:
            target: Where to.
            timeout_seconds: Bound on the whole of one call, beside the time its messages take.
            max_body_bytes: Bytes kept of each call's response messages.
            speed: Factor on the distances between the messages of one stream; ``None`` sends them at once.

        Raises:
            ValidationError: The target's certificates cannot be read.
        """
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._max_body_bytes = max_body_bytes
        self._speed = speed
        self._credentials = _credentials(target)
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def send(self, exchange: Exchange, headers: Headers) -> Outcome:
        """Send one call and read its response; failures are part of the outcome."""
        messages = _plain(exchange.request)
        if messages is None:
            return Outcome(failure="unknown message encoding")
        channel = await self._channel(self._target.authority_of(exchange.authority))
        started = time.perf_counter()
        stub: Any = channel
        call = stub.stream_stream(exchange.path.partition("?")[0])(
            metadata=_metadata(headers), timeout=self._timeout_seconds + self._pause(messages)
        )
        try:
            return await self._talk(call, messages, started)
        except grpc.aio.AioRpcError as error:
            return Outcome(failure=error.code().name.lower(), duration_us=microseconds_since(started))
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels.values():
            await channel.close()

    async def _talk(self, call: Any, messages: tuple[Message, ...], started: float) -> Outcome:  # noqa: ANN401 -- grpc.aio's call is generic
        sending = asyncio.ensure_future(self._write(call, messages, started))
        try:
            received, size, kept = await self._read(call, started)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        code: grpc.StatusCode = await call.code()
        initial, trailing = _headers(await call.initial_metadata()), _headers(await call.trailing_metadata())
        duration_us = microseconds_since(started)
        if code in _LOCAL and not initial and not trailing:
            name = "timeout" if code is grpc.StatusCode.DEADLINE_EXCEEDED else "unavailable"
            return Outcome(failure=name, duration_us=duration_us)
        number: int = code.value[0]
        return Outcome(
            status=200,
            grpc_status=number,
            first_byte_us=received[0].offset_us if received else duration_us,
            duration_us=duration_us,
            response=Part(
                headers=initial,
                body_size=size,
                truncated=size > kept,
                messages=tuple(received),
                trailers=(*trailing, ("grpc-status", str(number)), *_grpc_message(await call.details())),
            ),
        )

    async def _write(self, call: Any, messages: tuple[Message, ...], started: float) -> None:  # noqa: ANN401 -- see above
        try:
            for message in messages:
                if self._speed is not None:
                    due = started + message.offset_us / US_PER_SECOND / self._speed
                    await asyncio.sleep(due - time.perf_counter())
                await call.write(message.data)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The target ended the call first; reading tells how.
            return

    async def _read(self, call: Any, started: float) -> tuple[list[Message], int, int]:  # noqa: ANN401 -- see above
        received: list[Message] = []
        size = kept = 0
        while True:
            try:
                data: Any = await call.read()
            except grpc.aio.AioRpcError:
                break
            if data is grpc.aio.EOF:
                break
            part: bytes = data[: max(0, self._max_body_bytes - kept)]
            size, kept = size + len(data), kept + len(part)
            received.append(
                Message(
                    offset_us=microseconds_since(started), size=len(data), data=part, truncated=len(part) < len(data)
                )
            )
        return received, size, kept

    async def _channel(self, authority: str) -> grpc.aio.Channel:
        channel = self._channels.get(authority)
        if channel is None:
            if len(self._channels) >= _MAX_CHANNELS:
                _, oldest = self._channels.popitem(last=False)
                # What still runs on it may end.
                await oldest.close(self._timeout_seconds)
            options: list[tuple[str, Any]] = [
                ("grpc.default_authority", authority),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ]
            if self._target.is_secure:
                options.append(("grpc.ssl_target_name_override", self._target.server_name or self._target.host))
            if self._credentials is None:
                channel = grpc.aio.insecure_channel(self._target.address, options=options)
            else:
                channel = grpc.aio.secure_channel(self._target.address, self._credentials, options=options)
            self._channels[authority] = channel
        self._channels.move_to_end(authority)
        return channel

    def _pause(self, messages: tuple[Message, ...]) -> float:
        if not messages or self._speed is None:
            return 0.0
        return messages[-1].offset_us / US_PER_SECOND / self._speed


def _plain(part: Part) -> tuple[Message, ...] | None:
    """Return the messages without compression, which this end would have to announce; ``None`` if they cannot be."""
    coding = next((value for name, value in part.headers if name == "grpc-encoding"), "")
    plain: list[Message] = []
    for message in part.messages:
        data = decode(message.data, coding) if message.compressed else message.data
        if data is None:
            return None
        plain.append(Message(offset_us=message.offset_us, size=len(data), data=data))
    return tuple(plain)


def _metadata(headers: Headers) -> tuple[tuple[str, str | bytes], ...]:
    """Return headers as gRPC metadata; binary values go as bytes."""
    return tuple(
        (name, _binary(value) if name.endswith("-bin") else value)
        for name, value in headers
        if name not in _OWN_HEADERS and not name.startswith("grpc-")
    )


def _binary(value: str) -> bytes:
    return b64decode(value + "=" * (-len(value) % 4))


def _headers(metadata: Any) -> Headers:  # noqa: ANN401 -- grpc.aio.Metadata, or None
    """Return metadata as it was on the wire, and as a recorder at a proxy sees it; the library decodes it."""
    return tuple(
        (str(name), b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else str(value))
        for name, value in metadata or ()
    )


def _grpc_message(details: str | None) -> Headers:
    return (("grpc-message", quote(details, safe=_UNQUOTED)),) if details else ()


def _credentials(target: Target) -> grpc.ChannelCredentials | None:
    if not target.is_secure:
        return None
    try:
        return grpc.ssl_channel_credentials(
            root_certificates=target.ca_file.read_bytes() if target.ca_file else None,
            private_key=target.key_file.read_bytes() if target.key_file else None,
            certificate_chain=target.certificate_file.read_bytes() if target.certificate_file else None,
        )
    except OSError as error:
        raise ValidationError(
            field="certificates",
            value=str(error.filename),
            rule=f"must be readable PEM files ({error.strerror})",
            remedy="Check the paths",
        ) from error
