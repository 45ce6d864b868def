"""Assembling one exchange from what a proxy reports piece by piece. Pure: no clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .budget import MemoryBudget
from .exchange import Ending, Exchange, Headers, Part, Side, trailers_only, value_of
from .frames import FrameSplitter

_NS_PER_US = 1000

_EXCHANGE_OVERHEAD = 4096
"""Bytes an exchange costs beside the text of its headers and its bodies: 3,800 with 20 headers (measured)."""

_MESSAGE_OVERHEAD = 200
"""Bytes one kept gRPC message costs beside its payload, rounded up: 80 to 120 (measured)."""

_GRPC = "application/grpc"

LARGEST = 2**62
"""The most that a length or a time may be, so that a column of 64 bits holds it."""

_LENGTH_DIGITS = 20
"""Of a length, without leading zeros: more than the largest has. Python reads no more than 4,300 at once."""

_CODE_DIGITS = 3
"""Of a status: HTTP's have three, gRPC's fewer. An application may send anything, and a column holds 32 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptureLimits:
    """What is kept of one exchange."""

    max_body_bytes: int = 64 * 1024
    """Bytes of body or of gRPC messages kept in each direction; 0 keeps none. The rest is counted only."""
    max_messages: int = 1_000
    """gRPC messages kept in each direction; later ones are counted only."""
    max_followed_bytes: int = 8 * 1024 * 1024
    """Bytes after which an exchange is no longer followed in either direction. A proxy holds traffic back once 16 MiB
    of one exchange wait for a collector (measured, Envoy 1.39), so a large transfer must be let go before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where an exchange was seen."""

    side: Side | None
    """``None``: decided by ``mark_header``."""
    source: str
    mark_header: str = ""
    """Name in lower case of the header that only copies carry; empty when the side is fixed."""
    bodies: bool = True
    """Whether the proxy sends bodies. Without them an exchange ends with the answer's headers, a gRPC call with its
    trailers."""

    def side_of(self, headers: Headers) -> Side:
        """Return the fixed side, or what the mark says."""
        if self.side is not None:
            return self.side
        return Side.MIRROR if any(name == self.mark_header for name, _ in headers) else Side.PRIMARY


class _Direction:
    """Collects one direction: headers, then a body or messages, then trailers."""

    __slots__ = ("_body", "_kept", "ended", "headers", "seen", "size", "splitter", "trailers", "truncated", "withheld")

    def __init__(self) -> None:
        self.headers: Headers = ()
        self.trailers: Headers = ()
        self.splitter: FrameSplitter | None = None
        self.seen = False
        self.ended = False
        self.truncated = False
        self.withheld = False
        self.size = 0
        self._kept = 0
        self._body: list[bytes] = []

    def open(self, headers: Headers, *, end: bool, max_messages: int) -> None:
        self.seen = True
        self.headers = headers
        if is_grpc(headers):
            self.splitter = FrameSplitter(max_messages=max_messages)
        self.ended = end

    def withhold(self, *, ends: bool) -> None:
        """Go on without the body that the proxy does not send; its length is what the headers say."""
        if not self.ended:
            self.withheld = self.truncated = True
            self.ended = ends
            if self.splitter is None:
                self.size = stated_length(self.headers) or 0

    def feed(self, chunk: bytes, *, offset_us: int, limits: CaptureLimits, budget: MemoryBudget) -> int:
        """Return how many bytes were reserved for this chunk."""
        self.size += len(chunk)
        wanted = min(len(chunk), limits.max_body_bytes - self._kept)
        if not budget.take(wanted):
            wanted = 0
        if self.splitter is not None:
            return self._feed_splitter(self.splitter, chunk, offset_us=offset_us, allowance=wanted, budget=budget)
        self.truncated = self.truncated or wanted < len(chunk)
        if wanted:
            self._kept += wanted
            self._body.append(chunk if wanted == len(chunk) else chunk[:wanted])
        return wanted

    def _feed_splitter(
        self, splitter: FrameSplitter, chunk: bytes, *, offset_us: int, allowance: int, budget: MemoryBudget
    ) -> int:
        """Return how many bytes stay reserved; ``allowance`` bytes are already, of which not all may be kept."""
        before = len(splitter.messages)
        kept = splitter.feed(chunk, offset_us=offset_us, allowance=allowance)
        budget.give(allowance - kept)
        self._kept += kept
        # One chunk may end no message, or thousands of small ones.
        overhead = _MESSAGE_OVERHEAD * (len(splitter.messages) - before)
        if not budget.take(overhead):
            splitter.omit(before)
            return kept
        return kept + overhead

    def part(self, *, offset_us: int) -> Part:
        splitter = self.splitter
        # What broke off is not whole either: sent again it would be another request, compared another answer.
        broken = self.seen and not self.ended
        if splitter is None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            kept = body if (self.size or self.ended) and not self.withheld else None
            return Part(
                headers=self.headers,
                body=kept,
                body_size=self.size,
                truncated=self.truncated or broken,
                trailers=self.trailers,
            )
        splitter.finish(offset_us=offset_us)
        truncated = (
            self.truncated or broken or splitter.omitted > 0 or any(message.truncated for message in splitter.messages)
        )
        return Part(
            headers=self.headers,
            body_size=self.size,
            truncated=truncated,
            messages=tuple(splitter.messages),
            trailers=self.trailers,
        )


class Assembler:
    """Collects the pieces of one exchange in whatever order the two directions interleave."""

    __slots__ = (
        "_budget",
        "_first_byte_us",
        "_last_us",
        "_limits",
        "_origin",
        "_pseudo",
        "_request",
        "_response",
        "_start_ns",
        "_started_at",
        "reserved",
    )

    def __init__(
        self,
        *,
        origin: Origin,
        limits: CaptureLimits,
        budget: MemoryBudget,
        started_at: datetime,
        at_ns: int,
    ) -> None:
        """Begin an exchange.

        Args:
            origin: Where it is seen.
            limits: What to keep of it.
            budget: Where its memory is reserved; the caller gives ``reserved`` back at the end.
            started_at: Wall clock now, in UTC.
            at_ns: Monotonic clock now, in nanoseconds; all later times are relative to it.
        """
        self._origin = origin
        self._limits = limits
        self._budget = budget
        self._started_at = started_at
        self._start_ns = at_ns
        self._last_us = 0
        self._first_byte_us: int | None = None
        self._pseudo: dict[str, str] = {}
        self._request = _Direction()
        self._response = _Direction()
        self.reserved = 0
        """Bytes reserved in the budget for this exchange so far."""

    @property
    def is_complete(self) -> bool:
        """True when both directions were seen to their end."""
        return self._request.ended and self._response.ended

    @property
    def is_too_large(self) -> bool:
        """True when the exchange should no longer be followed."""
        return max(self._request.size, self._response.size) > self._limits.max_followed_bytes

    def request_headers(self, headers: Iterable[tuple[str, str]], *, end: bool, at_ns: int) -> bool:
        """Take the request's headers; False when there is no memory left for this exchange."""
        self._offset(at_ns)
        pseudo, plain = split_headers(headers)
        if not self._reserve(_EXCHANGE_OVERHEAD + weight(plain)):
            return False
        self._pseudo.update(pseudo)
        self._request.open(plain, end=end, max_messages=self._limits.max_messages)
        if not self._origin.bodies:
            self._request.withhold(ends=True)
        return True

    def response_headers(self, headers: Iterable[tuple[str, str]], *, end: bool, at_ns: int) -> bool:
        """Take the response's headers; False when there is no memory left for this exchange."""
        self._first_byte_us = self._offset(at_ns)
        pseudo, plain = split_headers(headers)
        if not self._reserve(weight(plain)):
            return False
        self._pseudo.update(pseudo)
        self._response.open(plain, end=end, max_messages=self._limits.max_messages)
        if not self._origin.bodies:
            self._response.withhold(ends=self._response.splitter is None)
        return True

    def request_body(self, chunk: bytes, *, end: bool, at_ns: int) -> None:
        """Take a piece of the request's body."""
        self._body(self._request, chunk, end=end, at_ns=at_ns)

    def response_body(self, chunk: bytes, *, end: bool, at_ns: int) -> None:
        """Take a piece of the response's body."""
        self._body(self._response, chunk, end=end, at_ns=at_ns)

    def request_trailers(self, trailers: Iterable[tuple[str, str]], *, at_ns: int) -> None:
        """Take the request's trailers, which end it."""
        self._trailers(self._request, trailers, at_ns=at_ns)

    def response_trailers(self, trailers: Iterable[tuple[str, str]], *, at_ns: int) -> None:
        """Take the response's trailers, which end it."""
        self._trailers(self._response, trailers, at_ns=at_ns)

    def finish(self, *, cut: bool = False) -> Exchange | None:
        """Return the exchange as far as it was seen; ``None`` when not even its request's headers were.

        Args:
            cut: The recorder itself ended the exchange.
        """
        if not self._request.seen:
            return None
        ending = Ending.COMPLETE if self.is_complete else Ending.CUT if cut else Ending.RESET
        request = self._request.part(offset_us=self._last_us)
        response = self._response.part(offset_us=self._last_us)
        if self._request.splitter is not None:
            response = trailers_only(response)
        return Exchange(
            request_id=value_of(request.headers, "x-request-id") or "",
            side=self._origin.side_of(request.headers),
            source=self._origin.source,
            started_at=self._started_at,
            method=self._pseudo.get(":method", ""),
            scheme=self._pseudo.get(":scheme", ""),
            authority=self._pseudo.get(":authority", ""),
            path=self._pseudo.get(":path", ""),
            status=to_int(self._pseudo.get(":status")),
            grpc_status=to_int(value_of(response.trailers, "grpc-status") or value_of(response.headers, "grpc-status")),
            is_grpc=self._request.splitter is not None,
            first_byte_us=self._first_byte_us,
            duration_us=self._last_us,
            ending=ending,
            request=request,
            response=response,
        )

    def _offset(self, at_ns: int) -> int:
        self._last_us = (at_ns - self._start_ns) // _NS_PER_US
        return self._last_us

    def _reserve(self, amount: int) -> bool:
        if not self._budget.take(amount):
            return False
        self.reserved += amount
        return True

    def _body(self, direction: _Direction, chunk: bytes, *, end: bool, at_ns: int) -> None:
        offset_us = self._offset(at_ns)
        if chunk:
            self.reserved += direction.feed(chunk, offset_us=offset_us, limits=self._limits, budget=self._budget)
        direction.ended = direction.ended or end

    def _trailers(self, direction: _Direction, trailers: Iterable[tuple[str, str]], *, at_ns: int) -> None:
        self._offset(at_ns)
        _, plain = split_headers(trailers)
        direction.ended = True
        if self._reserve(weight(plain)):
            direction.trailers = plain
        else:
            direction.truncated = True


def split_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], Headers]:
    """Return pseudo headers (names starting with a colon) and the others."""
    pseudo: dict[str, str] = {}
    plain: list[tuple[str, str]] = []
    for header in headers:
        if header[0].startswith(":"):
            pseudo[header[0]] = header[1]
        else:
            plain.append(header)
    return pseudo, tuple(plain)


def is_grpc(headers: Headers) -> bool:
    """Tell whether the body is framed as gRPC; gRPC-Web has other framing and counts as plain HTTP."""
    content_type = (value_of(headers, "content-type") or "").lower()
    return content_type.startswith(_GRPC) and content_type[len(_GRPC) :][:1] in ("", "+", ";")


def stated_length(headers: Headers) -> int | None:
    """Return what ``content-length`` says, up to the largest; ``None`` where it is missing or no number.

    Anybody may write anything there.
    """
    text = value_of(headers, "content-length") or ""
    if not (text.isascii() and text.isdecimal()):
        return None
    return min(int(text.lstrip("0")[:_LENGTH_DIGITS] or "0"), LARGEST)


def cost(exchange: Exchange) -> int:
    """Return the bytes that an exchange without bodies holds."""
    parts = (exchange.request.headers, exchange.response.headers, exchange.response.trailers)
    return _EXCHANGE_OVERHEAD + sum(map(weight, parts))


def weight(headers: Headers) -> int:
    """Return the bytes that the headers' text takes."""
    return sum(len(name) + len(value) for name, value in headers)


def to_int(text: str | None) -> int | None:
    """Return the number in ``text``; ``None`` where there is none, or one that is no status code."""
    is_code = text is not None and len(text) <= _CODE_DIGITS and text.isascii() and text.isdigit()
    return int(text) if text is not None and is_code else None
