"""The vocabulary of a comparison: which field differs, and how."""

from collections.abc import Iterator
from enum import StrEnum, unique
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..recording.endpoints import is_identifier

_MAX_DEPTH: Final = 200
"""Nesting that is compared field by field; what lies deeper is compared as a whole."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


@unique
class Change(StrEnum):
    """How a field differs.

    Each kind is counted by itself, so that a field whose value varies naturally is still found when it changes its
    type or vanishes.
    """

    VALUE = "value"
    TYPE = "type"
    MISSING = "missing"
    """The primary has it, the mirror does not."""
    ADDED = "added"
    """The mirror has it, the primary does not."""
    LENGTH = "length"
    """Lists of different length; their common elements are compared as well."""


class Difference(NamedTuple):
    """One field that differs between two answers."""

    field: str
    """Where: ``status``, ``header server``, ``body $.items[*].price``, ``message $.1``."""
    change: Change
    primary: object
    mirror: object


def compare_json(primary: Any, mirror: Any, path: str) -> Iterator[Difference]:  # noqa: ANN401 -- any JSON values
    """Yield where two JSON values differ.

    Elements of a list share one path (``[*]``), and so do keys that look like identifiers (``{id}``), so that the
    number of fields does not grow with the data.
    """
    return _compare(primary, mirror, path, 0)


def _compare(primary: Any, mirror: Any, path: str, depth: int) -> Iterator[Difference]:  # noqa: ANN401 -- see above
    if depth > _MAX_DEPTH:
        if primary != mirror:
            yield Difference(path, Change.VALUE, primary, mirror)
    elif isinstance(primary, dict) and isinstance(mirror, dict):
        yield from _compare_objects(primary, mirror, path, depth)  # pyright: ignore[reportUnknownArgumentType] -- JSON
    elif isinstance(primary, list) and isinstance(mirror, list):
        yield from _compare_lists(primary, mirror, path, depth)  # pyright: ignore[reportUnknownArgumentType] -- JSON
    elif _kind_of(primary) != _kind_of(mirror):
        yield Difference(path, Change.TYPE, primary, mirror)
    elif primary != mirror:
        yield Difference(path, Change.VALUE, primary, mirror)


def _compare_objects(primary: dict[str, Any], mirror: dict[str, Any], path: str, depth: int) -> Iterator[Difference]:
    for key, value in primary.items():
        if key not in mirror:
            yield Difference(path + step(key), Change.MISSING, value, None)
        elif not _is_same_scalar(value, other := mirror[key]):
            yield from _compare(value, other, path + step(key), depth + 1)
    for key, value in mirror.items():
        if key not in primary:
            yield Difference(path + step(key), Change.ADDED, None, value)


def _compare_lists(primary: list[Any], mirror: list[Any], path: str, depth: int) -> Iterator[Difference]:
    if len(primary) != len(mirror):
        yield Difference(path, Change.LENGTH, primary, mirror)
    inside = path + "[*]"
    for one, other in zip(primary, mirror, strict=False):
        if not _is_same_scalar(one, other):
            yield from _compare(one, other, inside, depth + 1)


def _is_same_scalar(one: Any, other: Any) -> bool:  # noqa: ANN401 -- any JSON values
    """Tell the usual case early; a path is worked out only for the rest."""
    return type(one) is type(other) and type(one) in _SCALARS and one == other


def _kind_of(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    """Return JSON's name for the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


@lru_cache(maxsize=10_000)
def step(key: str) -> str:
    """Return a key as a step of a path."""
    if is_identifier(key):
        return ".{id}"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"
