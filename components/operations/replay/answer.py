"""Collecting an answer from what libcurl hands over, in the form in which a recorder keeps one."""

from typing import Final

from ..recording import Part
from ..recording.assembling import CaptureLimits, is_grpc, to_int
from ..recording.exchange import trailers_only, value_of
from ..recording.frames import FrameSplitter
from .outcome import microseconds_since
from .wire import headers_and_trailers

_MAX_MESSAGES: Final = CaptureLimits().max_messages


class Answer:
    """Headers, then a body or messages, then trailers, as far as they come."""

    def __init__(self, *, max_body_bytes: int, to_grpc: bool) -> None:
        """Prepare to collect.

        Args:
            max_body_bytes: Bytes kept of the body, or of all messages.
            to_grpc: Whether it answers a gRPC call.
        """
        self.lines: list[bytes] = []
        """Status lines, headers and trailers, as they come."""
        self._max_body_bytes = max_body_bytes
        self._to_grpc = to_grpc
        self._splitter: FrameSplitter | None = None
        self._body: list[bytes] = []
        self._kept = 0
        self._size = 0

    def feed(self, chunk: bytes, *, started: float) -> None:
        """Take a piece of the body.

        Args:
            chunk: The piece.
            started: When the request began, by ``time.perf_counter()``.
        """
        if not self._size and self._to_grpc and is_grpc(headers_and_trailers(self.lines)[0]):
            self._splitter = FrameSplitter(max_messages=_MAX_MESSAGES)
        self._size += len(chunk)
        room = self._max_body_bytes - self._kept
        if self._splitter is not None:
            self._kept += self._splitter.feed(chunk, offset_us=microseconds_since(started), allowance=room)
        elif room > 0:
            part = chunk[:room]
            self._kept += len(part)
            self._body.append(part)

    def arrived_us(self, count: int) -> int | None:
        """Return when so many messages had come, from the start of the request; ``None`` if they have not."""
        if count == 0:
            return 0
        if self._splitter is None or len(self._splitter.messages) + self._splitter.omitted < count:
            return None
        return self._splitter.messages[min(count, len(self._splitter.messages)) - 1].offset_us

    def part(self, *, offset_us: int, is_whole: bool) -> Part:
        """Return what has come.

        Args:
            offset_us: When it ended, from the start of the request.
            is_whole: Whether its end has come.
        """
        headers, trailers = headers_and_trailers(self.lines)
        if self._splitter is not None:
            self._splitter.finish(offset_us=offset_us)
            messages = tuple(self._splitter.messages)
            return Part(
                headers=headers,
                body_size=self._size,
                truncated=not is_whole or self._splitter.omitted > 0 or any(each.truncated for each in messages),
                messages=messages,
                trailers=trailers,
            )
        is_message = self._to_grpc and is_grpc(headers)
        part = Part(
            headers=headers,
            body=None if is_message or not (is_whole or self._size) else b"".join(self._body),
            body_size=self._size,
            truncated=not is_whole or self._size > self._kept,
            trailers=trailers,
        )
        return trailers_only(part) if self._to_grpc else part


def grpc_status_of(part: Part) -> int | None:
    """Return the status that the server gave; ``None`` without one."""
    return to_int(value_of(part.trailers, "grpc-status") or value_of(part.headers, "grpc-status"))


def why_no_grpc(status: int | None, part: Part) -> str:
    """Return why an answer that has come whole is none to a gRPC call; empty if it is one."""
    if status != 200 or not is_grpc(part.headers or part.trailers):  # noqa: PLR2004 -- every gRPC answer has it
        media_type = (value_of(part.headers, "content-type") or "no content-type").partition(";")[0]
        return f"no gRPC answer (HTTP {status}, {media_type})"
    return "" if grpc_status_of(part) is not None else "gRPC answer without a status"
