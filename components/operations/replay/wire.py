"""How a request's headers are given to libcurl, and how an answer's are taken from it."""

import re
from functools import lru_cache
from typing import Final

from ..recording.exchange import Headers, value_of

_SPLITS_LINE: Final = re.compile(r"[\r\n\0]")
_NO_TARGET: Final = re.compile(r"[\x00-\x20\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Source: RFC 9110 section 5.6.2."""

_LIBCURL_ADDS: Final = {"accept": b"Accept:", "user-agent": b"User-Agent:", "expect": b"Expect:"}
"""Headers that libcurl would write by itself, each with the line that forbids it."""

_GRPC_TIMEOUT: Final = re.compile(r"(\d{1,8})([HMSmun])")
_UNIT_US: Final = {"H": 3_600_000_000, "M": 60_000_000, "S": 1_000_000, "m": 1_000, "u": 1, "n": 0.001}
"""Microseconds of each unit. Source: gRPC over HTTP/2, "Timeout"."""


class UnsendableError(ValueError):
    """No HTTP request can carry this, though a file may hold it."""


@lru_cache(maxsize=16_384)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def header_line(name: str, value: str) -> bytes:
    """Return a header as libcurl takes it.

    Raises:
        UnsendableError: It would not be one header.
    """
    if not _is_token(name):
        raise UnsendableError("a header's name is no token")
    if _SPLITS_LINE.search(value):
        raise UnsendableError("a header's value has line breaks")
    return _as_bytes(_line(name, value))


def _line(name: str, value: str) -> str:
    # A name with a colon and nothing else would be taken for a header that is not to be sent.
    return f"{name}: {value}" if value else f"{name};"


def header_lines(authority: str, headers: Headers) -> list[bytes]:
    """Return the lines for libcurl: exactly these headers and none of its own.

    Raises:
        UnsendableError: One of them is no header.
    """
    # Looked at and encoded all at once, which takes a third of the time of one after the other.
    all_headers = (("Host", authority), *headers)
    text = "\n".join([_line(name, value) for name, value in all_headers])
    forbidden = _forbidden(tuple([name for name, _ in headers]))
    if forbidden is None or text.count("\n") != len(headers) or "\r" in text or "\0" in text:
        return [header_line(name, value) for name, value in all_headers]
    return [*_as_bytes(text).split(b"\n"), *forbidden]


@lru_cache(maxsize=1_024)
def _forbidden(names: tuple[str, ...]) -> tuple[bytes, ...] | None:
    """Return the lines that forbid what libcurl would add to headers of these names; ``None`` where one is no name."""
    if not all(map(_is_token, names)):
        return None
    return tuple(line for name, line in _LIBCURL_ADDS.items() if name not in names)


def request_line(method: str, path: str) -> tuple[str, bytes]:
    """Return the method and the target as libcurl takes them.

    Raises:
        UnsendableError: They would not be one request.
    """
    if not _is_token(method):
        raise UnsendableError("its method is no token")
    if _NO_TARGET.search(path):
        raise UnsendableError("its path has spaces or control characters")
    return method, _as_bytes(path)


def _as_bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise UnsendableError("it has characters that are no bytes") from None


def headers_and_trailers(lines: list[bytes]) -> tuple[Headers, Headers]:
    """Return an answer's headers and trailers of the lines that libcurl hands over.

    Interim answers (1xx) come before the final one, each with a status line of its own; trailers after an empty line.
    """
    found = list(map(_header_of, lines))
    if found.count(None) == 2 and lines[0].startswith(b"HTTP/") and found[-1] is None:  # noqa: PLR2004 -- the usual answer
        return tuple(filter(None, found)), ()
    headers: list[tuple[str, str]] = []
    trailers: list[tuple[str, str]] = []
    block = headers
    for line, header in zip(lines, found, strict=True):
        if header is not None:
            block.append(header)
        elif line.startswith(b"HTTP/"):
            headers, trailers = [], []
            block = headers
        else:
            block = trailers
    return tuple(headers), tuple(trailers)


@lru_cache(maxsize=16_384)
def _header_of(line: bytes) -> tuple[str, str] | None:
    """Return a line's header; ``None`` for a status line or an empty one. No header's name has a slash."""
    name, colon, value = line.decode("latin-1").partition(":")
    return (name.strip().lower(), value.strip()) if colon and not name.startswith("HTTP/") else None


def deadline_us(headers: Headers) -> float | None:
    """Return how long a gRPC call may take by its own ``grpc-timeout``; ``None`` without a valid one."""
    match = _GRPC_TIMEOUT.fullmatch(value_of(headers, "grpc-timeout") or "")
    return int(match[1]) * _UNIT_US[match[2]] if match else None


def with_deadline(headers: Headers, microseconds: float) -> Headers:
    """Return headers with another ``grpc-timeout``."""
    value = f"{min(99_999_999, round(microseconds / 1000))}m"
    return tuple((name, value if name == "grpc-timeout" else old) for name, old in headers)
