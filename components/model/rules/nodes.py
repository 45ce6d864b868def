"""Reading of loosely typed JSON that anybody may have written: nothing here raises on a malformed object."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

from ..jsontypes import JsonValue

_UNITS: Final = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|us|ns|[hms])", re.ASCII)
_DURATION: Final = re.compile(f"(?:{_DURATION_PART.pattern})+", re.ASCII)

_EXACT: Final = 2**53
"""Whole numbers below are the same as floating point."""


class Unknown:
    """Type of :data:`UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
"""Stands in an object for a value that only a deployment decides. What depends on it is not judged."""


class NotJudgedError(Exception):
    """A rule met an unknown value.

    Attributes:
        path: Where in the object.
        subject: The object where that is another one than the rule is about; None for that one.
    """

    def __init__(self, path: str, subject: object = None) -> None:
        self.path = path
        self.subject = subject
        super().__init__(f"{path} is not known yet")


class Node:
    """A place in an object: a value, or nothing, and the path that led there. Never changed once it is made.

    A plain class, and its path put together only when somebody asks: a large mesh has millions of places.

    Attributes:
        value: What is there; None for nothing.
        key: Its name in the object or its index in the list that it is in; empty for the root.
    """

    __slots__ = ("_above", "key", "value")

    def __init__(self, value: object, key: str | int = "", above: "Node | None" = None) -> None:
        self.value: Any = value
        self.key = key
        self._above = above

    @property
    def path(self) -> str:
        """Path from the object's root, e.g. ``spec.http[0].mirror``."""
        keys: list[str | int] = []
        node: Node | None = self
        while node is not None:
            keys.append(node.key)
            node = node._above  # noqa: SLF001
        parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in reversed(keys) if key != "")
        return "".join(parts).removeprefix(".")

    def __repr__(self) -> str:
        return f"Node({self.value!r}, path={self.path!r})"

    def __getitem__(self, key: str) -> "Node":
        known = self.value
        if known.__class__ is dict:  # nearly always; the quickest test that there is
            return Node(known.get(key), key, self)
        if known is UNKNOWN:
            raise NotJudgedError(self.path)
        # The host of policies hands objects over as mappings of its own.
        return Node(cast("Mapping[str, object]", known).get(key) if isinstance(known, Mapping) else None, key, self)

    def at(self, *keys: str) -> "Node":
        """The place below that ``keys`` lead to."""
        node = self
        for key in keys:
            node = node[key]
        return node

    def either(self, *keys: str) -> "Node":
        """The first of ``keys`` that is given; the first of all when none is.

        Kubernetes accepts both spellings that protobuf gives a field, e.g. ``exportTo`` and ``export_to``.
        """
        known = self.value
        if known.__class__ is dict:
            for key in keys:
                if (value := known.get(key)) is not None:
                    return Node(value, key, self)
            return Node(None, keys[0], self)
        first = self[keys[0]]
        return first if first.given else next((node for key in keys[1:] if (node := self[key]).given), first)

    def names(self) -> "Collection[object]":
        """Names of an object's entries; none when it is something else. Quicker than a look at each that may be."""
        known = self.value
        if known.__class__ is dict:
            return cast("dict[object, object]", known)
        return cast("Mapping[object, object]", known) if isinstance(self.known, Mapping) else ()

    @property
    def known(self) -> object:
        """The value.

        Raises:
            NotJudgedError: It is unknown.
        """
        if self.value is UNKNOWN:
            raise NotJudgedError(self.path)
        return self.value

    @property
    def given(self) -> bool:
        """Whether there is anything, known or not."""
        return self.value is not None

    def elements(self) -> "list[Node]":
        """The elements of a list; none when it is something else."""
        known = self.value
        # The quick tests come first: most lists that are looked for are either plain ones or not there.
        if known is None:
            return []
        if known.__class__ is not list:
            if known is UNKNOWN:
                raise NotJudgedError(self.path)
            if not isinstance(known, Sequence) or isinstance(known, str | bytes):
                return []
        return [Node(element, index, self) for index, element in enumerate(cast("Sequence[object]", known))]

    def entries(self) -> "list[tuple[str, Node]]":
        """The entries of an object, by name; none when it is something else."""
        known = self.value
        if known is None:
            return []
        if known.__class__ is not dict and not isinstance(self.known, Mapping):
            return []
        entries = cast("Mapping[object, object]", known).items()
        return [(str(key), Node(value, str(key), self)) for key, value in entries]

    def text(self, default: str = "") -> str:
        """The text; ``default`` when it is something else."""
        known = self.value
        if known.__class__ is str:
            return known
        if known is UNKNOWN:
            raise NotJudgedError(self.path)
        return known if isinstance(known, str) else default

    def texts(self) -> list[str]:
        """The texts in a list; a single text counts as a list of one."""
        known = self.value
        if known.__class__ is list and all(element.__class__ is str for element in known):
            return [text for text in known if text]
        if isinstance(known, str):
            return [known]
        return [text for element in self.elements() if (text := element.text())]

    def number(self) -> float | None:
        """The finite number; None when it is something else. ``True`` is no number."""
        known = self.value
        if known is None:
            return None
        if known is UNKNOWN:
            raise NotJudgedError(self.path)
        if isinstance(known, bool) or not isinstance(known, int | float):
            return None
        try:
            number = float(known)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None

    def integer(self) -> int | None:
        """The whole number, e.g. a port that passed through floating point; None when it is something else."""
        known = self.value
        if known.__class__ is int and -_EXACT < known < _EXACT:  # as nearly all are
            return known
        number = self.number()
        return int(number) if number is not None and number == int(number) else None

    def seconds(self) -> float | None:
        """The duration in protobuf's, Go's or Kubernetes' form, e.g. ``1.5s`` or ``1m30s``; None otherwise."""
        return _seconds(self.text())

    def json(self) -> JsonValue:
        """The value as it is, for a message."""
        return cast("JsonValue", self.known)


@lru_cache(maxsize=1024)  # few durations stand in many places
def _seconds(text: str) -> float | None:
    text = text.removeprefix("+")
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
