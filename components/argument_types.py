"""Arguments of a wrong type, which callers without a type checker pass, and configuration files as well.

A text where a boolean belongs counts as true, and the name of a closed set's member is not that member: without this,
both would be taken for something else in silence.
"""

import types
from collections.abc import Awaitable, Iterable, Mapping, Sequence, Set
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, ForwardRef, TypeVar, Union, cast, get_args, get_origin

import pulumi

from .model import ValidationError
from .model.checks import member

_Args = TypeVar("_Args")

_WORDS: Final[Mapping[object, str]] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    bytes: "bytes",
    type(None): "None",
}


def require_args(args: object, kind: type[_Args]) -> _Args:
    """Return the arguments of a component if they are its own.

    Raises:
        ValidationError: They are a mapping, those of another component, or missing.
    """
    if isinstance(args, kind):
        return args
    raise ValidationError(
        field="args",
        value=None if args is None else f"({type(args).__name__})",
        rule=f"must be {kind.__name__}",
        remedy=f"Build them with {kind.__name__}(…)",
    )


def check_types(arguments: Any, *, within: str = "") -> None:  # noqa: ANN401 -- any frozen dataclass
    """Hold every field of a dataclass against its annotation.

    Members of closed sets may be given by their value, and sequences become tuples. Outputs are accepted where the
    annotation has them, whatever they hold.

    Args:
        arguments: An instance, whose fields are replaced.
        within: Path of the instance in messages, e.g. ``"mode"``.

    Raises:
        ValidationError: A field holds something else.
    """
    for each in fields(arguments):
        name = f"{within}.{each.name}" if within else each.name
        given = getattr(arguments, each.name)
        object.__setattr__(arguments, each.name, _fitting(given, each.type, name, each.repr))


def known_text(value: object, *, field: str) -> str:
    """Return what an Output turned out to hold if it is a text: of a stack that does not export it, it is None.

    Raises:
        ValidationError: It is something else, or empty. The message does not show it, because it may be a secret.
    """
    if isinstance(value, str) and value:
        return value
    raise ValidationError(
        field=field,
        value=None if value is None else f"({type(value).__name__})",
        rule="must be a non-empty text once it is known",
        remedy="Give an output that holds one; a stack reference has none for what the stack does not export",
    )


def _named(kind: Any) -> Any:  # noqa: ANN401 -- annotations are anything
    """What an annotation stands for: its origin; of a reference by name an Output, as in Pulumi's Input, or all."""
    if isinstance(kind, ForwardRef):
        return pulumi.Output if kind.__forward_arg__.startswith("Output[") else object
    return object if kind is Any else get_origin(kind) or kind


def _fitting(value: object, hint: Any, field: str, shown: bool) -> object:  # noqa: ANN401 -- annotations are anything
    """The value as its annotation has it."""
    origin = _named(hint)
    if origin in (Union, types.UnionType):
        return _member_of_union(value, get_args(hint), field, shown)
    if origin in (Sequence, tuple):
        return _sequence(value, hint, field, shown)
    if origin in (Mapping, dict):
        return _mapping(value, hint, field, shown)
    if not isinstance(origin, type):
        return value
    if issubclass(origin, StrEnum) and not isinstance(value, origin) and isinstance(value, str):
        return member(origin, value, field=field)
    if not _is_a(value, origin):
        raise _refusal(value, [hint], field, shown)
    _check_time(value, field)
    return value


def _member_of_union(value: object, kinds: tuple[Any, ...], field: str, shown: bool) -> object:
    # What may be an Output may be a secret.
    shown = shown and pulumi.Output not in map(_named, kinds)
    for kind in kinds:
        if _is_a(value, _named(kind)):
            return _fitting(value, kind, field, shown)
    alike = [kind for kind in kinds if _may_become(value, _named(kind))]
    if len(alike) == 1:
        return _fitting(value, alike[0], field, shown)
    raise _refusal(value, kinds, field, shown)


def _is_a(value: object, kind: Any) -> bool:  # noqa: ANN401 -- annotations are anything
    if not isinstance(kind, type):
        return True
    if kind in (int, float):
        return not isinstance(value, bool) and isinstance(value, int if kind is int else (int, float))
    if kind in (Sequence, tuple):
        # An Output is iterable by name only, and a set has another order in every run.
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | Set | pulumi.Output)
    return isinstance(value, Mapping if kind is dict else kind)


def _may_become(value: object, kind: Any) -> bool:  # noqa: ANN401 -- annotations are anything
    return isinstance(value, str) and isinstance(kind, type) and issubclass(kind, StrEnum)


def _sequence(value: object, hint: Any, field: str, shown: bool) -> object:  # noqa: ANN401 -- annotations are anything
    if not _is_a(value, Sequence):
        raise _refusal(value, [hint], field, shown)
    (kind, *_) = get_args(hint) or (Any,)
    items = enumerate(cast("Iterable[object]", value))
    return tuple(_fitting(item, kind, f"{field}[{index}]", shown) for index, item in items)


def _mapping(value: object, hint: Any, field: str, shown: bool) -> object:  # noqa: ANN401 -- annotations are anything
    if not isinstance(value, Mapping):
        raise _refusal(value, [hint], field, shown)
    kind = (get_args(hint) or (Any, Any))[1]
    return {
        _fitting(key, str, field, shown): _fitting(item, kind, f"{field}[{key!r}]", shown)
        for key, item in cast("Mapping[object, object]", value).items()
    }


def _check_time(value: object, field: str) -> None:
    if isinstance(value, datetime) and value.tzinfo is None and field == "now":
        raise ValidationError(field=field, value=str(value), rule="must have a zone", remedy="Use datetime.now(UTC)")


def _refusal(value: object, kinds: Iterable[Any], field: str, shown: bool) -> ValidationError:
    wanted = [kind for kind in kinds if not _is_late(kind)]
    rule = f"must be {' or '.join(dict.fromkeys(_words(kind) for kind in wanted))}"
    return ValidationError(
        field=field,
        value=_shown(value) if shown else f"({type(value).__name__})",
        rule=rule,
        remedy=_remedy(value, wanted),
    )


def _is_late(kind: Any) -> bool:  # noqa: ANN401 -- annotations are anything
    return _named(kind) in (pulumi.Output, Awaitable)


def _words(kind: Any) -> str:  # noqa: ANN401 -- annotations are anything
    origin = _named(kind)
    if origin in (Sequence, tuple):
        return "a list"
    if origin in (Mapping, dict):
        return "a mapping by name"
    return _WORDS.get(origin, getattr(origin, "__name__", "something else"))


def _remedy(value: object, wanted: Sequence[Any]) -> str:
    kinds = tuple(kind for kind in wanted if isinstance(kind, type))
    if isinstance(value, pulumi.Output):
        return "Give a plain value, because it decides what is made"
    handle = getattr(value, "handle", None)
    if handle is not None and isinstance(handle, kinds):
        return "Give its handle"
    if any(_named(kind) in (Sequence, tuple) for kind in wanted):
        return "Put it in brackets"
    own = [kind.__name__ for kind in kinds if hasattr(kind, "__dataclass_fields__")]
    return f"Build it with {own[0]}(…)" if own else "Give a value of that type"


def _shown(value: object) -> object:
    """Plain values as they are; of others the type, because they may hold anything."""
    return value if value is None or isinstance(value, str | int | float) else f"({type(value).__name__})"
