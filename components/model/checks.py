"""Checks that several values share; each raises the one error that bad input gets."""

from collections.abc import Iterable, Mapping, Set
from enum import StrEnum
from typing import Final, TypeVar, cast

from .errors import ValidationError

Closed = TypeVar("Closed", bound=StrEnum)


def member(kind: type[Closed], value: object, *, field: str) -> Closed:
    """The member of a closed set that ``value`` is or spells.

    Raises:
        ValidationError: It is none.
    """
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(each.value) for each in kind)
        raise ValidationError(
            field=field, value=value, rule=f"must be one of {names}", remedy=f"Use a member of {kind.__name__}"
        ) from None


_HOW_TO_GIVE: Final = {bool: "Give True or False", str: "Give a text", Mapping: "Give a mapping, e.g. a dict"}


def instance(value: object, *kinds: type, field: str, optional: bool = False) -> None:
    """Refuse a value of another type, which an untyped caller may pass.

    Raises:
        ValidationError: It is not an instance of any of ``kinds``; None passes where it is optional.
    """
    if not isinstance(value, kinds) and not (optional and value is None):
        names = " or ".join(kind.__name__ for kind in kinds)
        remedy = _HOW_TO_GIVE.get(kinds[0], f"Build it with {kinds[0].__name__}(…)")
        raise ValidationError(field=field, value=value, rule=f"must be {names}", remedy=remedy)


def listed(values: object, *, field: str) -> list[object]:
    """The elements of a list of texts.

    A text by itself is refused, because it is a list of letters, and a set, which has another order in every run.

    Raises:
        ValidationError: It is no list.
    """
    try:
        # Some values are iterable by name only, and say so when asked.
        elements = None if isinstance(values, str | Set) else iter(cast("Iterable[object]", values))
    except TypeError:
        elements = None
    if elements is None:
        given = cast("object", values)
        raise ValidationError(field=field, value=given, rule="must be a list", remedy="Put it in brackets")
    return list(elements)


def encodable(text: str, *, field: str) -> None:
    """Refuse a text that has no form in UTF-8, such as an argument whose bytes are another encoding's.

    Raises:
        ValidationError: It has none.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError(
            field=field, value=text, rule="must be UTF-8", remedy="Write it in UTF-8, or rename what it names"
        ) from None


def bounded(value: object, name: str, low: float, high: float, unit: str = "") -> None:
    """Refuse what is no number from ``low`` to ``high``.

    Raises:
        ValidationError: It is none; ``True`` and NaN are none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValidationError(
            field=name,
            value=value,
            rule=f"must be from {low:.10g} to {high:.10g} {unit}".rstrip(),
            remedy="Choose a value in that range",
        )


def whole(value: object, name: str, low: int, high: int) -> None:
    """Refuse what is no whole number from ``low`` to ``high``.

    Raises:
        ValidationError: It is none; ``True`` and 5.0 are none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(
            field=name,
            value=value,
            rule="must be a whole number",
            remedy=f"Give a number from {low} to {high}",
        )
    bounded(value, name, low, high)
