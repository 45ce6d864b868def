"""Undoing and redoing compression of bodies and messages, within a bound."""

import gzip
import zlib
from typing import Final

MAX_DECODED_BYTES: Final = 16 * 1024 * 1024
"""More than this is not decoded: a few KiB of gzip can hold gigabytes."""

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
"""Tells zlib to look at the stream's own header. Source: zlib's manual on inflateInit2."""


def decode(data: bytes, coding: str) -> bytes | None:
    """Return the plain bytes; ``None`` when the coding is not known here, broken, or too large.

    Args:
        data: Encoded bytes.
        coding: Value of ``content-encoding`` or ``grpc-encoding``; empty and ``identity`` stand for none.
    """
    match coding.strip().lower():
        case "" | "identity":
            return data
        case "gzip" | "x-gzip" | "deflate":
            return _inflate(data)
        case _:
            return None


def encode(data: bytes, coding: str) -> bytes:
    """Return the bytes in a coding that :func:`decode` understands."""
    match coding.strip().lower():
        case "gzip" | "x-gzip":
            return gzip.compress(data, compresslevel=1, mtime=0)
        case "deflate":
            return zlib.compress(data, level=1)
        case _:
            return data


def _inflate(data: bytes) -> bytes | None:
    for window_bits in (_GZIP_OR_ZLIB, -zlib.MAX_WBITS):  # some servers send deflate without the zlib header
        inflater = zlib.decompressobj(window_bits)
        try:
            plain = inflater.decompress(data, MAX_DECODED_BYTES)
        except zlib.error:
            continue
        # More may follow the end of a stream: another one, which gzip allows. What was not read is not known.
        return plain if inflater.eof and not inflater.unused_data else None
    return None
