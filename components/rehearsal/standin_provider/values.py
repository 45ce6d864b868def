"""Property values as the engine sends them: plain JSON values, plus secrets and values not known yet.

The wire form is that of ``sdk/go/common/resource/plugin/rpc.go`` in pulumi/pulumi: a secret is an object with
a signature key, an unknown value is one of a few reserved strings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from google.protobuf import struct_pb2

Value: TypeAlias = Any
"""None, bool, int, float, str, list, dict, :class:`Secret` or :data:`UNKNOWN`."""

Properties: TypeAlias = dict[str, Any]
"""The property bag of a resource: names to values."""

SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SIGNATURE_VALUE: Final = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_SENTINELS: Final = frozenset(
    {
        UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """A value that only a later step of the deployment will know."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must never be shown; its representation hides it."""

    value: Value

    def __repr__(self) -> str:
        return "Secret(…)"


def decode(bag: struct_pb2.Struct) -> Properties:
    """Return the properties of a message; whole numbers become ``int``, as the API server expects them."""
    return {key: _decode_value(item) for key, item in bag.fields.items()}


def encode(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """Return the wire form of ``properties``."""
    return struct_pb2.Struct(fields={key: _encode_value(item) for key, item in properties.items()})


def _decode_value(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _decode_struct(value.struct_value)
    if kind == "list_value":
        return [_decode_value(item) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWN_SENTINELS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _decode_struct(bag: struct_pb2.Struct) -> Value:
    if SIGNATURE_KEY not in bag.fields:
        return decode(bag)
    if bag.fields[SIGNATURE_KEY].string_value == SIGNATURE_VALUE:
        inner = _decode_value(bag.fields["value"])
        return inner if isinstance(inner, Secret) else Secret(inner)
    raise ValueError("assets, archives and resource references have no meaning in a Kubernetes object")


def _encode_value(value: Value) -> struct_pb2.Value:
    if isinstance(value, Unknown):
        return _encode_value(UNKNOWN_STRING)
    if isinstance(value, Secret):
        return _encode_value({SIGNATURE_KEY: SIGNATURE_VALUE, "value": value.value})
    if isinstance(value, dict):
        return struct_pb2.Value(struct_value=encode(cast("Properties", value)))
    if isinstance(value, list):
        items = [_encode_value(item) for item in cast("list[Value]", value)]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    return _encode_scalar(value)


def _encode_scalar(value: str | float | None) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    return struct_pb2.Value(number_value=value)


def rewrite(value: Value, leaf: Callable[[Value], Value], key: Callable[[str], str] = str) -> Value:
    """Return a deep copy of ``value``: ``leaf`` applied to scalars and markers, ``key`` to object keys."""
    if isinstance(value, dict):
        return {key(name): rewrite(item, leaf, key) for name, item in cast("Properties", value).items()}
    if isinstance(value, list):
        return [rewrite(item, leaf, key) for item in cast("list[Value]", value)]
    return leaf(value)


def plain(value: Value) -> Value:
    """Return a deep copy of ``value`` in which secrets are replaced by what they hide; unknowns stay."""
    return rewrite(value, lambda item: plain(item.value) if isinstance(item, Secret) else item)


def any_leaf(value: Value, test: Callable[[Value], bool]) -> bool:
    """Tell whether ``test`` holds for some part of ``value`` that is neither a list nor an object."""
    if isinstance(value, dict):
        return any(any_leaf(item, test) for item in cast("Properties", value).values())
    if isinstance(value, list):
        return any(any_leaf(item, test) for item in cast("list[Value]", value))
    return test(value) or (isinstance(value, Secret) and any_leaf(value.value, test))


def has_unknown(value: Value) -> bool:
    """Tell whether some part of ``value`` is not known yet."""
    return any_leaf(value, lambda item: isinstance(item, Unknown))


def has_secret(value: Value) -> bool:
    """Tell whether some part of ``value`` is a secret."""
    return any_leaf(value, lambda item: isinstance(item, Secret))


def keep_secrets(outs: Properties, ins: Mapping[str, Value]) -> Properties:
    """Return ``outs`` with every value marked secret that is one in ``ins``, and all data of a Secret object.

    Objects are walked key by key; a list with one secret element becomes secret as a whole, because a server
    may reorder it.
    """
    if outs.get("kind") == "Secret":
        return {key: _secret(item) if key in {"data", "stringData"} else item for key, item in outs.items()}
    return {key: _keep_secret(item, ins[key]) if key in ins else item for key, item in outs.items()}


def _keep_secret(out: Value, source: Value) -> Value:
    if isinstance(out, dict) and isinstance(source, dict):
        return keep_secrets(cast("Properties", out), cast("Properties", source))
    return _secret(out) if has_secret(source) else cast("Value", out)


def _secret(value: Value) -> Secret:
    return value if isinstance(value, Secret) else Secret(plain(value))


def secret_texts(value: Value) -> set[str]:
    """Return every text that ``value`` hides, so that it can be kept out of messages."""
    found: set[str] = set()

    def collect(item: Value) -> Value:
        if isinstance(item, Secret):
            rewrite(plain(item.value), lambda leaf: found.add(leaf) if isinstance(leaf, str) else None)

    rewrite(value, collect)
    return found
