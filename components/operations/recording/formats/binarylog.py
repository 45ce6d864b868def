"""gRPC's binary logs: what a client or server of Go or Java wrote of its calls, each event an entry.

Facts are of grpc-go 1.85 and grpc-java 1.75. Go puts four bytes of length before an entry, Java a varint. A log of a
process that is client and server holds each call twice, and they are told apart by who logged. Go does not log where a
unary call's request ends. Java logs CANCEL behind the trailer of an error, and before that of a call that its client
gave up, whose status is then the client's own: the first of both ends a call, what follows it says nothing new.
"""

import base64
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, unique
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from google.protobuf.message import DecodeError

from ..assembling import to_int
from ..exchange import Ending, Exchange, Headers, Message, Part, Side, octets, value_of
from .binarylog_types import GrpcLogEntry
from .building import moment_of
from .tally import Refused, Tally
from .varints import read_varint

MAX_ENTRY_BYTES: Final = 64 * 1024 * 1024
"""Longer ones are refused: gRPC itself takes messages of 4 MiB by default."""

WAITING_CALLS: Final = 65_536
"""Calls that are open at once; beyond it the oldest is taken for one that never ended."""

_CHUNK_BYTES: Final = 1024 * 1024
_GO_FRAME: Final = 4
_TIMESTAMP: Final = 0x0A
_BINARY: Final = "-bin"
_PERCENT_KEPT: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
"""What ``grpc-message`` holds as it is. Source: gRPC over HTTP/2, "Percent-Encoded"."""


@unique
class Event(IntEnum):
    """What an entry tells; the values are gRPC's."""

    CLIENT_HEADER = 1
    SERVER_HEADER = 2
    CLIENT_MESSAGE = 3
    SERVER_MESSAGE = 4
    CLIENT_HALF_CLOSE = 5
    SERVER_TRAILER = 6
    CANCEL = 7


@unique
class Logger(IntEnum):
    """Who wrote it; the values are gRPC's."""

    CLIENT = 1
    SERVER = 2


def is_log(head: bytes) -> bool:
    """Tell by its beginning whether a file is a log, of Go or of Java.

    Args:
        head: Its first bytes.
    """
    size, at = _frame(head, 0, is_go=head[:1] == b"\0")
    # Its time comes first, in a few bytes, and more follows than that.
    return (
        size is not None and head[at : at + 1] == bytes([_TIMESTAMP]) and len(head) > at + 1 and head[at + 1] + 2 < size
    )


def read_entries(stream: BinaryIO, tally: Tally) -> Iterator[Any]:
    """Yield the entries of one file; where it can no longer be followed is counted.

    Args:
        stream: The file's content.
        tally: Where to count.
    """
    data, is_go = stream.read(_CHUNK_BYTES), None
    at = 0
    while at < len(data):
        is_go = data[:1] == b"\0" if is_go is None else is_go
        size, begin = _frame(data, at, is_go=is_go)
        if size is None or begin + size > len(data):
            too_long = size is not None and size > MAX_ENTRY_BYTES
            more = b"" if too_long else stream.read(_CHUNK_BYTES)
            if not more:
                tally.records += 1
                tally.refuse("no entry that can be read" if too_long else "cut by the end of the file")
                return
            data, at = data[at:] + more, 0
            continue
        tally.records += 1
        try:
            yield GrpcLogEntry.FromString(data[begin : begin + size])
        except DecodeError:
            tally.refuse("no entry that can be read")
        at = begin + size
        if at == len(data):
            data, at = stream.read(_CHUNK_BYTES), 0


def _frame(data: bytes, at: int, *, is_go: bool) -> tuple[int | None, int]:
    """Return the size of the entry whose frame is at a place, and where it begins; None where the data end before."""
    if not is_go:
        return read_varint(data, at)
    size = data[at : at + _GO_FRAME]
    return (int.from_bytes(size, "big") if len(size) == _GO_FRAME else None), at + _GO_FRAME


@dataclass(slots=True)
class _Call:
    """What was logged of one call so far."""

    header: Any = None
    begun_ns: int = 0
    answer: Any = None
    first_ns: int | None = None
    sent: list[Message] = field(default_factory=list[Message])
    received: list[Message] = field(default_factory=list[Message])
    cut: bool = False
    """Of a header or trailer a part is missing."""


class Calls:
    """Puts entries together, call by call."""

    def __init__(self, tally: Tally, *, source: str) -> None:
        """Prepare.

        Args:
            tally: Where to count what is left out.
            source: Who logged, before ``-client`` or ``-server``.
        """
        self._tally = tally
        self._source = source
        self._open: OrderedDict[tuple[int, int], _Call] = OrderedDict()
        self._ended: OrderedDict[tuple[int, int], None] = OrderedDict()

    def exchanges(self, entries: Iterable[Any]) -> Iterator[Exchange]:
        """Yield each call when it ends; those that never do at the end of the file."""
        for entry in entries:
            try:
                exchange = self._take(entry)
            except Refused as refused:
                self._tally.refuse(refused.reason)
                continue
            if exchange is not None:
                yield exchange
            if len(self._open) > WAITING_CALLS:
                yield from self._unended(*self._open.popitem(last=False))
        while self._open:
            yield from self._unended(*self._open.popitem(last=False))

    def _take(self, entry: Any) -> Exchange | None:  # noqa: ANN401 -- generated
        key = (entry.logger, entry.call_id)
        at_ns = entry.timestamp.seconds * 10**9 + entry.timestamp.nanos
        moment_of(at_ns)  # refuses what no recording can tell
        if entry.type == Event.CLIENT_HEADER:
            if key in self._open or key in self._ended:
                raise Refused("another call has the same identifier")
            self._open[key] = _Call(header=entry.client_header, begun_ns=at_ns, cut=entry.payload_truncated)
            return None
        call = self._open.get(key)
        if call is None:
            if key not in self._ended:
                raise Refused("entry of a call whose beginning is missing")
            return None
        offset_us = max(0, at_ns - call.begun_ns) // 1000
        if entry.type == Event.SERVER_HEADER:
            call.answer, call.first_ns = entry.server_header, at_ns
            call.cut = call.cut or entry.payload_truncated
        elif entry.type in (Event.CLIENT_MESSAGE, Event.SERVER_MESSAGE):
            message, kept = entry.message, entry.message.data
            size = max(message.length, len(kept))
            messages = call.sent if entry.type == Event.CLIENT_MESSAGE else call.received
            messages.append(Message(offset_us=offset_us, size=size, data=kept, truncated=len(kept) < size))
        elif entry.type in (Event.SERVER_TRAILER, Event.CANCEL):
            del self._open[key]
            self._ended[key] = None
            if len(self._ended) > WAITING_CALLS:
                self._ended.popitem(last=False)
            trailer = entry.trailer if entry.type == Event.SERVER_TRAILER else None
            call.cut = call.cut or (trailer is not None and entry.payload_truncated)
            return self._exchange(
                key, call, trailer, offset_us, Ending.COMPLETE if trailer is not None else Ending.RESET
            )
        return None

    def _unended(self, key: tuple[int, int], call: _Call) -> Iterator[Exchange]:
        self._tally.remark("calls without an end")
        yield self._exchange(key, call, None, None, Ending.CUT)

    def _exchange(
        self,
        key: tuple[int, int],
        call: _Call,
        trailer: Any,  # noqa: ANN401 -- generated
        duration_us: int | None,
        ending: Ending,
    ) -> Exchange:
        logger, number = key
        side = "client" if logger == Logger.CLIENT else "server"
        headers = (*_metadata(call.header.metadata), *_timeout(call.header.timeout))
        is_answered = call.answer is not None or trailer is not None
        is_broken = call.cut or trailer is None
        return Exchange(
            # Numbers begin anew with every process, so they tell calls apart only with the time.
            request_id=value_of(headers, "x-request-id") or f"{side}-{number}-{call.begun_ns}",
            side=Side.PRIMARY,
            source=f"{self._source}-{side}",
            started_at=moment_of(call.begun_ns),
            method="POST",
            scheme="",
            authority=octets(call.header.authority),
            path=octets(call.header.method_name),
            # gRPC answers with 200 whatever its own status is. Source: gRPC over HTTP/2, "Responses".
            status=200 if is_answered else None,
            grpc_status=to_int(str(trailer.status_code)) if trailer is not None else None,
            is_grpc=True,
            first_byte_us=None if call.first_ns is None else max(0, call.first_ns - call.begun_ns) // 1000,
            duration_us=duration_us,
            ending=ending,
            request=_part(headers, call.sent, (), is_broken=is_broken),
            response=_part(
                _metadata(call.answer.metadata) if call.answer is not None else (),
                call.received,
                _trailers(trailer) if trailer is not None else (),
                is_broken=is_broken,
            ),
        )


_PREFIX: Final = 5
"""Bytes before each message on the wire (gRPC over HTTP/2, "Length-Prefixed-Message")."""


def _part(headers: Headers, messages: list[Message], trailers: Headers, *, is_broken: bool) -> Part:
    return Part(
        headers=headers,
        body_size=sum(_PREFIX + message.size for message in messages),
        truncated=is_broken or any(message.truncated for message in messages),
        messages=tuple(messages),
        trailers=trailers,
    )


def _metadata(metadata: Any) -> Headers:  # noqa: ANN401 -- generated
    """Return metadata as it is on the wire, where values of names in ``-bin`` are in base64 without padding."""
    return tuple(
        (name, base64.b64encode(entry.value).decode().rstrip("="))
        if (name := octets(entry.key.lower())).endswith(_BINARY)
        else (name, entry.value.decode("latin-1"))
        for entry in metadata.entry
        # The messages of a log are never compressed, whatever the wire had.
        if entry.key != "grpc-encoding"
    )


def _timeout(timeout: Any) -> Headers:  # noqa: ANN401 -- generated
    """Return the deadline as ``grpc-timeout`` has it: milliseconds, or seconds where those have over eight digits."""
    milliseconds = timeout.seconds * 1000 + timeout.nanos // 10**6
    if milliseconds <= 0:
        return ()
    is_short = milliseconds < 10**8
    return (("grpc-timeout", f"{milliseconds}m" if is_short else f"{min(milliseconds // 1000, 10**8 - 1)}S"),)


def _trailers(trailer: Any) -> Headers:  # noqa: ANN401 -- generated
    """Return what a trailer's fields were on the wire, and its metadata."""
    status = [("grpc-status", str(trailer.status_code))]
    if trailer.status_message:
        status.append(("grpc-message", quote(trailer.status_message, safe=_PERCENT_KEPT)))
    if trailer.status_details:
        status.append(("grpc-status-details-bin", base64.b64encode(trailer.status_details).decode().rstrip("=")))
    told = {name for name, _ in status}
    return (*status, *(one for one in _metadata(trailer.metadata) if one[0] not in told))
