"""Reading structured configuration so that a wrong key says which key, in which file, and what is allowed.

A key is the argument of the class that it configures, in camelCase: :meth:`Section.fill` makes the class of the keys,
so that every argument can be configured and has the class's own default.
"""

import re
import sys
import types
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin

from ..model import ValidationError

_Closed = TypeVar("_Closed", bound=StrEnum)
_Made = TypeVar("_Made")
_PLAIN: Final = (str, bool, int, float)


def camel_case(name: str) -> str:
    """A field as users write it in YAML: ``machine_type`` is ``machineType``."""
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def _key(field: str, key_names: Mapping[str, str]) -> str:
    """The key that a field of an error was read from."""
    for ours, key in key_names.items():
        if field == ours or field.startswith(ours if ours.endswith(".") else (f"{ours}.", f"{ours}[")):
            return key + camel_case(field.removeprefix(ours))
    return camel_case(field)


def _kinds(hint: Any) -> list[Any]:  # noqa: ANN401 -- annotations are anything
    """What a value of an annotation can be in a file: a plain type, a list, a mapping, or a class of such fields."""
    union = get_origin(hint) in (Union, types.UnionType)
    return [kind for kind in (get_args(hint) if union else (hint,)) if _is_written(kind)]


def _is_written(kind: Any) -> bool:  # noqa: ANN401 -- annotations are anything
    origin = get_origin(kind)
    if origin in (Sequence, tuple):
        return bool(_kinds(get_args(kind)[0]))
    if origin in (Mapping, dict):
        return get_origin(get_args(kind)[1]) is not Callable
    if not isinstance(kind, type):
        return False
    if is_dataclass(kind):
        return hasattr(kind, "parse") or all(_kinds(each.type) for each in fields(kind) if _is_needed(each))
    return kind in _PLAIN or issubclass(kind, StrEnum)


def _is_needed(field: "Field[Any]") -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _fields(kind: type, given: Sequence[str] = ()) -> "list[Field[Any]]":
    """Fields of a class that a file can set."""
    return [each for each in fields(cast("Any", kind)) if each.init and each.name not in given and _kinds(each.type)]


def keys_of(kind: type, *given: str) -> tuple[str, ...]:
    """Keys that configure a class.

    Args:
        kind: A dataclass.
        given: Fields that the program sets.
    """
    return tuple(camel_case(each.name) for each in _fields(kind, given))


def described_keys(kind: type, *given: str) -> str:
    """The same as a text, with the keys of what is nested in braces."""
    return ", ".join(f"{camel_case(each.name)}{_nested(each.type)}" for each in _fields(kind, given))


def _nested(hint: Any) -> str:  # noqa: ANN401 -- annotations are anything
    kinds = _kinds(hint)
    if any(get_origin(kind) in (Sequence, tuple) for kind in kinds):
        kinds = _kinds(get_args(kinds[0])[0])
    classes: list[Any] = [kind for kind in kinds if is_dataclass(kind) and not hasattr(kind, "parse")]
    forms = [keys for kind in classes if (keys := described_keys(kind))]
    return f" {{{' | '.join(forms)}}}" if forms else ""


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
    def naming_keys(self, key_names: Mapping[str, str] = MappingProxyType({})) -> Generator[None]:
        """Give the model's errors, which know only their own field, this section's key and file.

        Args:
            key_names: Keys by the field that an error names, where the two differ by more than their spelling.

        Raises:
            ValidationError: As the model raised it, with the place where users wrote the value.
        """
        try:
            yield
        except ValidationError as error:
            if error.field.endswith(f" in {self._file}"):
                raise
            raise self.fault(_key(error.field, key_names), error.value, error.rule, error.remedy) from None

    def _field(self, key: str) -> str:
        joint = "" if self._path.endswith(":") or not key or key.startswith("[") else "."
        return f"{self._path}{joint}{key}"

    @property
    def is_given(self) -> bool:
        """Whether there is any key."""
        return bool(self._values)

    def has(self, key: str) -> bool:
        """Whether the key is given."""
        return self._values.get(key) is not None

    def fill(
        self,
        kind: type[_Made],
        given: Mapping[str, object] = MappingProxyType({}),
        key_names: Mapping[str, str] = MappingProxyType({}),
    ) -> _Made:
        """Make a dataclass of the keys that have its fields' names.

        Args:
            kind: The dataclass. A field without a key keeps its default.
            given: Fields that the program sets, whatever the file says.
            key_names: As for :meth:`naming_keys`.

        Raises:
            ValidationError: A key is missing or wrong.
        """
        values = dict(given)
        for each in _fields(kind, tuple(given)):
            if _is_needed(each) or self._values.get(camel_case(each.name)) not in (None, ""):
                values[each.name] = self._value(each.name, each.type)
        with self.naming_keys(key_names):
            return kind(**values)

    def _value(self, name: str, hint: Any) -> object:  # noqa: ANN401 -- annotations are anything
        """The value of a field as its annotation has it."""
        key, kinds = camel_case(name), _kinds(hint)
        classes = [kind for kind in kinds if is_dataclass(kind)]
        if classes:
            return self._made(key, self._values.get(key), classes, {f"{name}.": ""})
        kind = kinds[0]
        origin = get_origin(kind)
        if origin in (Mapping, dict):
            return self.texts_by_name(key) if str in _kinds(get_args(kind)[1]) else self.mapping(key)
        if origin in (Sequence, tuple):
            return self._list(key, get_args(kind)[0])
        if issubclass(kind, StrEnum):
            return self.choice(key, kind)
        if str in kinds:
            return self.text(key)
        return {bool: self.flag, int: self.whole, float: self.number}[kind](key)

    def _list(self, key: str, hint: Any) -> object:  # noqa: ANN401 -- annotations are anything
        kinds = _kinds(hint)
        if not is_dataclass(kinds[0]):
            return self.choices(key, kinds[0]) if issubclass(kinds[0], StrEnum) else self.texts(key)
        given = self._values.get(key)
        if not isinstance(given, list):
            raise self.fault(key, given, "must be a list", "Write it as a list")
        items = enumerate(cast("list[object]", given))
        return tuple(self._made(f"{key}[{index}]", item, kinds) for index, item in items)

    def _made(
        self, key: str, value: object, classes: Sequence[Any], key_names: Mapping[str, str] = MappingProxyType({})
    ) -> object:
        """An object of the class whose keys are given; a text is what the class parses."""
        parse = next((kind.parse for kind in classes if hasattr(kind, "parse")), None)
        if parse and isinstance(value, str):
            try:
                return parse(value)
            except ValidationError as error:
                raise self.fault(key, error.value, error.rule, error.remedy) from None
        forms = {kind: keys_of(kind) for kind in classes}
        allowed = tuple(dict.fromkeys(name for names in forms.values() for name in names))
        section = Section(value, path=self._field(key), file=self._file, allowed=allowed)
        written: set[str] = set(section._values)
        fitting = [kind for kind, names in forms.items() if written <= set(names)]
        if not fitting:
            words = " or ".join(f"{{{', '.join(names)}}}" for names in forms.values() if names)
            raise section.fault("", "(given)", f"must have the keys of one form: {words}", "Give those of one")
        return section.fill(fitting[0], key_names=key_names)

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

    def number(self, key: str) -> float:
        """A number.

        Raises:
            ValidationError: It is none.
        """
        value = self._values.get(key)
        # Whole numbers have no end, and those beyond floating point fail where they are asked whether they are finite.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise self.fault(key, value, "must be a number", "Write it in digits, without quotes")
        return value

    def whole(self, key: str) -> int:
        """A whole number.

        Raises:
            ValidationError: It is none.
        """
        value = self.number(key)
        if value != int(value):
            raise self.fault(key, value, "must be a whole number", "Write it without a fraction")
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
        texts = self.texts(key)
        try:
            return tuple(kind(text) for text in texts)
        except ValueError:
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
