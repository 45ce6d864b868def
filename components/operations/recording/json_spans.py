"""Where values are in the text of JSON documents, so that one can be replaced while all else stays as it is."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias

MAX_VALUES: Final = 250_000
"""Values of one text that are looked at: about 30 MB as objects."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]|[^\s\[\]{},:"]+', re.DOTALL)
"""One token of a document that is known to be well-formed; a colon tells nothing that its place does not."""

_BLANK: Final = re.compile(r"[\x1e\s]*")
"""What may stand between documents; 0x1e is of RFC 7464."""

_DECODER: Final = json.JSONDecoder(parse_int=float)

_TELLS_NOTHING: Final = frozenset({"null", "true", "false", '""'})

NAME_MEMBERS: Final = frozenset({"field", "header", "key", "name"})
"""Members, in lower case, that say in an object what another one is the value of: HAR's and Kubernetes' ``name``, the
``key`` of Postman, OpenTelemetry and Amazon's tags."""

VALUE_MEMBERS: Final = frozenset({"val", "value", "values"})
"""The members beside them that hold it."""

Location: TypeAlias = Sequence[int | str]
"""Names and indices from the root to a value."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document within a text."""

    first: int
    end: int
    """Position behind its last character."""
    value: Any
    """Where a name comes twice in an object, everything that is under it either time."""
    repeats_names: bool


class Forbidden(NamedTuple):
    """What is meant wherever it is."""

    name: Callable[[str], bool]
    """Tells of a name whether its value is: a member's, or one that stands beside the value, as in ``{"name": "token",
    "value": 1}`` and in the lists of ``[["token", 1]]``."""
    text: Callable[[str], bool]
    """Tells of a text, as it is written in the document, whether it is."""


def documents(text: str) -> Iterator[Document]:
    """Yield the documents of a text that has one, or several one after the other.

    Raises:
        ValueError: It has something else, or too many values.
        RecursionError: It is nested too deeply.
    """
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise ValueError
    repeats: list[str] = []

    def merged(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(members)
        if len(made) == len(members):
            return made
        made.clear()
        for name, value in members:
            repeats.extend([name] if name in made else [])
            made[name] = _merge(made[name], value) if name in made else value
        return made

    # Whole numbers as floats, because Python refuses to read very long ones; paths need no more.
    decoder = json.JSONDecoder(object_pairs_hook=merged, parse_int=float)
    position = _end_of_blank(text, 1 if text.startswith("\ufeff") else 0)
    while position < len(text):
        repeats.clear()
        value, end = decoder.raw_decode(text, position)
        yield Document(first=position, end=end, value=value, repeats_names=bool(repeats))
        position = _end_of_blank(text, end)


def spans_of(
    text: str, document: Document, locations: Iterable[Location], forbidden: Forbidden | None
) -> list[tuple[int, int]]:
    """Return the first and last positions of values, outermost ones only, in their order.

    Args:
        text: What holds the document.
        document: Which one.
        locations: Which values. Where a name comes twice, both values are meant.
        forbidden: Which values are meant as well; ``None`` for none.
    """
    found = sorted(_Scanner(_tree_of(locations), forbidden).scan(text, document.first, document.end))
    # What a name that comes behind its value forbids may hold what was found before.
    ends = accumulate((end for _, end in found), max, initial=0)
    return [span for span, end in zip(found, ends, strict=False) if span[0] >= end]


_Tree: TypeAlias = dict[int | str, Any]
"""Locations by their first step; ``_HERE`` is a key where one ends."""

_HERE: Final = ""
"""Not among the steps, because a member's name is kept with a mark before it."""


def _tree_of(locations: Iterable[Location]) -> _Tree:
    root: _Tree = {}
    for location in locations:
        tree = root
        for step in location:
            tree = tree.setdefault(step if isinstance(step, int) else f".{step}", {})
        tree[_HERE] = True
    return root


@dataclass(slots=True)
class _Container:
    """An object or list that is open."""

    is_object: bool
    first: int
    tree: _Tree | None
    """What is wanted inside of it; ``None`` for nothing."""
    step: int | str = 0
    expects_name: bool = False
    is_secret: bool = False
    """Whether the value at hand is wanted because of its name."""
    names_secret: bool = False
    """Whether one of its values is a name whose value is forbidden."""
    valued: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Where the values are that such a name is for."""

    def named_values(self) -> Sequence[tuple[int, int]]:
        """Return where the values are that are forbidden by a name beside them; a list is a pair only with two."""
        return self.valued if self.names_secret and (self.is_object or self.step == 1) else ()


@dataclass(slots=True)
class _Scanner:
    wanted: _Tree
    forbidden: Forbidden | None
    open: list[_Container] = field(default_factory=list[_Container])

    def scan(self, text: str, first: int, end: int) -> Iterator[tuple[int, int]]:
        position = first
        while (match := _TOKEN.search(text, position, end)) is not None:
            piece, position = match[0], match.end()
            if piece in "[{":
                tree, is_wanted = self._wanted()
                if is_wanted or (tree is None and self.forbidden is None):
                    # The library's reader is many times as fast as a look at every token.
                    _, position = _DECODER.raw_decode(text, match.start())
                    if is_wanted:
                        yield match.start(), position
                else:
                    self.open.append(_Container(piece == "{", match.start(), tree, expects_name=piece == "{"))
            elif piece in "]}":
                closed = self.open.pop()
                yield from closed.named_values()
                self._note(piece, (closed.first, position))
            elif piece == ",":
                self._next()
            elif self.open and self.open[-1].expects_name:
                self._name(piece)
            else:
                if self._is_scalar_wanted(piece):
                    yield match.span()
                self._note(piece, match.span())

    def _wanted(self) -> tuple[_Tree | None, bool]:
        """Return what is wanted inside of the value at hand, and whether it is wanted itself."""
        if not self.open:
            return self.wanted, _HERE in self.wanted
        top = self.open[-1]
        tree = top.tree.get(top.step) if top.tree else None
        return tree, top.is_secret or (tree is not None and _HERE in tree)

    def _is_scalar_wanted(self, token: str) -> bool:
        tree, is_wanted = self._wanted()
        if is_wanted:
            # By its name alone, a flag or an empty text is no credential.
            return token not in _TELLS_NOTHING or (tree is not None and _HERE in tree)
        return self.forbidden is not None and self.forbidden.text(token)

    def _note(self, token: str, span: tuple[int, int]) -> None:
        """Note of a value that has ended whether it is a name, or what a name beside it may be for."""
        if self.forbidden is None or not self.open:
            return
        top = self.open[-1]
        is_pair = len(self.open) > 1 and not self.open[-2].is_object
        if isinstance(top.step, str):
            member = top.step[1:].lower()
            is_name, is_value = member in NAME_MEMBERS, member in VALUE_MEMBERS
        else:
            is_name, is_value = is_pair and top.step == 0, is_pair and top.step == 1
        if is_name and token.startswith('"'):
            top.names_secret |= self.forbidden.name(_text_of(token))
        elif is_value and token not in _TELLS_NOTHING:
            top.valued.append(span)

    def _next(self) -> None:
        top = self.open[-1]
        if top.is_object:
            top.expects_name = True
        elif isinstance(top.step, int):
            top.step += 1

    def _name(self, token: str) -> None:
        top, name = self.open[-1], _text_of(token)
        top.step, top.expects_name = f".{name}", False
        top.is_secret = self.forbidden is not None and self.forbidden.name(name)


def _text_of(token: str) -> str:
    return json.loads(token, strict=False) if "\\" in token else token[1:-1]


def _merge(one: Any, other: Any) -> Any:  # noqa: ANN401 -- JSON values
    """Return a value in which everything can be found that is in either."""
    if isinstance(one, dict) and isinstance(other, dict):
        merged: dict[str, Any] = {**one}
        for name, value in other.items():  # pyright: ignore[reportUnknownVariableType] -- JSON
            merged[name] = _merge(merged[name], value) if name in merged else value
        return merged
    if isinstance(one, list) and isinstance(other, list):
        longer, shorter = sorted((one, other), key=len, reverse=True)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownLambdaType] -- JSON
        both = [_merge(longer[index], value) for index, value in enumerate(shorter)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON
        return [*both, *longer[len(both) :]]
    return other if isinstance(other, dict | list) else one  # pyright: ignore[reportUnknownVariableType] -- JSON


def _end_of_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position
