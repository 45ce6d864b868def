"""Arguments of a wrong type, which callers without a type checker pass, and configuration files as well.

A text where a boolean belongs counts as true, and the name of a closed set's member is not that member: without this,
both would be taken for something else in silence.
"""

import types
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, ForwardRef, Generic, Protocol, TypeVar, Union, cast, get_args, get_origin

import pulumi

from .model import ValidationError
from .model.checks import member
from .refusal import PLAIN_VALUE

_Args = TypeVar("_Args")
_Handle = TypeVar("_Handle")
_Handle_co = TypeVar("_Handle_co", covariant=True)

NO_HANDLE: Final[Any] = None
"""Default of a field of :class:`HandleOf` that may be left out: type checkers take a plain None for no such field."""

_WORDS: Final[Mapping[object, str]] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    bytes: "bytes",
    type(None): "None",
    Callable: "a function",
}


class HasHandle(Protocol[_Handle_co]):
    """A component, or anything else that makes a handle: it may stand where its handle is asked for."""

    @property
    def handle(self) -> _Handle_co:
        """What the other components take of it."""
        ...


if TYPE_CHECKING:

    class HandleOf(Generic[_Handle]):
        """A field that takes a handle or what has one, and holds the handle: :func:`check_types` sees to that."""

        def __get__(self, instance: object, owner: type | None = None) -> _Handle: ...

        def __set__(self, instance: object, value: _Handle | HasHandle[_Handle]) -> None: ...

else:

    class HandleOf:
        """When the program runs, the annotation is that of the handle."""

        def __class_getitem__(cls, handle: object) -> object:
            return handle


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


def is_plain(value: object) -> bool:
    """Whether a value is known now: nothing in it is an Output."""
    if isinstance(value, Mapping):
        return all(is_plain(item) for item in cast("Mapping[object, object]", value).values())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in cast("Sequence[object]", value))
    return value is None or isinstance(value, str | int | float)


def _named(kind: Any) -> Any:  # noqa: ANN401 -- annotations are anything
    """What an annotation stands for: its origin; of a reference by name an Output, as in Pulumi's Input, or all."""
    if isinstance(kind, ForwardRef):
        return pulumi.Output if kind.__forward_arg__.startswith("Output[") else object
    return object if kind is Any else get_origin(kind) or kind


def _fitting(value: object, hint: Any, field: str, shown: bool) -> object:  # noqa: ANN401 -- annotations are anything
    """The value as its annotation has it."""
    origin = _named(hint)
    union = origin in (Union, types.UnionType)
    value = _handle(value, get_args(hint) if union else (hint,))
    if union:
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


def _handle(value: object, kinds: Iterable[Any]) -> object:
    """The handle of a component that stands where its handle belongs; anything else as it is."""
    if isinstance(value, pulumi.Output):
        return cast("object", value)
    handle: object = getattr(value, "handle", None)
    wanted = any(isinstance(kind, type) and is_dataclass(kind) and isinstance(handle, kind) for kind in kinds)
    return cast("object", handle) if wanted else value


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
        return PLAIN_VALUE
    if any(_named(kind) in (Sequence, tuple) for kind in wanted):
        return "Put it in brackets"
    own = [kind.__name__ for kind in kinds if hasattr(kind, "__dataclass_fields__")]
    return f"Build it with {own[0]}(…)" if own else "Give a value of that type"


def _shown(value: object) -> object:
    """Plain values as they are; of others the type, because they may hold anything."""
    return value if value is None or isinstance(value, str | int | float) else f"({type(value).__name__})"
