"""Redacting fields of protobuf messages by full name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from .descriptors import Descriptors

_ANY: Final = "google.protobuf.Any"


class ProtobufRedactor:
    """Clears what the names select, at any depth."""

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
        return partial(self._redact, kind)

    def _redact(self, kind: type[Message] | None, data: bytes) -> tuple[bytes | None, int]:
        if kind is None:
            return None, 1
        message = kind()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return None, 1
        count = self._clear(message)
        return (message.SerializeToString(), count) if count else (data, 0)

    def _clear(self, message: Message) -> int:
        if message.DESCRIPTOR.full_name == _ANY:
            return self._clear_packed(message)
        count = 0
        for field, value in message.ListFields():
            if field.full_name in self._fields:
                message.ClearField(field.name)
                count += 1
            elif field.message_type is not None:
                count += sum(self._clear(inner) for inner in _inner(field, value))
        return count

    def _clear_packed(self, packed: Any) -> int:  # noqa: ANN401 -- google.protobuf.Any, of the descriptor set's pool
        """Clear inside a message that carries another one as bytes."""
        kind = self._descriptors.message_type(packed.type_url.rpartition("/")[2])
        data, count = self._redact(kind, packed.value)
        if count:
            packed.value = data or b""
        return count


def _inner(field: Any, value: Any) -> Sequence[Message]:  # noqa: ANN401 -- protobuf's containers have no common type
    """Return the messages in a field: itself, its elements, or the values of a map."""
    if field.message_type.GetOptions().map_entry:
        is_message = field.message_type.fields_by_name["value"].message_type is not None
        return list(value.values()) if is_message else []
    return [value] if isinstance(value, Message) else list(value)
