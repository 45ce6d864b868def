"""Undoing and redoing compression of bodies and messages, within a bound."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Final

from .arrow import pa

MAX_DECODED_BYTES: Final = 16 * 1024 * 1024
"""More than this is not decoded: a few KiB of gzip can hold gigabytes."""

_CHUNK: Final = 64 * 1024

_MAX_CODINGS: Final = 4
"""Codings on top of each other that are undone; nobody needs more than two."""

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
"""Tells zlib to look at the stream's own header. Source: zlib's manual on inflateInit2."""

_BY_ZLIB: Final = frozenset({"gzip", "x-gzip", "deflate"})

_BY_ARROW: Final = {"br": "brotli", "zstd": "zstd"}
"""Arrow brings these codecs for Parquet, so nothing else need be installed. Names: RFC 7932, RFC 8878."""

_TOLD: Final = frozenset(
    {"aes128gcm", "compress", "dcb", "dcz", "exi", "lz4", "lzma", "pack200-gzip", "snappy", "x-compress", "xz"}
)
"""Other codings that reasons name; servers may make up any number more.

Source: IANA's registry of HTTP content codings, and compressors that gRPC's libraries have."""


class UnopenedError(ValueError):
    """A body or message cannot be decoded; the text says why and fits behind "its content"."""


def decode(data: bytes, coding: str, *, limit: int = MAX_DECODED_BYTES) -> bytes | None:
    """Return the plain bytes; ``None`` when the coding is not known here, broken, or too large.

    Args:
        data: Encoded bytes.
        coding: Value of ``content-encoding`` or ``grpc-encoding``; empty and ``identity`` stand for none.
        limit: Most bytes that each coding may give.
    """
    try:
        return opened(data, coding, limit=limit)
    except UnopenedError:
        return None


def opened(data: bytes, coding: str, *, limit: int = MAX_DECODED_BYTES) -> bytes:
    """Return the plain bytes; arguments as for :func:`decode`.

    Raises:
        UnopenedError: The coding is not known here, broken, cut off, or gives more than the limit.
    """
    names = _names(coding)
    if len(names) > _MAX_CODINGS:
        raise UnopenedError(f"has more than {_MAX_CODINGS} codings")
    # The last one was applied last. Source: RFC 9110 section 8.4.
    for name in reversed(names):
        if not data:  # an answer to HEAD, a 304: headers of a body that is not there
            return data
        if name in _BY_ZLIB:
            pieces = _inflated(data, limit)
        elif name in _BY_ARROW:
            pieces = _read_by_arrow(data, _BY_ARROW[name])
        else:
            coding = repr(name) if name in _TOLD else "something"
            raise UnopenedError(f"is coded as {coding}, which is not known here")
        data = _gathered(pieces, name, limit)
    return data


def encode(data: bytes, coding: str) -> bytes:
    """Return the bytes in a coding that :func:`decode` understands; others are left out."""
    for name in _names(coding):
        if name in _BY_ARROW:
            data = pa.compress(data, codec=_BY_ARROW[name], asbytes=True)
        elif name == "deflate":
            data = zlib.compress(data, level=1)
        elif name in _BY_ZLIB:
            data = gzip.compress(data, compresslevel=1, mtime=0)
    return data


def _names(coding: str) -> list[str]:
    names = (name.strip().lower() for name in coding.split(","))
    return [name for name in names if name not in ("", "identity")]


def _gathered(pieces: Iterator[bytes], name: str, limit: int) -> bytes:
    gathered: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise UnopenedError(f"is larger than {limit // 1024:,} KiB once decoded")
            gathered.append(piece)
    except (zlib.error, OSError, EOFError) as error:
        raise UnopenedError(f"is no whole {name}") from error
    return b"".join(gathered)


def _read_by_arrow(data: bytes, codec: str) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def _inflated(data: bytes, limit: int) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold one after the other, or one zlib or deflate stream."""
    window_bits = _GZIP_OR_ZLIB if _has_header(data) else -zlib.MAX_WBITS
    while data:
        inflater = zlib.decompressobj(window_bits)
        yield inflater.decompress(data, limit + 1)
        if not inflater.eof:
            raise EOFError
        # Zeros may fill up the last member. Source: gzip's manual, "Advanced usage".
        data = inflater.unused_data.lstrip(b"\0")


def _has_header(data: bytes) -> bool:
    """Tell whether zlib finds its own or gzip's header; some servers send deflate without any."""
    try:
        zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data[:64], 1)
    except zlib.error:
        return False
    return True
