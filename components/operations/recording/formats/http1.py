"""Raw HTTP/1 messages: read by llhttp, the parser of Node.js, and written again."""

from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Final

from ..assembling import stated_length
from ..exchange import Part, value_of
from .tally import Refused

# It ships no types.
httptools: Any = import_module("httptools")

_SWITCHING: Final = b"101"
"""The one informational status that is an answer: the connection is another protocol's from then on."""


@dataclass(slots=True)
class Head:
    """First line of a message, and whom a request is for."""

    method: str = ""
    target: str = ""
    host: str = ""
    status: int = 0


@dataclass(slots=True)
class _Seen:
    """What the parser calls back with; its names are the parser's."""

    target: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: list[bytes] = field(default_factory=list[bytes])
    trailers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    messages: int = 0
    complete: int = 0
    in_head: bool = True

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        into = self.headers if self.in_head else self.trailers
        into.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete += 1

    def part(self, *, cut: bool) -> Part:
        body = b"".join(self.body)
        size = len(body)
        headers = tuple(self.headers)
        if cut:
            size = max(size, stated_length(headers) or 0)
        return Part(headers=headers, body=body, body_size=size, truncated=cut, trailers=tuple(self.trailers))


def read_request(data: bytes) -> tuple[Head, Part]:
    """Read one request; a body that ends early is marked as cut. The header ``host`` is in the head.

    Args:
        data: The whole message as it was on the wire.

    Raises:
        Refused: It is no HTTP/1 request, or more than one.
    """
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    upgraded = _feed(parser, seen, data)
    head = Head(method=parser.get_method().decode("latin-1"), target=seen.target.decode("latin-1"))
    if hosts := [value for name, value in seen.headers if name == "host"]:
        head.host = hosts[0]
        seen.headers = [header for header in seen.headers if header[0] != "host"]
    return head, seen.part(cut=upgraded or not seen.complete)


def read_response(data: bytes) -> tuple[Head, Part]:
    """Read one response, without informational ones before it; a body that ends early is marked as cut.

    One without length reaches to the end of its connection, and so to the end of ``data``.

    Args:
        data: The whole message as it was on the wire.

    Raises:
        Refused: It is no HTTP/1 response, or more than one.
    """
    while (rest := _behind_informational(data)) is not None:
        data = rest
    seen = _Seen()
    parser = httptools.HttpResponseParser(seen)
    upgraded = _feed(parser, seen, data)
    headers = tuple(seen.headers)
    until_closed = value_of(headers, "content-length") is None and value_of(headers, "transfer-encoding") is None
    cut = upgraded or not (seen.complete or until_closed)
    return Head(status=parser.get_status_code()), seen.part(cut=cut)


def without_body(part: Part) -> Part:
    """Return the answer to a HEAD request: it has the headers of a body and none."""
    return part if part.body else replace(part, body_size=0, truncated=False)


def _behind_informational(data: bytes) -> bytes | None:
    """Return what follows an informational response, such as the answer after 100 Continue; None where none does."""
    code = data[9:12]
    if code[:1] != b"1" or code == _SWITCHING:
        return None
    return data.partition(b"\r\n\r\n")[2] or None


def _feed(parser: Any, seen: _Seen, data: bytes) -> bool:  # noqa: ANN401 -- the parser has no types
    """Return True where the connection became one of another protocol, which is not looked into."""
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return True
    except httptools.HttpParserError:
        # Behind a whole message that is the next one's beginning; see below.
        if not seen.complete:
            raise Refused("no HTTP/1 message") from None
        seen.messages += 1
    if seen.in_head:
        raise Refused("headers cut" if seen.messages else "no HTTP/1 message")
    if seen.messages > 1:
        raise Refused("more than one message in a record")
    return False
