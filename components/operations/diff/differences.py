"""The vocabulary of a comparison: which field differs, and how."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum, unique
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from ..recording.endpoints import is_identifier
from .wire import GROUP, LENGTH_DELIMITED, Fields, Undescribed, WireValues, fields_of, is_text

_MAX_DEPTH: Final = 200
"""Nesting that is compared field by field; what lies deeper is compared as a whole."""

_MAX_WIRE_DEPTH: Final = 60
"""The same for protobuf without descriptors; below the 100 levels at which protobuf's own parser gives up."""

_ABSENT: Final = object()

_CONTAINERS: Final = frozenset({dict, list})

_SCALARS: Final = frozenset({str, int, float, bool, Decimal, type(None)})

_PLAIN: Final = frozenset({str, int, bool, type(None)})
"""Scalars that differ where Python says so."""

Unordered: TypeAlias = Callable[[str], bool]
"""Tells whether the list at a path is a set, so that the order of its elements says nothing."""


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
    SLOWER = "slower"
    """The mirror took much longer."""

    # That of enumerations is in Python, and counting asks for it a dozen times for each pair.
    __hash__ = str.__hash__


class Difference(NamedTuple):
    """One field that differs between two answers."""

    field: str
    """Where: ``status``, ``header server``, ``body $.items[*].price``, ``message $.1``."""
    change: Change
    primary: object
    mirror: object


class OversizedNumber(str):
    """A number of JSON whose exponent no decimal holds; equal only where it is written alike, and to no text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OversizedNumber) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    OversizedNumber: "number",
    str: "string",
    bytes: "bytes",
    Undescribed: "bytes",
    list: "array",
    WireValues: "array",
}


@dataclass(frozen=True, slots=True)
class _How:
    """How values are compared, and what came of it."""

    unordered: Unordered | None
    found: list[Difference]
    """What was found so far; a list is quicker than generators within each other."""


def compare_values(
    primary: Any,  # noqa: ANN401 -- any JSON values
    mirror: Any,  # noqa: ANN401 -- see above
    path: str,
    *,
    unordered: Unordered | None = None,
) -> list[Difference]:
    """Return where two values differ that consist of dictionaries, lists and scalars.

    Elements of a list share one path (``[*]``), and so do keys that look like identifiers (``{id}``), so that the
    number of fields does not grow with the data. Not-a-number equals itself.

    Args:
        primary: The one value.
        mirror: The other.
        path: What the paths of differences begin with.
        unordered: Which lists are compared as sets; none by default.
    """
    how = _How(unordered, [])
    _compare(primary, mirror, path, 0, how)
    return how.found


def _compare(primary: Any, mirror: Any, path: str, depth: int, how: _How) -> None:  # noqa: ANN401 -- see above
    kind = type(primary)  # pyright: ignore[reportUnknownVariableType] -- JSON
    if depth > _MAX_DEPTH or (kind is type(mirror) and kind in _PLAIN):
        if primary != mirror:
            how.found.append(Difference(path, Change.VALUE, primary, mirror))
    elif isinstance(primary, dict) and isinstance(mirror, dict):
        _compare_objects(primary, mirror, path, depth, how)  # pyright: ignore[reportUnknownArgumentType] -- JSON
    elif isinstance(primary, WireValues) and isinstance(mirror, WireValues):
        how.found.extend(_compare_wire_lists(primary, mirror, path, depth))
    elif isinstance(primary, list) and isinstance(mirror, list):
        _compare_lists(primary, mirror, path, depth, how)  # pyright: ignore[reportUnknownArgumentType] -- JSON
    elif isinstance(primary, Undescribed) and isinstance(mirror, Undescribed):
        how.found.extend(compare_wire(primary, mirror, path, depth))
    elif _kind_of(primary) != _kind_of(mirror):
        how.found.append(Difference(path, Change.TYPE, primary, mirror))
    elif not _are_equal(primary, mirror):
        how.found.append(Difference(path, Change.VALUE, primary, mirror))


def _compare_objects(primary: dict[Any, Any], mirror: dict[Any, Any], path: str, depth: int, how: _How) -> None:
    common = 0
    for key, value in primary.items():
        other = mirror.get(key, _ABSENT)
        if other is _ABSENT:
            how.found.append(Difference(path + step(key), Change.MISSING, value, None))
            continue
        common += 1
        if not _are_same(value, other):
            _compare(value, other, path + step(key), depth + 1, how)
    if common < len(mirror):
        for key, value in mirror.items():
            if key not in primary:
                how.found.append(Difference(path + step(key), Change.ADDED, None, value))


def _compare_lists(primary: list[Any], mirror: list[Any], path: str, depth: int, how: _How) -> None:
    if len(primary) != len(mirror):
        how.found.append(Difference(path, Change.LENGTH, primary, mirror))
    if how.unordered is not None and how.unordered(path):
        primary, mirror = _without_common(primary, mirror)
    inside = path + "[*]"
    for one, other in zip(primary, mirror, strict=False):
        if not _are_same(one, other):
            _compare(one, other, inside, depth + 1, how)


def _without_common(primary: list[Any], mirror: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return what is left of two sets without what both have."""
    ones, others = ([(_frozen(value, 0), value) for value in values] for values in (primary, mirror))
    common = Counter(key for key, _ in ones) & Counter(key for key, _ in others)
    return _rest(ones, common.copy()), _rest(others, common.copy())


def _rest(values: list[tuple[Hashable, Any]], common: Counter[Hashable]) -> list[Any]:
    rest: list[Any] = []
    for key, value in values:
        if common[key]:
            common[key] -= 1
        else:
            rest.append(value)
    return rest


def _frozen(value: Any, depth: int) -> Hashable:  # noqa: ANN401 -- any JSON value
    """Return something hashable that equals its like exactly when the values are equal."""
    if isinstance(value, dict) and depth <= _MAX_DEPTH:
        return frozenset((key, _frozen(inner, depth + 1)) for key, inner in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON
    if isinstance(value, list) and depth <= _MAX_DEPTH:
        return tuple(_frozen(inner, depth + 1) for inner in value)  # pyright: ignore[reportUnknownVariableType] -- JSON
    if isinstance(value, dict | list):
        return repr(value)  # pyright: ignore[reportUnknownArgumentType] -- JSON
    # By kind as well, because True equals 1; and not-a-number equals nothing, itself included.
    return _kind_of(value), value if value == value else None  # noqa: PLR0124 -- only not-a-number


def _are_same(one: Any, other: Any) -> bool:  # noqa: ANN401 -- any JSON values
    """Tell the usual case early; a path is worked out only for the rest."""
    kind = type(one)  # pyright: ignore[reportUnknownVariableType] -- JSON
    if kind is not type(other) or one != other:  # pyright: ignore[reportUnknownArgumentType] -- JSON
        return False
    return kind in _SCALARS or (kind in _CONTAINERS and not (_may_mix(one, other) and _mixes(one, other)))


def _may_mix(one: Any, other: Any) -> bool:  # noqa: ANN401 -- see above
    """Tell whether looking for what :func:`_mixes` finds is worth it: what is written alike has no such thing."""
    try:
        return orjson.dumps(one) != orjson.dumps(other)
    except TypeError:  # what JSON has not, or orjson does not write: decimals, large numbers, deep nesting
        return True


def _mixes(one: Any, other: Any) -> bool:  # noqa: ANN401 -- see above
    """Tell whether True stands for 1 or False for 0 anywhere in two values that are equal otherwise."""
    if isinstance(one, dict):
        return any(_mixes(value, other[key]) for key, value in one.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON
    if isinstance(one, list):
        return any(map(_mixes, one, other))  # pyright: ignore[reportUnknownArgumentType] -- JSON
    return isinstance(one, bool) is not isinstance(other, bool)


def _are_equal(one: Any, other: Any) -> bool:  # noqa: ANN401 -- any JSON values
    return one == other or (one != one and other != other)  # noqa: PLR0124 -- only not-a-number differs from itself


def _kind_of(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    """Return JSON's name for the type of a value."""
    return _KINDS.get(type(value), "object")  # pyright: ignore[reportUnknownArgumentType] -- JSON


def compare_wire(primary: bytes, mirror: bytes, path: str, depth: int = 0) -> Iterator[Difference]:
    """Yield where two serialised messages differ, by field number: ``$.1.3``.

    What the wire does not tell is guessed the same way for both: bytes that read as text are text, others that parse
    as a message are one. The order of fields with different numbers does not matter, as protobuf has it.
    """
    if primary == mirror:
        return
    one, other = fields_of(primary), fields_of(mirror)
    if one is None or other is None or depth > _MAX_WIRE_DEPTH:
        yield Difference(path, Change.VALUE, primary, mirror)
        return
    yield from _compare_fields(one, other, path, depth)


def _compare_fields(primary: Fields, mirror: Fields, path: str, depth: int) -> Iterator[Difference]:
    for number in sorted({*primary, *mirror}):
        one, other, field = primary.get(number, []), mirror.get(number, []), f"{path}.{number}"
        if not other:
            yield Difference(field, Change.MISSING, one[0][1], None)
        elif not one:
            yield Difference(field, Change.ADDED, None, other[0][1])
        else:
            yield from _compare_wire_lists(one, other, field, depth)


def _compare_wire_lists(
    primary: list[tuple[int, Any]], mirror: list[tuple[int, Any]], path: str, depth: int
) -> Iterator[Difference]:
    if len(primary) != len(mirror):
        yield Difference(path, Change.LENGTH, len(primary), len(mirror))
    for one, other in zip(primary, mirror, strict=False):
        yield from _compare_wire_values(one, other, path, depth)


def _compare_wire_values(
    primary: tuple[int, Any], mirror: tuple[int, Any], path: str, depth: int
) -> Iterator[Difference]:
    (kind, one), (other_kind, other) = primary, mirror
    if kind != other_kind:
        yield Difference(path, Change.TYPE, one, other)
    elif one == other:
        return
    elif kind == GROUP:
        yield from _compare_fields(one, other, path, depth + 1)
    elif kind != LENGTH_DELIMITED or (is_text(one) and is_text(other)):
        yield Difference(path, Change.VALUE, one, other)
    else:
        yield from compare_wire(one, other, path, depth + 1)


@lru_cache(maxsize=10_000)
def step(key: str | int) -> str:
    """Return a key as a step of a path; a number is that of a protobuf field without a name."""
    if isinstance(key, int):
        return f".{key}"
    if is_identifier(key):
        return ".{id}"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"
