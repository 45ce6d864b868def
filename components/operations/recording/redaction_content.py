"""Redacting bodies by what they hold, whatever they are said to be: JSON, forms, multipart, event streams."""

import re
from collections.abc import Iterator, Sequence
from email.message import Message as MimeHeaders
from email.parser import BytesHeaderParser
from email.utils import collapse_rfc2231_value
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote_plus, unquote_plus

from ...model.credentials import CredentialNames
from .redaction_json import REDACTED, JsonRedactor

URL_REDACTED: Final = quote_plus(REDACTED)
"""The same in URLs and forms, where brackets would be refused by some servers. Source: RFC 3986 section 3.4."""

FORM: Final = "application/x-www-form-urlencoded"

Payload: TypeAlias = tuple[bytes | None, int]
"""Bytes that may be kept, or ``None``, and how many values were replaced."""

_FORM_LIKE: Final = re.compile(rb"[\w.%+~*\[\]-]+=[^\s&={}<>\"]*(?:&[\w.%+~*\[\]-]+=[^\s&={}<>\"]*)*\s*")

_WITHIN: Final = re.compile(r"[\[\].]+")
"""Between the names of a field of an object, as Rails, PHP, Spring and ASP.NET read forms."""

_EVENT_STREAM: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?::|(?:data|event|id|retry):)")
"""How server-sent events begin. Source: HTML Living Standard, "Parsing an event stream"."""

_EVENT_DATA: Final = re.compile(rb"^(data: ?)([^\r\n]*)", re.MULTILINE)

_FIRST_BOUNDARY: Final = re.compile(rb"(?:\r?\n)?--([^\r\n]{1,70})\r?\n")
"""Source of the length: RFC 2046 section 5.1.1."""

_END_OF_HEAD: Final = re.compile(rb"(?:\A|\r?\n)\r?\n")

_MAX_DEPTH: Final = 3
"""Bodies within bodies."""

_NESTED: Final = re.compile(r"(%3F|%26|%23|\?|#)([^&=%?#]+)(=|%3D)((?:(?!%26|%23)[^&])+)", re.IGNORECASE)
"""A parameter of a URL that is the value of another one, encoded once or not at all."""

_NAMED_BINARY: Final = re.compile(r"\b(?:bson|cbor|flexbuffers|msgpack|smile|ubjson)\b")
"""Media types of objects with names that are no text."""

_NO_TEXT: Final = ("image/", "video/", "audio/", "font/")


class ParameterRedactor:
    """Replaces the values of parameters in queries and forms."""

    def __init__(self, names: Sequence[str], json: JsonRedactor) -> None:
        """Prepare.

        Args:
            names: As :class:`~pulumi_traffic_mirror.model.credentials.CredentialNames` takes them.
            json: For values that are JSON themselves.
        """
        self._names = CredentialNames(names)
        self._json = json

    def is_secret(self, name: str) -> bool:
        """Tell whether a parameter's value is forbidden: by its name, or by one of those in ``a[b]`` and ``a.b``."""
        return name in self._names or any(part in self._names for part in _WITHIN.split(name) if part)

    def redact(self, text: str) -> tuple[str, int]:
        """Replace values in ``a=1&b=2``, also where semicolons stand between parameters, as some servers read them."""
        pairs, count = text.split("&"), 0
        for index, pair in enumerate(pairs):
            pairs[index], found = self._redact_pair(pair)
            count += found
        return "&".join(pairs), count

    def _redact_pair(self, pair: str) -> tuple[str, int]:
        first = 0
        for piece in pair.split(";"):
            name, equals, value = piece.partition("=")
            if equals and value and value != URL_REDACTED:
                if self.is_secret(unquote_plus(name)):
                    return f"{pair[:first]}{name}={URL_REDACTED}", 1
                if value.startswith(("{", "[", "%7B", "%7b", "%5B", "%5b")):
                    # Whether a semicolon ends a value or is part of it, only the server knows.
                    kept, count = self._redact_json(name, pair[first + len(name) + 1 :])
                    return f"{pair[:first]}{kept}", count
            first += len(piece) + 1
        return self._redact_nested(pair)

    def _redact_nested(self, pair: str) -> tuple[str, int]:
        """Replace values of parameters in URLs that are values themselves, such as the next page's."""
        count = 0

        def replaced(match: re.Match[str]) -> str:
            nonlocal count
            if match[4] == URL_REDACTED or not self.is_secret(match[2]):
                return match[0]
            count += 1
            return f"{match[1]}{match[2]}{match[3]}{URL_REDACTED}"

        return (_NESTED.sub(replaced, pair), count) if "=" in pair else (pair, 0)

    def redact_path(self, path: str) -> tuple[str, int]:
        """Replace values in ``/a;b=1/c``."""
        segments, count = path.split(";"), 0
        for index, segment in enumerate(segments[1:], 1):
            pair, slash, rest = segment.partition("/")
            kept, found = self.redact(pair)
            segments[index] = f"{kept}{slash}{rest}"
            count += found
        return ";".join(segments), count

    def _redact_json(self, name: str, value: str) -> tuple[str, int]:
        plain = unquote_plus(value).encode()
        kept, count = self._json.redact(plain)
        if kept is None:
            return (f"{name}={URL_REDACTED}", 1) if self._json.suspects(plain) else (f"{name}={value}", 0)
        return f"{name}={quote_plus(kept) if count else value}", count


class _Body(NamedTuple):
    """What is looked into."""

    data: bytes
    media_type: str
    declared: str
    """The media type in lower case, without parameters."""
    is_whole: bool
    depth: int


class ContentRedactor:
    """Finds out what a body is, and replaces what is forbidden in it."""

    def __init__(self, json: JsonRedactor, parameters: ParameterRedactor) -> None:
        self._json = json
        self._parameters = parameters

    def redact(self, data: bytes, media_type: str, *, is_whole: bool = True, depth: int = 0) -> Payload:
        """Return a body without what is forbidden; ``None`` when it may hold some and cannot be read.

        Args:
            data: Without any coding.
            media_type: What ``content-type`` says, with parameters; the content is looked at in any case.
            is_whole: False where the end is missing.
            depth: How many other bodies it is part of.
        """
        body = _Body(data, media_type, media_type.partition(";")[0].strip().lower(), is_whole, depth)
        if not data or body.declared.startswith(_NO_TEXT):
            return data, 0
        for redact in (self._json_body, self._multipart, self._form, self._events):
            found = redact(body)
            if found is not None:
                return found
        if _NAMED_BINARY.search(body.declared):
            return (None, 1) if self._json.mentions(data) else (data, 0)
        kept, count = self._json.redact_tags(data)
        return (None, 1) if self._json.suspects(kept) else (kept, count)

    def _json_body(self, body: _Body) -> Payload | None:
        is_declared = "json" in body.declared
        if not is_declared and not self._json.could_read(body.data):
            return None
        kept, count = self._json.redact(body.data) if body.is_whole else (None, 1)
        if kept is None and not (is_declared and self._json.has_paths):
            return None
        return kept, count

    def _form(self, body: _Body) -> Payload | None:
        if body.declared != FORM and not _FORM_LIKE.fullmatch(body.data):
            return None
        if not body.is_whole:
            return None, 1
        text, count = self._parameters.redact(body.data.decode("latin-1"))
        kept = text.encode("latin-1")
        # Some tools call whatever they send a form, JSON that cannot be read as well.
        if self._json.could_read(kept) and self._json.suspects(kept):
            return None, 1
        return kept, count

    def _events(self, body: _Body) -> Payload | None:
        if body.declared != "text/event-stream" and not _EVENT_STREAM.match(body.data):
            return None
        data, pieces = body.data, list[bytes]()
        position = count = 0
        for line in _EVENT_DATA.finditer(data):
            kept, found = self._json.redact(line[2]) if self._json.could_read(line[2]) else (line[2], 0)
            if kept is None and self._json.suspects(data):
                return None, 1
            if kept is not None and found:
                pieces += data[position : line.start(2)], kept
                position, count = line.end(2), count + found
        return b"".join((*pieces, data[position:])), count

    def _multipart(self, body: _Body) -> Payload | None:
        is_declared = body.declared.startswith("multipart/")
        boundary = _boundary_of(body.data, body.media_type if is_declared else "")
        if not boundary:
            return (None, 1) if is_declared else None
        if body.depth >= _MAX_DEPTH:
            return None, 1
        data, pieces = body.data, list[bytes]()
        position = count = 0
        for part in _parts_of(data, boundary):
            content = data[part.first : part.end]
            kept, found = self._part(content, part.headers, body.depth)
            if kept is None:
                return None, 1
            if found:
                pieces += data[position : part.first], kept
                position, count = part.end, count + found
        return b"".join((*pieces, data[position:])), count

    def _part(self, content: bytes, headers: MimeHeaders, depth: int) -> Payload:
        name = headers.get_param("name", "", header="content-disposition")
        if content and self._parameters.is_secret(collapse_rfc2231_value(name)):
            return REDACTED.encode(), 1
        if str(headers.get("content-transfer-encoding", "binary")).strip().lower() in ("base64", "quoted-printable"):
            return None, 1
        return self.redact(content, str(headers.get("content-type", "")), depth=depth + 1)


class _Part(NamedTuple):
    headers: MimeHeaders
    first: int
    """Where its content begins."""
    end: int


def _boundary_of(data: bytes, media_type: str) -> bytes:
    headers = MimeHeaders()
    headers["content-type"] = media_type
    declared = headers.get_param("boundary") if media_type else None
    if isinstance(declared, str) and declared:
        boundary = declared.encode("latin-1", "replace")
        # What stands in the body decides, as it does for whoever reads it without a look at the header.
        if b"--" + boundary in data:
            return boundary
    found = _FIRST_BOUNDARY.match(data)
    return found[1].rstrip() if found else b""


def _parts_of(data: bytes, boundary: bytes) -> Iterator[_Part]:
    delimiters = list(re.finditer(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?=\r?\n|\Z)", data))
    for index, delimiter in enumerate(delimiters):
        end = delimiters[index + 1].start() if index + 1 < len(delimiters) else len(data)
        # The line feed behind the delimiter is left, so that a part without headers begins with an empty line.
        first = delimiter.end() + (2 if data.startswith(b"\r\n", delimiter.end()) else 1)
        if delimiter[0].endswith(b"--") or first >= end:
            continue
        head = _END_OF_HEAD.search(data[first:end])
        headers = BytesHeaderParser().parsebytes(data[first : first + head.start()] if head else b"")
        yield _Part(headers, first + head.end() if head else first, end)
