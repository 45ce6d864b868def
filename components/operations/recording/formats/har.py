"""HTTP Archives of browsers and proxies (HAR 1.2): bodies decoded, as text where the writer found so.

What a browser shows as text is encoded again and held against the size that the archive states; where the two differ,
the body is another than what was on the wire and is marked as cut.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.message import Message
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from ..assembling import stated_length
from ..exchange import Ending, Exchange, Headers, octets, value_of
from .building import Whole, built
from .tally import Refused, Tally

BEGINNING: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"log"\s*:')

WEBSOCKET: Final = "WebSocket conversations, of which only the handshake is kept"
_SCHEMES: Final = ("http", "https", "ws", "wss", "")
"""Browsers also archive what they take from files, extensions and the page itself. Some writers leave the host out."""

_BEFORE_ANSWER: Final = ("blocked", "dns", "connect", "send", "wait")
"""Timings of an entry up to its answer; those that are not known are -1, and ``ssl`` is within ``connect``."""


def read(content: bytes, tally: Tally, *, source: str, name: str) -> Iterator[Exchange]:
    """Yield the exchanges of one archive.

    Args:
        content: The whole file.
        tally: Where to count what is left out.
        source: Who saw the traffic.
        name: Of the file; with its number an exchange without ``x-request-id`` is called so.
    """
    try:
        # A number of any length and bytes that are no UTF-8 cost their entry or its body, not the archive.
        archive = json.loads(content.decode("utf-8-sig", "surrogateescape"), parse_int=float)
        entries: list[Any] = list(archive["log"]["entries"])
    except (ValueError, LookupError, TypeError, RecursionError):
        tally.records += 1
        tally.refuse("no archive that can be read, or cut by the end of the file")
        return
    for number, entry in enumerate(entries, 1):
        tally.records += 1
        try:
            yield _exchange(entry, tally, source=source, request_id=f"{name}#{number}")
        except Refused as refused:
            tally.refuse(refused.reason)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            tally.refuse("no entry as HAR 1.2 has them")


def _exchange(entry: Mapping[str, Any], tally: Tally, *, source: str, request_id: str) -> Exchange:
    request, response = entry["request"], entry["response"]
    started_at = datetime.fromisoformat(entry["startedDateTime"])
    if started_at.utcoffset() is None:
        raise Refused("time without a zone")
    method, url = octets(request["method"]), urlsplit(octets(request["url"]))
    asked, answered = _headers(request["headers"]), _headers(response["headers"])
    kinds = [value_of(headers, "content-type") or "" for headers in (asked, answered)]
    if any(kind.lower().startswith("application/grpc") for kind in kinds):
        raise Refused("gRPC, whose messages no archive keeps")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    pseudo = ((":method", method), (":scheme", url.scheme), (":authority", url.netloc), (":path", path))
    status = int(response["status"])
    if isinstance(response["status"], bool) or status != float(response["status"]):
        raise Refused("answer without a status")
    if url.scheme.lower() not in _SCHEMES:
        raise Refused("address that is not of HTTP")
    exchange = built(
        _request(request, (*pseudo, *asked)),
        # Nothing came back where there is no status.
        _response(response, ((":status", str(status)), *answered), method=method) if status > 0 else None,
        source=source,
        started_at=started_at.astimezone(UTC),
        request_id=request_id,
        first_byte_us=_first_byte_us(entry.get("timings") or {}) if status > 0 else None,
        duration_us=_us(entry["time"]) if entry["time"] >= 0 else None,
        ending=Ending.COMPLETE,
    )
    if exchange is None:
        raise Refused("no entry as HAR 1.2 has them")
    if entry.get("_webSocketMessages"):
        tally.remark(WEBSOCKET)
    return exchange


def _request(request: Mapping[str, Any], headers: Headers) -> Whole:
    posted: Mapping[str, Any] = request.get("postData") or {}
    text = posted.get("text")
    stated = int(request.get("bodySize", -1))
    body = _encoded(text or "", value_of(headers, "content-type") or "")
    is_exact = len(body) == stated if stated >= 0 else body.isascii()
    known = stated_length(headers)
    size = known if known is not None else stated
    cut = not is_exact or (size >= 0 and len(body) != size)
    return Whole(headers=headers, body=body if text is not None else None, cut=cut, size=size)


def _response(response: Mapping[str, Any], headers: Headers, *, method: str) -> Whole:
    content = response["content"]
    text, stated = content.get("text"), int(content.get("size", -1))
    encoding = content.get("encoding") or ""
    if encoding == "base64":
        try:
            body = base64.b64decode(text or "", validate=True)
        except ValueError:
            body = b""
    else:
        body = _encoded(text or "", content.get("mimeType") or "")
    # What was decoded no longer has the coding and length that these say.
    if value_of(headers, "content-encoding") is not None:
        headers = tuple(header for header in headers if header[0] not in ("content-encoding", "content-length"))
    has_body = method != "HEAD" and response["status"] != HTTPStatus.NOT_MODIFIED
    known = stated_length(headers) if has_body else None
    size = known if known is not None else stated
    # HAR 1.2 leaves encodings to whoever writes: of another one nobody knows what the bytes were.
    is_known = encoding in ("", "base64")
    cut = has_body and (not is_known or len(body) != stated or len(body) != size)
    return Whole(headers=headers, body=body, cut=cut, size=size if cut else None)


def _encoded(text: str, media_type: str) -> bytes:
    """Return text as bytes again, by the charset that its media type names."""
    header = Message()
    header["content-type"] = media_type
    try:
        return text.encode(header.get_content_charset("utf-8"))
    except (LookupError, ValueError):
        return text.encode("utf-8", "surrogatepass")


def _headers(fields: Sequence[Mapping[str, str]]) -> Headers:
    """Return headers without HTTP/2's own; a browser puts lines of the same name together by newlines."""
    return tuple(
        (octets(one["name"].lower()), octets(value))
        for one in fields
        if not one["name"].startswith(":") and one["name"].lower() != "host"
        for value in one["value"].split("\n")
    )


def _first_byte_us(timings: Mapping[str, float]) -> int | None:
    known = [value for name in _BEFORE_ANSWER if (value := timings.get(name) or 0) > 0]
    return _us(sum(known)) if known else None


def _us(milliseconds: float) -> int:
    return round(milliseconds * 1000)
