"""Between the wire form of Pulumi properties and plain values that a test can compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that Pulumi holds as a secret; compare with ``Secret(expected)``."""

    value: Any


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that is not known during a preview."""

REDACTED: Final = "<secret>"
"""What stands for a secret in a snapshot."""


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return the properties of one resource as plain values, with integers as ``int``."""
    return {key: _decode(value) for key, value in json_format.MessageToDict(struct).items()}


def encode(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return plain values (as :func:`decode` gives them) in wire form."""
    return json_format.ParseDict(_encode(properties), struct_pb2.Struct())


def reveal(value: Any) -> Any:
    """Return the value with every :class:`Secret` replaced by what it holds."""
    return _map(value, lambda secret: reveal(secret.value))


def redact(value: Any) -> Any:
    """Return the value with every :class:`Secret` replaced by :data:`REDACTED`."""
    return _map(value, lambda _: REDACTED)


def contains_secret(value: Any) -> bool:
    """Tell whether the value is a secret or holds one at any depth."""
    return reveal(value) != value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top; mappings are merged, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _decode(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, dict) and rpc.is_rpc_secret(value):
        return Secret(_decode(value["value"]))
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value


def _encode(value: Any) -> Any:
    if value is UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(value, Secret):
        return rpc.wrap_rpc_secret(_encode(value.value))
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_encode(item) for item in value]
    return value


def _map(value: Any, of_secret: Any) -> Any:
    if isinstance(value, Secret):
        return of_secret(value)
    if isinstance(value, Mapping):
        return {key: _map(item, of_secret) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_map(item, of_secret) for item in value]
    return value
