"""Reading documents of YAML as kubectl does, within bounds."""

import importlib
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from ..yamlreading import MISFITS, TAG, ManifestLoader
from .errors import OperationError
from .places import Document, YamlNode

MAX_DEPTH: Final = 200
"""Deepest nesting that is read, which functions that call themselves can follow; far deeper, the YAML parser in C takes
the process with it (measured)."""

MAX_REPEATED: Final = 100_000
"""Most values that aliases may stand for; a few lines of them can stand for billions."""

_TEXT, _MAP, _LIST = (f"{TAG}{name}" for name in ("str", "map", "seq"))
_SCALARS: Final = frozenset(f"{TAG}{name}" for name in ("null", "bool", "int", "float", "timestamp", "binary"))
_BEGINNING: Final = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
"""Of a document; no bracket of the one before is open there."""
_ENDING: Final = re.compile(r"^\.\.\.(?=\s|\Z)", re.MULTILINE)
"""Of the document before; libyaml 0.2.5 reads no text that begins with it."""


class _UnusualError(Exception):
    """A document has more than maps with distinct keys that are texts, lists and scalars."""


def read_documents(text: str, file: str) -> Iterator[tuple[object, Document, list[tuple[str, int]]]]:
    """Read all documents of a text.

    Args:
        text: The text.
        file: What errors call it.

    Yields:
        The value of each, where it stands, and its keys that a mapping has before, with their lines from 1. Only a line
        feed ends one, as in editors; for libyaml U+2028 does, too.

    Raises:
        OperationError: It is malformed, is nested too deeply, or aliases make it far larger than it is written.
    """
    yaml: Any = importlib.import_module("yaml")
    loader: Any = ManifestLoader(text)
    remedy = "Render the template first, e.g. with helm template" if "{{" in text else "Correct the YAML"
    start = skipped = 0
    try:
        _check_depth(text)
        while loader.check_node():
            node = loader.get_node()
            end = node.end_mark
            began = max((ended.end() for ended in _ENDING.finditer(text, start, node.start_mark.index)), default=start)
            skipped += text.count("\n", start, began)
            document = Document(text=text[began : end.index], start=began, skipped=skipped)
            value, repeated = _read(loader, node, aliases="&" in document.text)
            yield value, document, [(key.value, text.count("\n", 0, key.start_mark.index) + 1) for key in repeated]
            skipped += document.text.count("\n")
            start = end.index
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise OperationError(f"{file}{where}: {error.problem or error.context}", remedy=remedy) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise OperationError(f"{file}: {first}", remedy=remedy) from error
    finally:
        loader.dispose()


def _read(loader: Any, node: YamlNode, *, aliases: bool) -> tuple[object, list[YamlNode]]:  # noqa: ANN401 -- untyped
    """The value of a document and its repeated keys.

    Raises:
        ValueError: A scalar does not fit its tag, or aliases make too much of it.
    """
    if aliases:
        _check_aliases(node)
    try:
        if not aliases:
            with suppress(_UnusualError):
                return _usual(loader, node), []
        repeated = list(repeated_keys(node))  # before it is constructed, which puts merged keys among the others
        return loader.construct_document(node), repeated
    except MISFITS as error:  # whose text has the value, which may be secret
        line = node.start_mark.line + 1
        raise ValueError(f"a value of the document at line {line} does not fit its type") from error


def _usual(loader: Any, node: YamlNode) -> object:  # noqa: ANN401 -- untyped
    """The value of a node: PyYAML, which makes provision for values that hold themselves, takes twice the time.

    Raises:
        _UnusualError: PyYAML must make it.
    """
    tag, value = node.tag, node.value
    if node.id == "scalar":
        if tag == _TEXT:
            return value
        if tag in _SCALARS:
            return loader.yaml_constructors[tag](loader, node)
    elif tag == _MAP and node.id == "mapping":
        made = {key.value: _usual(loader, each) for key, each in value if key.tag == _TEXT and key.id == "scalar"}
        if len(made) == len(value):
            return made
    elif tag == _LIST and node.id == "sequence":
        return [_usual(loader, each) for each in value]
    raise _UnusualError


def _check_depth(text: str) -> None:
    """Refuse what is nested so deeply that the parser in C would end the process.

    Raises:
        ValueError: It is.
    """
    widest = max((len(line) - len(line.lstrip(" -?:")) for line in text.splitlines()), default=0)
    if widest + max(map(_brackets, _BEGINNING.split(text))) <= MAX_DEPTH:
        return
    yaml: Any = importlib.import_module("yaml")
    depth = 0
    for event in yaml.parse(text, Loader=ManifestLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise ValueError(f"line {line} is nested more than {MAX_DEPTH} levels deep")


def _brackets(text: str) -> int:
    """At most so many are open at once: two that close each other at once are never open for long."""
    return 1 + sum(text.count(pair[0]) - text.count(pair) for pair in ("[]", "{}"))


def _check_aliases(root: YamlNode) -> None:
    """Refuse what aliases make endless, or far larger or deeper than it is written.

    Raises:
        ValueError: It is.
    """
    begun: set[int] = set()
    measured: dict[int, tuple[int, int]] = {}
    """Number of values and depth, written out, by the identity of a node all of whose parts are measured."""
    left = [root]
    while left:
        node = left.pop()
        line = node.start_mark.line + 1
        parts = _parts(node)
        if id(node) not in begun:
            begun.add(id(node))
            if any(id(part) in begun and id(part) not in measured for part in parts):
                raise ValueError(f"the value at line {line} contains itself")
            left += [node, *parts]
        elif id(node) not in measured:
            inner = [measured[id(part)] for part in parts]
            values, depth = 1 + sum(size for size, _ in inner), 1 + max((deep for _, deep in inner), default=0)
            if values > len(begun) + MAX_REPEATED:
                raise ValueError(f"aliases of the value at line {line} stand for more than {MAX_REPEATED:,} values")
            if depth > MAX_DEPTH:
                raise ValueError(f"line {line} is nested more than {MAX_DEPTH} levels deep")
            measured[id(node)] = (values, depth)


def repeated_keys(root: YamlNode) -> Iterator[YamlNode]:
    """Keys that a mapping has before: of such values only the last one is read."""
    left = [root]
    seen: set[int] = set()
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        keys: set[str] = set()
        for key, _ in node.value if node.id == "mapping" else ():
            if key.id == "scalar" and key.value in keys and key.value != "<<":
                yield key
            keys.add(str(key.value))
        left += _parts(node)


def _parts(node: YamlNode) -> list[YamlNode]:
    """What a YAML node holds."""
    if node.id == "mapping":
        return [part for entry in node.value for part in entry]
    return list(node.value) if node.id == "sequence" else []
