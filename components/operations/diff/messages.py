"""Comparing protobuf messages by their descriptors: what means the same is equal, however it is written."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from ..recording.descriptors import Descriptors
from .differences import Difference, Unordered, compare_values, compare_wire
from .wire import Undescribed, WireValues, unknown_fields

_PACKAGE: Final = "google.protobuf."

_WRAPPERS: Final = frozenset(
    f"{name}Value" for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
"""Messages that stand for the one scalar in them. Source: google/protobuf/wrappers.proto."""

_MAX_PACKED_DEPTH: Final = 60
"""Nesting at which an ``Any`` is no longer opened; each could hold 100 more levels, which is the parser's own limit."""


class MessageComparer:
    """Compares messages of the methods that a descriptor set knows."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._meanings: Mapping[str, Callable[[Any, int], Any]] = {
            **dict.fromkeys(_WRAPPERS, _wrapped),
            **dict.fromkeys(("Timestamp", "Duration"), _time),
            "Struct": self._struct,
            "ListValue": self._list,
            "Value": self._any_value,
            "Any": self._packed,
        }

    def compare(
        self, primary: bytes, mirror: bytes, method: str, path: str, *, unordered: Unordered | None = None
    ) -> Iterator[Difference]:
        """Yield where two response messages of a method differ.

        Fields have their names; those that the descriptors do not know are told by number. The order of a map's
        entries, defaults that are written out, packing, and a message sent in pieces make no difference.

        Args:
            primary: Serialised message.
            mirror: Likewise.
            method: ``/package.Service/Method``.
            path: What the paths of differences begin with.
            unordered: Which repeated fields are compared as sets.
        """
        kind = self._descriptors.response_type(method)
        try:
            trees = [] if kind is None else [self._tree(kind.FromString(data)) for data in (primary, mirror)]
        except DecodeError:
            trees = []
        if trees:
            yield from compare_values(trees[0], trees[1], path, unordered=unordered)
        else:
            yield from compare_wire(primary, mirror, path)

    def _tree(self, message: Message, depth: int = 0) -> Any:  # noqa: ANN401 -- a dictionary, or what the message stands for
        unknown = unknown_fields(message)
        name = message.DESCRIPTOR.full_name
        if name.startswith(_PACKAGE) and not unknown:
            meaning = self._meanings.get(name.removeprefix(_PACKAGE))
            if meaning is not None:
                return meaning(message, depth)
        tree: dict[str | int, Any] = {
            f"[{field.full_name}]" if field.is_extension else field.name: self._value(field, value, depth)
            for field, value in message.ListFields()
        }
        tree.update({number: WireValues(values) for number, values in unknown.items()})
        return tree

    def _value(self, field: Any, value: Any, depth: int) -> Any:  # noqa: ANN401 -- protobuf's values have no common type
        if isinstance(value, Message):
            return self._tree(value, depth + 1)
        if isinstance(value, int | float | str | bytes):
            return _named(field, value)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            return {str(key): self._value(inner, value[key], depth) for key in value}
        return [self._value(field, element, depth) for element in value]

    def _struct(self, message: Any, depth: int) -> dict[str, Any]:  # noqa: ANN401 -- see above
        return {key: self._tree(message.fields[key], depth + 1) for key in message.fields}

    def _list(self, message: Any, depth: int) -> list[Any]:  # noqa: ANN401 -- see above
        return [self._tree(value, depth + 1) for value in message.values]

    def _any_value(self, message: Any, depth: int) -> Any:  # noqa: ANN401 -- see above
        kind: str | None = message.WhichOneof("kind")
        if kind is None:
            return {}
        value = getattr(message, kind)
        if isinstance(value, Message):
            return self._tree(value, depth + 1)
        return None if kind == "null_value" else value

    def _packed(self, packed: Any, depth: int) -> dict[str, Any]:  # noqa: ANN401 -- google.protobuf.Any
        kind = self._descriptors.message_type(packed.type_url.rpartition("/")[2]) if depth < _MAX_PACKED_DEPTH else None
        try:
            tree = Undescribed(packed.value) if kind is None else self._tree(kind.FromString(packed.value), depth + 1)
        except DecodeError:
            tree = Undescribed(packed.value)
        if isinstance(tree, dict):
            return {"@type": packed.type_url, **tree}
        return {"@type": packed.type_url, "value": tree}


def _wrapped(message: Any, _depth: int) -> Any:  # noqa: ANN401 -- see above
    return message.value


def _time(message: Any, _depth: int) -> str:  # noqa: ANN401 -- see above
    try:
        return message.ToJsonString()
    except ValueError:  # outside of what JSON's form can tell
        return f"{message.seconds} s {message.nanos} ns"


def _named(field: Any, value: Any) -> Any:  # noqa: ANN401 -- see above
    """Return an enum's value by its name, if it has one."""
    if field.enum_type is None:
        return value
    known = field.enum_type.values_by_number.get(value)
    return known.name if known is not None else str(value)
