"""What the wire tells of a protobuf message without its descriptors."""

from importlib import import_module
from typing import Any, Final, TypeAlias

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message

# Left out of the library's type stubs.
_UnknownFieldSet: Any = import_module("google.protobuf.unknown_fields").UnknownFieldSet

LENGTH_DELIMITED: Final = 2
"""Wire type of texts, bytes, nested messages and packed lists. Source: protobuf's encoding guide."""

GROUP: Final = 3
"""Wire type of a group, which only proto2 services of long ago have. Source: likewise."""

Fields: TypeAlias = dict[int, list[tuple[int, Any]]]
"""Values with their wire types by field number, in the order of the wire."""


class Undescribed(bytes):
    """A message inside another one whose type no descriptor tells."""

    __slots__ = ()


class WireValues(list[tuple[int, Any]]):
    """The values of a field that a message's descriptor does not know, with their wire types."""

    __slots__ = ()


def fields_of(data: bytes) -> Fields | None:
    """Return what serialised bytes hold; ``None`` when they are no message."""
    try:
        return unknown_fields(Empty.FromString(data))
    except DecodeError:
        return None


def unknown_fields(message: Message) -> Fields:
    """Return the fields of a message that its descriptor does not know; nested messages' own are not among them."""
    return _by_number(_UnknownFieldSet(message))


def is_text(data: bytes) -> bool:
    """Guess whether bytes are text rather than a nested message."""
    # A nested message most often starts with the tag of field 1, which is a line feed.
    if data[:1] == b"\n":
        return False
    try:
        return all(character.isprintable() or character in "\t\r\n" for character in data.decode())
    except UnicodeDecodeError:
        return False


def _by_number(known: Any) -> Fields:  # noqa: ANN401 -- UnknownFieldSet
    fields: Fields = {}
    for one in known:
        value = _by_number(one.data) if one.wire_type == GROUP else one.data
        fields.setdefault(one.field_number, []).append((one.wire_type, value))
    return fields
