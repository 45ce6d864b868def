"""Envoy's tap files: what its tap filter saw, buffered or streamed, as bytes, text or JSON.

Facts are of Envoy 1.39.3. Buffered traces are written once the exchange is over, streamed ones piece by piece and
without any times. ``PROTO_BINARY`` puts the pieces of a stream one behind the other without a frame, so that a parser
of protobuf merges them into the last one; each piece is one field of the wrapper, though, and so they are told apart.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum, unique
from importlib import import_module
from typing import Any, Final

from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError

from ..assembling import stated_length
from ..exchange import Exchange, Headers, octets, value_of
from .building import Whole, built, moment
from .tally import Refused, Tally
from .varints import read_varint

# Types of generated modules are known at run time only.
TraceWrapper: Any = import_module("envoy.data.tap.v3.wrapper_pb2").TraceWrapper
_Buffered: Any = import_module("envoy.data.tap.v3.http_pb2").HttpBufferedTrace
_Segment: Any = import_module("envoy.data.tap.v3.http_pb2").HttpStreamedTraceSegment

UNTIMED: Final = "exchanges without times of their own; they have the file's"
TEXT: Final = "bodies as text, in which bytes may have been replaced; marked as cut"

_NO_TRACE: Final = "no trace that can be read"
_JSON: Final = re.compile(rb'\s*\{\s*"(?:http_buffered_trace|http_streamed_trace_segment|socket_\w+)"')
_TEXT: Final = re.compile(rb"\s*(?:http_buffered_trace|http_streamed_trace_segment|socket_\w+)\s*\{")
_TEXT_PIECE: Final = re.compile(r"^\w+ \{\n.*?^\}$", re.MULTILINE | re.DOTALL)
_VISIBLE: Final = re.compile(r"\S")
_EXACT: Final = re.compile(r"[/+]json|charset=\"?utf-8", re.IGNORECASE)

_UNREADABLE: Final = (
    DecodeError,
    json_format.ParseError,
    text_format.ParseError,
    TypeError,
    RecursionError,
    SystemError,
)
"""What protobuf raises of a trace that is none; SystemError, where a name in JSON is no Unicode (measured, 5.29)."""

_NOT_MODIFIED: Final = "304"

_FIELDS: Final = (1, 2, 3, 4)
"""Of the wrapper: buffered and streamed HTTP, buffered and streamed sockets."""
_LENGTH_DELIMITED: Final = 2
_TAGS: Final = frozenset(number << 3 | _LENGTH_DELIMITED for number in _FIELDS)
_FIRST: Final = {b"\x0a": b"\x0a", b"\x12": b"\x08"}
"""Tags of buffered and streamed HTTP, and of what comes first in them: the request, and the number of the stream."""


@unique
class Form(StrEnum):
    """How a file is written; the values are Envoy's."""

    JSON = "JSON_BODY_AS_BYTES"
    TEXT = "PROTO_TEXT"
    BINARY = "PROTO_BINARY"
    DELIMITED = "PROTO_BINARY_LENGTH_DELIMITED"


def form_of(head: bytes) -> Form | None:
    """Return how a file is written by its beginning; None where it is none of Envoy's tap.

    Args:
        head: Its first bytes.
    """
    if _JSON.match(head):
        return Form.JSON
    if _TEXT.match(head):
        return Form.TEXT
    if _is_wrapper(head, 0, None):
        return Form.BINARY
    length, at = read_varint(head, 0)
    return Form.DELIMITED if length and _is_wrapper(head, at, length) else None


def _is_wrapper(head: bytes, at: int, length: int | None) -> bool:
    """Whether a wrapper's one field begins here, of a wrapper of this length."""
    inner = _FIRST.get(head[at : at + 1])
    size, behind = read_varint(head, at + 1)
    is_so = inner is not None and head[behind : behind + 1] == inner
    return is_so and length in (None, behind - at + (size or 0))


def read(content: bytes, tally: Tally, *, source: str, written_at: datetime, name: str) -> Iterator[Exchange]:
    """Yield the exchanges of one file.

    Args:
        content: The whole file.
        tally: Where to count what is left out.
        source: Who saw the traffic.
        written_at: When the file was last written: what has no times begins then.
        name: Of the file; with its number an exchange without ``x-request-id`` is called so.
    """
    streams: dict[int, list[Any]] = {}
    for number, wrapper in enumerate(_wrappers(content, tally), 1):
        tally.records += 1
        kind = wrapper.WhichOneof("trace")
        try:
            if kind == "http_buffered_trace":
                known = {"source": source, "request_id": f"{name}#{number}"}
                yield _buffered(wrapper.http_buffered_trace, tally, written_at, **known)
            elif kind == "http_streamed_trace_segment":
                segment = wrapper.http_streamed_trace_segment
                streams.setdefault(segment.trace_id, []).append(segment)
            else:
                raise Refused("a socket's bytes, not HTTP" if kind else _NO_TRACE)  # noqa: TRY301 -- counted like the rest
        except Refused as refused:
            tally.refuse(refused.reason)
    for number, segments in streams.items():
        try:
            yield _streamed(number, segments, tally, source, written_at)
        except Refused as refused:
            tally.refuse(refused.reason, len(segments))


def _wrappers(content: bytes, tally: Tally) -> Iterator[Any]:
    readers: dict[Form, tuple[Callable[[bytes], Iterator[Any]], Callable[[Any], Any]]] = {
        Form.JSON: (_json, lambda one: json_format.ParseDict(one, TraceWrapper(), ignore_unknown_fields=True)),
        Form.TEXT: (_text, lambda one: text_format.Parse(one, TraceWrapper(), allow_unknown_field=True)),
        Form.DELIMITED: (_delimited, TraceWrapper.FromString),
        Form.BINARY: (_binary, TraceWrapper.FromString),
    }
    pieces, parse = readers[form_of(content) or Form.BINARY]
    try:
        for piece in pieces(content):
            try:
                wrapper = parse(piece)
            except _UNREADABLE:
                tally.records += 1
                tally.refuse(_NO_TRACE)
            else:
                yield wrapper
    except Refused as refused:
        tally.records += 1
        tally.refuse(refused.reason)
    except (ValueError, RecursionError):
        tally.records += 1
        tally.refuse(_NO_TRACE)


def _json(content: bytes) -> Iterator[Any]:
    text = content.decode("utf-8")
    decoder, at = json.JSONDecoder(), 0
    while begin := _VISIBLE.search(text, at):
        at = begin.start()
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            raise Refused("cut by the end of the file") from None
        yield document


def _text(content: bytes) -> Iterator[str]:
    text, end = content.decode("utf-8"), 0
    for piece in _TEXT_PIECE.finditer(text):
        end = piece.end()
        yield piece.group()
    if text[end:].strip():
        raise Refused("cut by the end of the file")


def _delimited(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        size, begin = read_varint(content, at)
        if size is None or begin + size > len(content):
            raise Refused("cut by the end of the file")
        at = begin + size
        yield content[begin:at]


def _binary(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        size, begin = read_varint(content, at + 1)
        if content[at] not in _TAGS:
            raise Refused(_NO_TRACE)
        if size is None or begin + size > len(content):
            raise Refused("cut by the end of the file")
        yield content[at : begin + size]
        at = begin + size


def _buffered(trace: Any, tally: Tally, written_at: datetime, **known: str) -> Exchange:  # noqa: ANN401 -- generated
    begun, answered = trace.request, trace.response
    is_timed = begun.HasField("headers_received_time")
    if not is_timed:
        tally.remark(UNTIMED)
    started_at = moment(begun.headers_received_time) if is_timed else written_at
    first_us = None
    if is_timed and answered.HasField("headers_received_time"):
        first_us = max(0, (moment(answered.headers_received_time) - started_at) // timedelta(microseconds=1))
    request = _message(begun.headers, [begun.body], begun.trailers, tally)
    response = None
    if answered.headers:
        response = _message(answered.headers, [answered.body], answered.trailers, tally, request=request)
    return _exchange(request, response, started_at=started_at, first_byte_us=first_us, **known)


def _streamed(number: int, segments: list[Any], tally: Tally, source: str, written_at: datetime) -> Exchange:
    def of(direction: str, request: Whole | None = None) -> Whole | None:
        headers = [one for each in segments for one in getattr(each, f"{direction}_headers").headers]
        trailers = [one for each in segments for one in getattr(each, f"{direction}_trailers").headers]
        name = f"{direction}_body_chunk"
        bodies = [getattr(each, name) for each in segments if each.HasField(name)]
        return _message(headers, bodies, trailers, tally, request=request) if headers else None

    request = of("request")
    response = of("response", request)
    if request is None:
        raise Refused("pieces of a stream without its request")
    tally.remark(UNTIMED)
    return _exchange(request, response, source=source, started_at=written_at, request_id=str(number))


def _exchange(request: Whole, response: Whole | None, **known: Any) -> Exchange:  # noqa: ANN401 -- passed on
    exchange = built(request, response, **known)
    if exchange is None:
        raise Refused("trace without a request")
    return exchange


def _message(
    headers: Any,  # noqa: ANN401 -- generated
    bodies: list[Any],
    trailers: Any,  # noqa: ANN401 -- generated
    tally: Tally,
    *,
    request: Whole | None = None,
) -> Whole:
    """Return one direction; of an answer ``request`` is what it answers."""
    known = _headers(headers)
    exact = _EXACT.search(value_of(known, "content-type") or "") and not value_of(known, "content-encoding")
    pieces: list[bytes] = []
    cut = False
    for body in bodies:
        cut = cut or body.truncated
        if body.WhichOneof("body_type") == "as_string":
            # Bytes that are no UTF-8 have become spaces, and nothing says where.
            if not exact and " " in body.as_string:
                tally.remark(TEXT)
                cut = True
            pieces.append(body.as_string.encode())
        else:
            pieces.append(body.as_bytes)
    content, stated = b"".join(pieces), stated_length(known)
    is_bodiless = request is not None and (
        value_of(request.headers, ":method") == "HEAD" or value_of(known, ":status") == _NOT_MODIFIED
    )
    cut = cut or (stated is not None and stated != len(content) and not is_bodiless)
    return Whole(headers=known, body=content, trailers=_headers(trailers), cut=cut, size=stated if cut else None)


def _headers(headers: Any) -> Headers:  # noqa: ANN401 -- generated
    return tuple((one.key, one.raw_value.decode("latin-1") or octets(one.value)) for one in headers)
