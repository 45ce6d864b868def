"""Reading structured configuration so that a wrong key says which key, in which file, and what is allowed."""

import math
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar, cast

from ..model import ValidationError

_Closed = TypeVar("_Closed", bound=StrEnum)


def _key(field: str, places: Mapping[str, str]) -> str:
    """A field of the library as users write it in YAML: ``machine_type`` is ``machineType``."""
    theirs = ""
    for ours, place in places.items():
        if field == ours or field.startswith((f"{ours}.", f"{ours}[")):
            theirs, field = place, field.removeprefix(ours)
            break
    return theirs + re.sub("_([a-z])", lambda found: found[1].upper(), field)


class Section:
    """One object of a stack's configuration.

    Args:
        values: The object; None counts as empty.
        path: The key in dotted form, e.g. ``"traffic-mirror:istio"``.
        file: Where users write it, e.g. ``"Pulumi.staging.yaml"``.
        allowed: Every key that the object may have.

    Raises:
        ValidationError: It is no object, or has a key that is not allowed.
    """

    def __init__(self, values: object, *, path: str, file: str, allowed: Sequence[str]) -> None:
        self._path = path
        self._file = file
        if values is not None and not isinstance(values, Mapping):
            keys = f" with the keys {', '.join(allowed)}" if allowed else ""
            raise self.fault("", values, f"must be an object{keys}", "Write it as a mapping")
        self._values = dict(cast("Mapping[str, object]", values or {}))
        for key in self._values:
            if key not in allowed:
                # Not its value, which may be a secret that was put here by mistake.
                raise self.fault(
                    key, "(given)", f"is no key here; allowed are {', '.join(allowed)}", "Correct its spelling"
                )

    def fault(self, key: str, value: object, rule: str, remedy: str) -> ValidationError:
        """An error that names key and file."""
        return ValidationError(field=f"{self._field(key)} in {self._file}", value=value, rule=rule, remedy=remedy)

    @contextmanager
    def locating(self, places: Mapping[str, str] = MappingProxyType({})) -> Generator[None]:
        """Give the model's errors, which know only their own field, this section's key and file.

        Args:
            places: Keys by the field that an error names, where the two differ by more than their spelling.

        Raises:
            ValidationError: As the model raised it, with the place where users wrote the value.
        """
        try:
            yield
        except ValidationError as error:
            if error.field.endswith(f" in {self._file}"):
                raise
            raise self.fault(_key(error.field, places), error.value, error.rule, error.remedy) from None

    def _field(self, key: str) -> str:
        joint = "" if self._path.endswith(":") else "."
        return f"{self._path}{joint}{key}" if key else self._path

    @property
    def is_given(self) -> bool:
        """Whether there is any key."""
        return bool(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is given."""
        return self._values.get(key) is not None

    def section(self, key: str, allowed: Sequence[str]) -> "Section":
        """A nested object; empty when not given."""
        return Section(self._values.get(key), path=self._field(key), file=self._file, allowed=allowed)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text.

        Raises:
            ValidationError: It is missing without a default, or no text.
        """
        value = self._values.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            remedy = "Give it" if value in (None, "") else "Write it as a text, in quotes if it is a number"
            raise self.fault(key, value, "must be a text", remedy)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when not given.

        Raises:
            ValidationError: It is no list of texts.
        """
        given = self._values.get(key)
        items = cast("list[object]", given) if isinstance(given, list) else None
        if given is not None and (items is None or not all(isinstance(item, str) for item in items)):
            raise self.fault(key, cast("object", given), "must be a list of texts", "Write it as a list")
        return tuple(str(item) for item in items or ())

    def number(self, key: str, default: float) -> float:
        """A number.

        Raises:
            ValidationError: It is none.
        """
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fault(key, value, "must be a number", f"Write for example {default:g}")
        return value

    def whole(self, key: str, default: int) -> int:
        """A whole number.

        Raises:
            ValidationError: It is none.
        """
        value = self.number(key, default)
        if value != int(value):
            raise self.fault(key, value, "must be a whole number", f"Write for example {default}")
        return int(value)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """True or false.

        Raises:
            ValidationError: It is neither, or missing without a default.
        """
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, value, "must be true or false", "Write it without quotes")
        return value

    def choice(self, key: str, kind: type[_Closed], default: _Closed | None = None) -> _Closed:
        """One of a closed set.

        Raises:
            ValidationError: It is missing without a default, or not in the set.
        """
        value = self._values.get(key, default)
        try:
            return kind(cast("str", value))
        except ValueError:
            names = ", ".join(member.value for member in kind)
            raise self.fault(key, value, f"must be one of {names}", "Choose one of them") from None

    def choices(self, key: str, kind: type[_Closed]) -> tuple[_Closed, ...]:
        """A list of members of a closed set; empty when not given.

        Raises:
            ValidationError: It is no list, or has something that is not in the set.
        """
        try:
            return tuple(kind(text) for text in self.texts(key))
        except ValueError as error:
            if isinstance(error, ValidationError):
                raise
            names = ", ".join(member.value for member in kind)
            raise self.fault(key, self._values[key], f"must be a list of {names}", "Choose among them") from None

    def mapping(self, key: str) -> Mapping[str, object]:
        """An object with any keys; empty when not given.

        Raises:
            ValidationError: It is no object.
        """
        given = self._values.get(key)
        if given is not None and not isinstance(given, Mapping):
            raise self.fault(key, given, "must be an object", "Write it as a mapping")
        return cast("Mapping[str, object]", given or {})

    def texts_by_name(self, key: str) -> dict[str, str]:
        """An object with any keys and texts as values; empty when not given.

        YAML reads ``true`` and ``8080`` without quotes as something else; they become the texts that were written.

        Raises:
            ValidationError: It is no object, or a value is an object, a list or missing.
        """
        return {name: self._written(f"{key}.{name}", value) for name, value in self.mapping(key).items()}

    def _written(self, key: str, value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            # Not the value, which may hold a secret somewhere.
            raise self.fault(key, f"({type(value).__name__})", "must be a text", "Write it in quotes")
        return str(value)
