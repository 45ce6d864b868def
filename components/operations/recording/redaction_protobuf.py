"""Redacting fields of protobuf messages by full name; every other byte stays as it is."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from .descriptors import Descriptors

_ANY: Final = "google.protobuf.Any"
_TYPE_URL, _PACKED = 1, 2
"""Fields of ``Any``. Source: google/protobuf/any.proto."""

_VARINT, _FIXED64, _LENGTH_DELIMITED, _GROUP, _END_OF_GROUP, _FIXED32 = range(6)
"""Wire types. Source: protobuf's encoding guide."""

_MAX_PACKED_DEPTH: Final = 20
"""Messages within messages that are opened; what is packed deeper is dropped."""


class _Field(NamedTuple):
    """One field on the wire."""

    number: int
    wire_type: int
    first: int
    content: int
    """Where its content begins, behind tag and length."""
    content_end: int
    end: int


class ProtobufRedactor:
    """Leaves out what the names select, at any depth."""

    def __init__(self, fields: Sequence[str], descriptors: Descriptors) -> None:
        """Check the names.

        Raises:
            ValidationError: A field is not in the descriptor set.
        """
        for field in fields:
            descriptors.check_field(field)
        self._fields = frozenset(fields)
        self._descriptors = descriptors

    def rule(self, path: str, *, is_request: bool) -> Callable[[bytes], tuple[bytes | None, int]]:
        """Return what redacts one message of a method; a method without descriptors keeps nothing."""
        kind = self._descriptors.request_type(path) if is_request else self._descriptors.response_type(path)
        return partial(self._redact, kind, 0)

    def _redact(self, kind: type[Message] | None, depth: int, data: bytes) -> tuple[bytes | None, int]:
        if kind is None or depth > _MAX_PACKED_DEPTH:
            return None, 1
        try:
            kind.FromString(data)
            return self._cut(kind.DESCRIPTOR, data, depth)
        except (DecodeError, IndexError):
            return None, 1

    def _cut(self, descriptor: Any, data: bytes, depth: int) -> tuple[bytes, int]:  # noqa: ANN401 -- protobuf's Descriptor
        kept: list[bytes] = []
        count = 0
        fields = list(_fields(data))
        packed = self._packed_type(data, fields) if descriptor.full_name == _ANY else None
        for one in fields:
            known = descriptor.fields_by_number.get(one.number)
            if known is not None and known.full_name in self._fields:
                count += 1
                continue
            content = data[one.content : one.content_end]
            if descriptor.full_name == _ANY and one.number == _PACKED and one.wire_type == _LENGTH_DELIMITED:
                inner, found = self._redact(packed, depth + 1, content)
            elif known is not None and known.message_type and one.wire_type in (_LENGTH_DELIMITED, _GROUP):
                inner, found = self._cut(known.message_type, content, depth)
            else:
                inner, found = content, 0
            count += found
            kept.append(_rewritten(data, one, inner or b"") if found else data[one.first : one.end])
        return (b"".join(kept), count) if count else (data, 0)

    def _packed_type(self, data: bytes, fields: Sequence[_Field]) -> type[Message] | None:
        urls = [one for one in fields if one.number == _TYPE_URL and one.wire_type == _LENGTH_DELIMITED]
        url = data[urls[-1].content : urls[-1].content_end].decode("utf-8", "replace") if urls else ""
        return self._descriptors.message_type(url.rpartition("/")[2])


def _fields(data: bytes) -> Iterator[_Field]:
    """Yield the fields of a serialised message.

    Raises:
        IndexError: It ends too early, or has a wire type that does not exist.
    """
    position = 0
    while position < len(data):
        one = _field_at(data, position)
        yield one
        position = one.end


def _field_at(data: bytes, first: int) -> _Field:
    tag, content = _varint(data, first)
    number, wire_type = tag >> 3, tag & 7
    end = content_end = content
    match wire_type:
        case _ if wire_type == _VARINT:
            _, end = _varint(data, content)
        case _ if wire_type == _FIXED64:
            end = content + 8
        case _ if wire_type == _FIXED32:
            end = content + 4
        case _ if wire_type == _LENGTH_DELIMITED:
            length, content = _varint(data, content)
            end = content + length
        case _ if wire_type == _GROUP:
            while (inner := _field_at(data, content_end)).wire_type != _END_OF_GROUP:
                content_end = inner.end
            return _Field(number, wire_type, first, content, content_end, inner.end)
        case _ if wire_type == _END_OF_GROUP:
            pass
        case _:
            raise IndexError
    if end > len(data):
        raise IndexError
    return _Field(number, wire_type, first, content, end, end)


def _rewritten(data: bytes, one: _Field, content: bytes) -> bytes:
    """Return a field with another content."""
    if one.wire_type == _GROUP:
        return data[one.first : one.content] + content + data[one.content_end : one.end]
    _, behind_tag = _varint(data, one.first)
    return data[one.first : behind_tag] + _encoded(len(content)) + content


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 -- the highest bit says that more follows
            return number, position


def _encoded(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits go into each byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))
