"""GoReplay's files: raw HTTP/1 messages with a line of their own before and a separator behind each.

Facts are of GoReplay 1.3.2. A line has type, identifier, nanoseconds and nanoseconds: of a captured message its first
packet's time and how long it took to arrive, of a replayed answer when its request was sent and how long that took.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from ..exchange import Ending, Exchange, Part, Side, value_of
from .building import moment_of
from .http1 import Head, read_request, read_response, without_body
from .tally import Refused, Tally

SEPARATOR: Final = "\n🐵🙈🙉\n".encode()

LINE: Final = re.compile(rb"([123]) ([0-9A-Za-z]{1,64}) (\d{1,19}) (-?\d{1,19})\n")
"""What a record begins with; an identifier has 24 hexadecimal digits, up to 40 in older releases."""

MAX_RECORD_BYTES: Final = 64 * 1024 * 1024
"""Longer ones are refused: GoReplay itself keeps 5 MiB of a message (``--copy-buffer-size``)."""

WINDOW_NS: Final = 60 * 10**9
"""How much later than its request an answer may come in a file; GoReplay gives up on messages after seconds."""

WAITING_BYTES: Final = 128 * 1024 * 1024
"""Bytes of messages that wait for others of their identifier; beyond it the oldest wait no longer."""

_CHUNK_BYTES: Final = 4 * 1024 * 1024
_OVERHEAD: Final = 2_048
"""Bytes that a waiting message takes beside its content, rounded up."""


@unique
class Kind(StrEnum):
    """What a record is; the values are GoReplay's."""

    REQUEST = "1"
    RESPONSE = "2"
    REPLAYED = "3"
    """Answer of whoever GoReplay sent the request to as well: a mirror's."""


_KINDS: Final = {kind.value.encode(): kind for kind in Kind}


@dataclass(slots=True)
class Record:
    """One message with its line."""

    kind: Kind
    identifier: str
    at_ns: int
    took_ns: int
    head: Head
    part: Part
    weight: int
    """Bytes of memory that it takes, about."""


def read_records(stream: BinaryIO, tally: Tally) -> Iterator[Record]:
    """Yield what one file holds; what cannot be read is counted.

    Args:
        stream: The file's content, unpacked.
        tally: Where to count.
    """
    last: Record | None = None
    for data in _split(stream, tally):
        tally.records += 1
        line = LINE.match(data)
        try:
            if line is None:
                # It is the end of the record before, so that one is not whole either.
                if last is not None:
                    tally.refuse("broken by a separator within")
                last = None
                raise Refused("no line of GoReplay's before it")  # noqa: TRY301 -- counted like the rest
            if last is not None:
                yield last
            last = None
            last = _record(line, data[line.end() :])
        except Refused as refused:
            tally.refuse(refused.reason)
    if last is not None:
        yield last


def _split(stream: BinaryIO, tally: Tally) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(SEPARATOR)
        yield from whole
        if len(rest) > MAX_RECORD_BYTES:
            rest = _behind_separator(stream)
            tally.records += 1
            tally.refuse(f"longer than {MAX_RECORD_BYTES // 1024**2} MiB")
    if rest:
        # GoReplay ends every record with a separator: this one is still being written, or the file was cut.
        tally.records += 1
        tally.refuse("cut by the end of the file")


def _behind_separator(stream: BinaryIO) -> bytes:
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        _, found, behind = (rest[-len(SEPARATOR) :] + chunk).partition(SEPARATOR)
        if found:
            return behind
        rest = chunk
    return b""


def _record(line: re.Match[bytes], message: bytes) -> Record:
    kind, identifier, at_ns, took_ns = line.groups()
    read = read_request if kind == b"1" else read_response
    head, part = read(message)
    weight = _OVERHEAD + len(message)
    return Record(_KINDS[kind], identifier.decode(), int(at_ns), int(took_ns), head, part, weight)


@dataclass(slots=True)
class _Waiting:
    """What has come of one identifier; of an answer that came first the rest is waited for."""

    request: Record | None = None
    answers: list[Record] | None = None
    kinds: str = ""
    """Kinds that have come."""
    answered: bool = False
    """An exchange of callers was made of it."""
    weight: int = 0
    latest_ns: int = 0


class Pairing:
    """Puts requests and answers together by identifier, whatever their order; bounded in memory."""

    def __init__(
        self, tally: Tally, *, source: str, window_ns: int = WINDOW_NS, waiting_bytes: int = WAITING_BYTES
    ) -> None:
        """Prepare.

        Args:
            tally: Where to count what has no partner.
            source: Who saw the traffic.
            window_ns: How long a message waits, by the records' own clock.
            waiting_bytes: How much may wait.
        """
        self._tally = tally
        self._source = source
        self._window_ns = window_ns
        self._waiting_bytes = waiting_bytes
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._bytes = 0
        self._newest_ns = 0

    def exchanges(self, records: Iterable[Record]) -> Iterator[Exchange]:
        """Yield exchanges as soon as they are whole; requests without an answer once nobody waits for one."""
        for record in records:
            yield from self._take(record)
            self._newest_ns = max(self._newest_ns, record.at_ns)
            while self._waiting:
                oldest = next(iter(self._waiting.values()))
                if self._bytes <= self._waiting_bytes and self._newest_ns - oldest.latest_ns <= self._window_ns:
                    break
                yield from self._give_up()
        while self._waiting:
            yield from self._give_up()

    def _take(self, record: Record) -> Iterator[Exchange]:
        waiting = self._waiting.setdefault(record.identifier, _Waiting())
        if record.kind.value in waiting.kinds:
            self._tally.refuse("another of its kind has the same identifier")
            return
        waiting.kinds += record.kind.value
        waiting.latest_ns = max(waiting.latest_ns, record.at_ns)
        waiting.weight += record.weight
        self._bytes += record.weight
        if record.kind is Kind.REQUEST:
            waiting.request = record
            answers, waiting.answers = waiting.answers or (), None
        elif waiting.request is None:
            waiting.answers = [*(waiting.answers or ()), record]
            return
        else:
            answers = (record,)
        for answer in answers:
            waiting.answered = waiting.answered or answer.kind is Kind.RESPONSE
            yield from self._made(waiting.request, answer)

    def _give_up(self) -> Iterator[Exchange]:
        _, waiting = self._waiting.popitem(last=False)
        self._bytes -= waiting.weight
        if waiting.request is None:
            self._tally.refuse("answer without its request", len(waiting.answers or ()))
        elif not waiting.answered:
            self._tally.remark("requests without an answer")
            yield from self._made(waiting.request, None)

    def _made(self, request: Record, answer: Record | None) -> Iterator[Exchange]:
        try:
            yield exchange(request, answer, source=self._source)
        except Refused as refused:
            self._tally.refuse(refused.reason)


def exchange(request: Record, answer: Record | None, *, source: str) -> Exchange:
    """Return what a request and its answer say together.

    The request's identifier is that of the header ``x-request-id``, else GoReplay's own.

    Args:
        request: The request.
        answer: The answer, of callers or replayed; None where none was seen.
        source: Who saw them.

    Raises:
        Refused: The time is none.
    """
    is_replayed = answer is not None and answer.kind is Kind.REPLAYED
    begun_ns = answer.at_ns if answer and is_replayed else request.at_ns
    scheme, authority, path = _addressed(request.head)
    response, status, first_us, last_us = Part(), None, None, request.took_ns // 1000
    if answer is not None:
        response, status = answer.part, answer.head.status
        if request.head.method == "HEAD":
            response = without_body(response)
        if is_replayed:
            last_us = answer.took_ns // 1000
        else:
            first_us = max(0, answer.at_ns - begun_ns) // 1000
            last_us = max(0, answer.at_ns + answer.took_ns - begun_ns) // 1000
    return Exchange(
        request_id=value_of(request.part.headers, "x-request-id") or request.identifier,
        side=Side.MIRROR if is_replayed else Side.PRIMARY,
        source=source,
        started_at=moment_of(begun_ns),
        method=request.head.method,
        scheme=scheme,
        authority=authority,
        path=path,
        status=status,
        first_byte_us=first_us,
        duration_us=max(0, last_us),
        ending=Ending.COMPLETE if answer is not None else Ending.CUT,
        request=request.part,
        response=response,
    )


def _addressed(head: Head) -> tuple[str, str, str]:
    """Scheme, authority and path, as a proxy reports them."""
    if head.target.startswith(("/", "*")) or "://" not in head.target:
        return "http", head.host, head.target
    try:
        url = urlsplit(head.target)
    except ValueError:
        raise Refused("target of the request is no URL") from None
    return url.scheme, url.netloc, head.target[len(url.scheme) + 3 + len(url.netloc) :] or "/"
