"""Protobuf's variable-length integers, where lengths of messages are written so."""

from typing import Final

_MOST: Final = 10
"""Bytes of one of 64 bits. Source: protobuf's encoding, "Base 128 Varints"."""


def read_varint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return the integer and where it ends; None where the data end within it, or none is there.

    Args:
        data: What it is in.
        at: Where it begins.
    """
    value = 0
    for index, byte in enumerate(data[at : at + _MOST]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 -- the bit that says that more follows
            return value, at + index + 1
    return None, len(data)
