"""Recorded requests in the files of other tools: GoReplay's, and ghz's data of one unary method."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum, unique
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ....model import RpcMethod, ValidationError
from ....model.recording import SESSION_HEADER
from ..codings import decode
from ..exchange import EPOCH, Exchange, Headers, Part, Side, value_of
from ..ordering import OrderedReader
from ..own_files import create_file
from ..reading import RecordingReader
from ..redaction import carries_redacted
from ..storage import HIDDEN, UNFINISHED
from .gor import SEPARATOR
from .tally import Refused

_GOREPLAY_ID: Final = re.compile(r"[0-9a-f]{24}")
_NO_TARGET: Final = re.compile(r"[\x00-\x20\x7f]")
_NO_NAME: Final = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")
"""What no method and no name of a header has. Source: RFC 9110, section 5.6.2."""
_NO_VALUE: Final = re.compile(r"[\x00\r\n]")
_LATEST_NS: Final = 2**63 - 1
"""In the year 2262: GoReplay has 64 bits, and no sign is read before a time."""
_LENGTHS: Final = ("content-length", "transfer-encoding")
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_TEMPLATE: Final = b"{{"


@unique
class Target(StrEnum):
    """Whose files are written."""

    GOR = "gor"
    GHZ = "ghz"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What became of a recording.

    Attributes:
        exchanges: How many of the side it has.
        requests: How many requests were written.
        answers: How many answers.
        refused: Requests and answers that were left out, by reason.
        redacted: How many requests carry values that redaction put in the place of others.
        damaged: How many parts of the recording could not be read.
    """

    exchanges: int
    requests: int
    answers: int
    refused: Mapping[str, int]
    redacted: int
    damaged: int


def export(
    reader: RecordingReader,
    file: Path,
    target: Target,
    *,
    rpc: RpcMethod | None = None,
    side: Side = Side.PRIMARY,
    progress: Callable[[], None] = lambda: None,
) -> Exported:
    """Write one side of a recording, earliest first; after any error the file is gone.

    Args:
        reader: The recording.
        file: Where to; nothing may be there.
        target: Whose file.
        rpc: For ghz, which method's.
        side: Whose exchanges.
        progress: Called now and then.

    Raises:
        ValidationError: A method is missing or too many, or something is there already.
        OSError: The file cannot be written.
    """
    if (target is Target.GHZ) != (rpc is not None):
        raise ValidationError(
            field="rpc",
            value=rpc,
            rule="is for ghz, whose data are of one method",
            remedy="Give --rpc with --format ghz, and with nothing else",
        )
    counts, refused = Counter[str](), Counter[str]()
    if os.path.lexists(file):
        raise ValidationError(field="FILE", value=str(file), rule="must not be there yet", remedy="Choose another name")
    # Whoever is killed leaves nothing that looks like a whole file; what an earlier one left is of no use.
    unfinished = file.with_name(f"{HIDDEN}{file.name}{UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    descriptor = create_file(unfinished)
    try:
        with os.fdopen(descriptor, "wb") as into:
            for exchange in OrderedReader(reader).exchanges():
                if exchange.side is not side:
                    continue
                counts["exchanges"] += 1
                pieces = _ghz(exchange, rpc, refused) if rpc is not None else _gor(exchange, refused)
                for name, data in pieces:
                    counts[name] += 1
                    into.write(data)
                counts["redacted"] += bool(pieces) and carries_redacted(exchange)
                progress()
        unfinished.rename(file)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    return Exported(
        exchanges=counts["exchanges"],
        requests=counts["requests"],
        answers=counts["answers"],
        refused=dict(refused),
        redacted=counts["redacted"],
        damaged=len(reader.damage),
    )


def _ghz(exchange: Exchange, rpc: RpcMethod, refused: Counter[str]) -> list[tuple[str, bytes]]:
    """Return a unary request as ghz reads many of them: each behind its length as a varint."""
    if exchange.path != rpc.path:
        return []
    try:
        message = _unary(exchange)
    except Refused as reason:
        refused[reason.reason] += 1
        return []
    return [("requests", _varint(len(message)) + message)]


def _unary(exchange: Exchange) -> bytes:
    request = exchange.request
    if not exchange.is_grpc:
        raise Refused("requests that are no gRPC")
    if request.truncated:
        raise Refused("requests that were not recorded whole")
    if len(request.messages) != 1:
        raise Refused("requests of another number of messages than one")
    (message,) = request.messages
    coding = value_of(request.headers, "grpc-encoding") or ""
    plain = message.data
    if message.compressed:
        plain = decode(plain, coding) if coding else None
    if plain is None:
        raise Refused("requests in a coding that is not known here")
    if _TEMPLATE in plain:
        raise Refused("requests with {{ in them, which ghz tries to read as a template")
    return plain


def _varint(number: int) -> bytes:
    """Return a number as protobuf has it (its encoding, "Base 128 Varints")."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _gor(exchange: Exchange, refused: Counter[str]) -> list[tuple[str, bytes]]:
    """Return a request and its answer as GoReplay has them; an answer alone would be of no use."""
    identifier = _identifier(exchange)
    begun_ns = (exchange.started_at - EPOCH) // timedelta(microseconds=1) * 1000
    first_ns = 1000 * (exchange.first_byte_us or 0)
    took_ns = max(0, 1000 * (exchange.duration_us or 0) - first_ns)
    try:
        pieces = [("requests", _record(1, identifier, begun_ns, 0, request_bytes(exchange)))]
    except Refused as reason:
        refused[f"requests {reason.reason}"] += 1
        return []
    if exchange.status is not None:
        try:
            answer = _record(2, identifier, begun_ns + first_ns, took_ns, response_bytes(exchange))
            pieces.append(("answers", answer))
        except Refused as reason:
            refused[f"answers {reason.reason}"] += 1
    return pieces


def _identifier(exchange: Exchange) -> str:
    """Return GoReplay's own identifier where the request came from it, else one like it."""
    own = exchange.request_id
    if _GOREPLAY_ID.fullmatch(own) and value_of(exchange.request.headers, "x-request-id") is None:
        return own
    known = f"{own} {exchange.started_at.isoformat()} {exchange.method} {exchange.path}"
    return hashlib.blake2b(known.encode(), digest_size=12).hexdigest()


def _record(kind: int, identifier: str, at_ns: int, took_ns: int, message: bytes) -> bytes:
    if not (0 <= at_ns <= _LATEST_NS and took_ns <= _LATEST_NS):
        raise Refused("at times that GoReplay cannot tell")
    if SEPARATOR in message:
        raise Refused("that hold GoReplay's separator")
    return b"%d %b %d %d\n%b%b" % (kind, identifier.encode(), at_ns, took_ns, message, SEPARATOR)


def request_bytes(exchange: Exchange) -> bytes:
    """Return a request as HTTP/1.1 has it.

    Raises:
        Refused: It is none that HTTP/1.1 has, or was not recorded whole.
    """
    if exchange.is_grpc:
        raise Refused("of gRPC, which HTTP/1 does not have")
    if not exchange.path or _NO_TARGET.search(exchange.path) or _NO_NAME.search(exchange.method):
        raise Refused("with a method or path that HTTP/1 does not have")
    line = f"{exchange.method} {exchange.path} HTTP/1.1"
    headers = tuple(header for header in exchange.request.headers if header[0] != SESSION_HEADER)
    request = replace(exchange.request, headers=headers)
    return _message(line, (("host", exchange.authority),), request, has_body=True)


def response_bytes(exchange: Exchange) -> bytes:
    """Return an answer as HTTP/1.1 has it; its phrase is the standard one.

    Raises:
        Refused: It was not recorded whole.
    """
    status = exchange.status or 0
    phrase = HTTPStatus(status).phrase if status in {one.value for one in HTTPStatus} else ""
    has_body = exchange.method != "HEAD" and status >= HTTPStatus.OK and status not in _BODILESS
    return _message(f"HTTP/1.1 {status} {phrase}", (), exchange.response, has_body=has_body)


def _message(line: str, first: Headers, part: Part, *, has_body: bool) -> bytes:
    if part.truncated:
        raise Refused("that were not recorded whole")
    headers, body = (*first, *part.headers), part.body or b""
    chunked = bool(part.trailers) or value_of(part.headers, "transfer-encoding") is not None
    if has_body:
        length = ("transfer-encoding", "chunked") if chunked else ("content-length", str(len(body)))
        headers = _measured(headers, length, must=bool(body) or chunked)
    if any(_NO_NAME.search(name) or not name or _NO_VALUE.search(value) for name, value in (*headers, *part.trailers)):
        raise Refused("with headers that HTTP/1 does not have")
    if has_body and chunked:
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        body = chunk + b"0\r\n" + _lines(part.trailers) + b"\r\n"
    return _octets(line) + b"\r\n" + _lines(headers) + b"\r\n" + body


def _measured(headers: Headers, length: tuple[str, str], *, must: bool) -> Headers:
    """Return headers with a body's length where it was told: redaction may have changed it, and chunks are not kept."""
    measured: list[tuple[str, str]] = []
    for header in headers:
        if header[0] not in _LENGTHS:
            measured.append(header)
        elif length not in measured:
            measured.append(length)
    return tuple(measured) if length in measured or not must else (*measured, length)


def _lines(headers: Headers) -> bytes:
    return b"".join(_octets(f"{name}: {value}\r\n") for name, value in headers)


def _octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Refused("with characters that are no bytes") from None
