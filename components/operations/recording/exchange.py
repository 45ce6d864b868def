"""One recorded request with its answer, as plain values."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from typing import Final, TypeAlias

from ...model.recording import Side as Side  # noqa: PLC0414 -- part of this module's interface

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case with their values, in the order seen.

Each byte of a value is one character (ISO-8859-1, as RFC 9110 section 5.5 has it), so every value survives.
"""


def value_of(headers: Headers, wanted: str) -> str | None:
    """Return the first value of a header; ``None`` without one.

    Args:
        headers: The headers.
        wanted: Its name in lower case.
    """
    return next((value for name, value in headers if name == wanted), None)


def values_of(headers: Headers, wanted: str) -> str:
    """Return all values of a header with commas between them, as RFC 9110 section 5.3 lets them be joined.

    Args:
        headers: The headers.
        wanted: Its name in lower case, of a header whose value is a list, such as codings.

    Returns:
        Empty without one.
    """
    return ", ".join([value for name, value in headers if name == wanted])


def octets(text: str) -> str:
    """Return text as recordings have it: each byte of its UTF-8 one character, so that nothing in it can be refused.

    Args:
        text: Any text; bytes that were no UTF-8 may stand in it as Python has them, lone surrogates too.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")


def moment_at(nanoseconds: int) -> datetime:
    """Return nanoseconds since 1970 as a time in UTC.

    Raises:
        OverflowError: It is out of range.
    """
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


@unique
class Ending(StrEnum):
    """How the recording of one exchange ended."""

    COMPLETE = "complete"
    """Both the request and the response were seen to their end."""
    RESET = "reset"
    """The proxy closed the stream before the end of the response: a reset, a time-out, a lost connection."""
    CUT = "cut"
    """The recorder stopped or reached its time limit first; the exchange may have gone on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One gRPC message of a stream, without its five bytes of framing."""

    offset_us: int
    """Microseconds from the start of the exchange to the message's last byte."""
    size: int
    """Bytes on the wire, also when ``data`` was cut."""
    data: bytes
    compressed: bool = False
    """True when ``data`` is encoded as the header ``grpc-encoding`` says."""
    truncated: bool = False
    """True when ``data`` is shorter than ``size`` because of a limit, or the stream broke off inside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One direction of an exchange: the request, or the response."""

    headers: Headers = ()
    """Without pseudo headers; those are fields of the exchange."""
    body: bytes | None = None
    """Body of a plain HTTP call up to the limit; ``None`` for gRPC and where none was seen."""
    body_size: int = 0
    """Bytes seen, framing included, or, where the proxy sent no body, those that ``content-length`` says; more than are
    kept when ``truncated``."""
    truncated: bool = False
    """True when not everything is here: a limit was reached, it broke off, or redaction had to drop the body."""
    messages: tuple[Message, ...] = ()
    """The messages of a gRPC stream, in order; empty for plain HTTP."""
    trailers: Headers = ()


def trailers_only(part: Part) -> Part:
    """Return a gRPC answer that has no messages as every client sees it: what came as headers are its trailers.

    A server that has nothing to say but a status sends it in one block, which proxies report as headers. Source: gRPC
    over HTTP/2, "Trailers-Only".
    """
    if part.trailers or part.messages or part.body_size or all(name != "grpc-status" for name, _ in part.headers):
        return part
    return replace(part, headers=(), trailers=part.headers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request and what came back, as seen at one proxy."""

    request_id: str
    """Value of ``x-request-id``; a copy carries the same one, so it pairs the two sides. Empty if absent."""
    side: Side
    source: str
    """Which recorder or proxy saw it, as configured; any text."""
    started_at: datetime
    """When the request's headers were seen, in UTC."""
    method: str
    scheme: str
    authority: str
    path: str
    """With its query string."""
    status: int | None = None
    """HTTP status; ``None`` when no response headers were seen."""
    grpc_status: int | None = None
    """``grpc-status`` from the trailers, or from the headers of a response without a body."""
    is_grpc: bool = False
    first_byte_us: int | None = None
    """Microseconds from the start to the response's headers."""
    duration_us: int | None = None
    """Microseconds from the start to the last thing seen."""
    ending: Ending = Ending.COMPLETE
    redactions: int = 0
    """How many values the redaction rules replaced or dropped."""
    request: Part = field(default_factory=Part)
    response: Part = field(default_factory=Part)

    @property
    def kept_bytes(self) -> int:
        """Bytes of bodies and messages held by this exchange; what memory limits count."""
        return sum(
            len(part.body or b"") + sum(len(message.data) for message in part.messages)
            for part in (self.request, self.response)
        )
