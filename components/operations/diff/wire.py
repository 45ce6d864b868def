"""Comparing protobuf messages without their descriptors, by field number."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, TypeAlias

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from .differences import Change, Difference

# Left out of the library's type stubs.
_UnknownFieldSet: Any = import_module("google.protobuf.unknown_fields").UnknownFieldSet

_LENGTH_DELIMITED: Final = 2
"""Wire type of texts, bytes, nested messages and packed lists. Source: protobuf's encoding guide."""

_GROUP: Final = 3
"""Wire type of a group, which only proto2 services of long ago have. Source: likewise."""

_MAX_DEPTH: Final = 60
"""Below the 100 levels at which protobuf's own parser gives up."""

_Fields: TypeAlias = dict[int, list[tuple[int, Any]]]


def compare_wire(primary: bytes, mirror: bytes, path: str) -> Iterator[Difference]:
    """Yield where two serialised messages differ, by field number: ``$.1.3``.

    What the wire does not tell is guessed the same way for both: bytes that read as text are text, others that parse
    as a message are one. The order of fields with different numbers does not matter, as protobuf has it.
    """
    one, other = _fields(primary), _fields(mirror)
    if one is None or other is None:
        if primary != mirror:
            yield Difference(path, Change.VALUE, primary, mirror)
        return
    yield from _compare_fields(one, other, path, 0)


def _compare_fields(primary: _Fields, mirror: _Fields, path: str, depth: int) -> Iterator[Difference]:
    for number in sorted({*primary, *mirror}):
        one, other, field = primary.get(number, []), mirror.get(number, []), f"{path}.{number}"
        if not other:
            yield Difference(field, Change.MISSING, one[0][1], None)
        elif not one:
            yield Difference(field, Change.ADDED, None, other[0][1])
        else:
            if len(one) != len(other):
                yield Difference(field, Change.LENGTH, len(one), len(other))
            for a, b in zip(one, other, strict=False):
                yield from _compare_values(a, b, field, depth)


def _compare_values(primary: tuple[int, Any], mirror: tuple[int, Any], path: str, depth: int) -> Iterator[Difference]:
    (kind, one), (other_kind, other) = primary, mirror
    if kind != other_kind:
        yield Difference(path, Change.TYPE, one, other)
    elif one == other:
        return
    elif kind == _GROUP:
        yield from _compare_fields(one, other, path, depth + 1)
    elif kind != _LENGTH_DELIMITED:
        yield Difference(path, Change.VALUE, one, other)
    else:
        inner, other_inner = (None, None) if _is_text(one) and _is_text(other) else (_fields(one), _fields(other))
        if inner is None or other_inner is None or depth > _MAX_DEPTH:
            yield Difference(path, Change.VALUE, one, other)
        else:
            yield from _compare_fields(inner, other_inner, path, depth + 1)


def _fields(data: bytes) -> _Fields | None:
    """Return values with their wire types by field number; ``None`` when the bytes are no message."""
    try:
        return _by_number(_UnknownFieldSet(Empty.FromString(data)))
    except DecodeError:
        return None


def _by_number(known: Any) -> _Fields:  # noqa: ANN401 -- UnknownFieldSet
    fields: _Fields = {}
    for one in known:
        value = _by_number(one.data) if one.wire_type == _GROUP else one.data
        fields.setdefault(one.field_number, []).append((one.wire_type, value))
    return fields


def _is_text(data: bytes) -> bool:
    # A nested message most often starts with the tag of field 1, which is a line feed.
    if data[:1] == b"\n":
        return False
    try:
        return all(character.isprintable() or character in "\t\r\n" for character in data.decode())
    except UnicodeDecodeError:
        return False
