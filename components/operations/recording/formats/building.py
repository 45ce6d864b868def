"""Making an exchange of two whole messages, by the rules of the recorder itself."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ..assembling import LARGEST, Assembler, CaptureLimits, Origin
from ..budget import MemoryBudget
from ..exchange import Ending, Exchange, Headers, Part, Side, moment_at
from .tally import Refused

_LIMITS: Final = CaptureLimits(max_body_bytes=LARGEST, max_messages=LARGEST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """One direction as a tool has it at once."""

    headers: Headers = ()
    """Pseudo headers among them; names in lower case."""
    body: bytes | None = None
    trailers: Headers = ()
    cut: bool = False
    """Something is missing at the end of the body."""
    size: int | None = None
    """Bytes that the body had; None where nobody knows."""


def built(
    request: Whole,
    response: Whole | None,
    *,
    source: str,
    started_at: datetime,
    request_id: str = "",
    first_byte_us: int | None = None,
    duration_us: int | None = None,
    ending: Ending = Ending.COMPLETE,
) -> Exchange | None:
    """Return the exchange; None where the request has no method, so that nobody could say what it was.

    Args:
        request: The request.
        response: The answer; None where none was seen.
        source: Who saw them.
        started_at: When the request began.
        request_id: The tool's own identifier, for requests without ``x-request-id``.
        first_byte_us: When the answer began; None where nobody knows.
        duration_us: When it ended; None where nobody knows.
        ending: How it ended, for an answer that was seen.

    Raises:
        Refused: A time is out of range, or the answer has no status.
    """
    if any(abs(us or 0) > LARGEST for us in (first_byte_us, duration_us)):
        raise Refused("time out of range")
    assembler = Assembler(
        origin=Origin(side=Side.PRIMARY, source=source),
        limits=_LIMITS,
        budget=MemoryBudget(LARGEST),
        started_at=started_at,
        at_ns=0,
    )
    last_ns = 1000 * (duration_us or 0)
    assembler.request_headers(request.headers, end=False, at_ns=0)
    assembler.request_body(request.body or b"", end=not request.cut, at_ns=0)
    if request.trailers:
        assembler.request_trailers(request.trailers, at_ns=0)
    if response is not None:
        assembler.response_headers(response.headers, end=False, at_ns=1000 * (first_byte_us or 0))
        assembler.response_body(response.body or b"", end=not response.cut, at_ns=last_ns)
        if response.trailers:
            assembler.response_trailers(response.trailers, at_ns=last_ns)
    exchange = assembler.finish()
    if exchange is None or not exchange.method:
        return None
    if response is not None and exchange.status is None:
        raise Refused("answer without a status")
    return replace(
        exchange,
        request_id=exchange.request_id or request_id,
        ending=ending if response is not None else Ending.RESET,
        first_byte_us=first_byte_us,
        duration_us=duration_us,
        request=_sized(exchange.request, request),
        response=_sized(exchange.response, response or Whole()),
    )


def moment(timestamp: Any) -> datetime:  # noqa: ANN401 -- generated
    """Return a protobuf timestamp as a time in UTC.

    Raises:
        Refused: It is out of range.
    """
    return moment_of(timestamp.seconds * 10**9 + timestamp.nanos)


def moment_of(nanoseconds: int) -> datetime:
    """Return nanoseconds since 1970 as a time in UTC.

    Raises:
        Refused: It is out of range.
    """
    try:
        return moment_at(nanoseconds)
    except OverflowError:
        raise Refused("time out of range") from None


def _sized(part: Part, whole: Whole) -> Part:
    size = min(max(part.body_size, whole.size or 0), LARGEST)
    return replace(part, body_size=size, truncated=part.truncated or whole.cut)
