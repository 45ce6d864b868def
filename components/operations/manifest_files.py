"""Files of manifests, of YAML, JSON and Pulumi's: which objects they hold, and at which line each place of them is."""

import importlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, cast

from ..model.rules import (
    UNKNOWN,
    Node,
    PlannedLoss,
    planned_losses,
)
from ..yamlreading import MISFITS, ManifestLoader
from .errors import OperationError
from .unread import Unread, failed_preview, filled, placeholders, repeated_key

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""Files of a folder that are read."""

UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview writes for a value that only the deployment decides. Source: Pulumi's resource protocol."""

HIDDEN_TEXT: Final = "[secret]"
"""What a preview writes for a secret value, or a whole list that holds one. Source: Pulumi's ``display/json.go``."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi marks secrets and other special values. Source: Pulumi's resource protocol."""

MAX_DEPTH: Final = 200
"""Deepest nesting that is read, which functions that call themselves can follow; far deeper, the YAML parser in C takes
the process with it (measured)."""

MAX_REPEATED: Final = 100_000
"""Most values that aliases may stand for; a few lines of them can stand for billions."""


class YamlNode(Protocol):
    """What is used of a node that PyYAML composed."""

    id: str
    value: Any
    start_mark: Any


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an object was read.

    Attributes:
        file: The file, or a name for what is none.
        line: First line of the object, from 1.
        node: Its parsed YAML, for the lines of its fields; None for what is not YAML.
    """

    file: str
    line: int = 1
    node: YamlNode | None = field(default=None, repr=False, compare=False)

    def line_of(self, path: str) -> int:
        """Line of a field, as near as the object has it.

        Args:
            path: Path in the object, e.g. ``spec.http[0].mirror``.
        """
        node, line = self.node, self.line
        for key in path.replace("[", ".[").split("."):
            children = _children(node)
            if key not in children:
                break
            line, node = children[key]
        return line


def _children(node: YamlNode | None) -> dict[str, tuple[int, YamlNode | None]]:
    """Line and node of each entry of a YAML node; lists by ``[index]``."""
    if node is None:
        return {}
    if node.id == "mapping":
        return {str(key.value): (key.start_mark.line + 1, value) for key, value in node.value}
    if node.id == "sequence":
        return {f"[{index}]": (value.start_mark.line + 1, value) for index, value in enumerate(node.value)}
    return {}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One object before it is judged."""

    value: Mapping[str, object]
    origin: Origin
    group: str = ""
    """Name of the Pulumi provider that manages it; empty for a file of objects."""
    losses: Sequence[PlannedLoss] = ()
    """Instead of an object: what the preview in this file would take away."""
    unread: Unread | None = None
    """Instead of an object: why something in this file is not judged."""


def files_of(path: Path) -> list[Path]:
    """A file, or the files of a folder that are read.

    Raises:
        OperationError: It cannot be read, or there is none.
    """
    try:
        if path.is_dir():
            return _below(path)
        exists = path.exists()
    except OSError as error:
        raise OperationError(f"{path} cannot be read: {error}", remedy="Check the path and its permissions") from error
    if not exists:
        raise OperationError(f"{path} does not exist", remedy="Check the path")
    return [path]


def _below(folder: Path) -> list[Path]:
    """Files of a folder and of all below it; one that may not be listed is an error, not an empty one."""

    def refuse(error: OSError) -> None:
        raise error

    found = (Path(place, name) for place, _, names in os.walk(folder, onerror=refuse) for name in names)
    # A link to nothing is read, too, which fails: what it should hold is not judged.
    return sorted(file for file in found if file.suffix in SUFFIXES and (file.is_file() or not file.exists()))


def read_entries(file: Path, stack: str) -> Iterator[Entry]:
    """Objects of one file, each with its place.

    Args:
        file: YAML, JSON, or what Pulumi writes.
        stack: Which stack of a file of Pulumi's is meant; empty for the only one.

    Raises:
        OperationError: It cannot be read, or is malformed.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{file} cannot be read: {error}", remedy="Give a YAML or JSON file in UTF-8") from error
    found = _entries(file, text, stack)
    yield from _filled(str(file), text, found) if "${" in text or "{{" in text else found


def _filled(file: str, text: str, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Entries in which what is yet to be filled in is not known, and that this is so."""
    left: list[str] = []
    for entry in entries:
        is_object = "kind" in entry.value and "apiVersion" in entry.value
        yield replace(entry, value=mapping(filled(entry.value, left))) if is_object else entry
    if left:
        yield Entry(value={}, origin=Origin(file=file), unread=placeholders(file, text, left))


def _entries(file: Path, text: str, stack: str) -> Iterator[Entry]:
    only_json = file.suffix == ".json"
    if not only_json and not text.lstrip().startswith(("{", "[")):
        yield from _documents(text, str(file))
        return
    try:
        value = _json(text)
        pulumi = _pulumi(value, str(file), stack)
    except json.JSONDecodeError as error:
        # What begins with a bracket may be YAML in flow style, but not in a file of JSON.
        if only_json:
            raise OperationError(
                f"{file}, line {error.lineno}, column {error.colno}: {error.msg}", remedy="Correct the JSON"
            ) from error
        yield from _documents(text, str(file))
        return
    except (ValueError, RecursionError) as error:
        raise OperationError(f"{file}: {error}", remedy="Correct the JSON") from error
    if pulumi is not None:
        yield from pulumi
        return
    origin = _json_origin(text, str(file))
    yield from _repeated_keys(origin)
    yield from _objects(value, origin)


def _json(text: str) -> object:
    """Read JSON.

    Raises:
        ValueError: It is none, has half of a character, which nobody can print, or is nested too deeply.
        RecursionError: It is nested far too deeply: which depth that is depends on Python's version.
    """
    value = json.loads(text)
    level, depth = _nested([value]), 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        level = _nested(inner for each in level for inner in each)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _nested(values: Iterable[object]) -> list[Collection[object]]:
    """What the objects and lists among values of JSON hold."""
    return [
        cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
        for value in values
        if isinstance(value, dict | list)
    ]


def _json_origin(text: str, file: str) -> Origin:
    """Where JSON came from, with its lines unless it is JSON that is no YAML, e.g. with characters beyond 16 bits."""
    yaml: Any = importlib.import_module("yaml")
    try:
        node = yaml.compose(text, Loader=ManifestLoader)
    except yaml.YAMLError:
        return Origin(file=file)
    return Origin(file=file, line=node.start_mark.line + 1, node=node) if node else Origin(file=file)


def _documents(text: str, file: str) -> Iterator[Entry]:
    yaml: Any = importlib.import_module("yaml")
    loader: Any = ManifestLoader(text)
    remedy = "Render the template first, e.g. with helm template" if "{{" in text else "Correct the YAML"
    try:
        _check_depth(text)
        while loader.check_node():
            node = loader.get_node()
            if "&" in text:
                _check_aliases(node)
            origin = Origin(file=file, line=node.start_mark.line + 1, node=node)
            yield from _repeated_keys(origin)  # before it is constructed, which puts merged keys among the others
            yield from _objects(_constructed(loader, node), origin)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise OperationError(f"{file}{where}: {error.problem or error.context}", remedy=remedy) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise OperationError(f"{file}: {first}", remedy=remedy) from error
    finally:
        loader.dispose()


def _constructed(loader: Any, node: YamlNode) -> object:  # noqa: ANN401 -- untyped
    """The value of a document.

    Raises:
        ValueError: A scalar does not fit its tag.
    """
    try:
        return loader.construct_document(node)
    except MISFITS as error:
        line = node.start_mark.line + 1
        raise ValueError(f"a value of the document at line {line} does not fit its type: {error}") from error


def _check_depth(text: str) -> None:
    """Refuse what is nested so deeply that the parser in C would end the process.

    Raises:
        ValueError: It is.
    """
    widest = max((len(line) - len(line.lstrip(" -?:")) for line in text.splitlines()), default=0)
    if widest + text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    yaml: Any = importlib.import_module("yaml")
    depth = 0
    for event in yaml.parse(text, Loader=ManifestLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise ValueError(f"line {line} is nested more than {MAX_DEPTH} levels deep")


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


def _repeated_keys(origin: Origin) -> Iterator[Entry]:
    """That a mapping has a key twice: of such values only the last one is read."""
    left = [origin.node] if origin.node else []
    seen: set[int] = set()
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        keys: set[str] = set()
        for key, _ in node.value if node.id == "mapping" else ():
            if key.id == "scalar" and key.value in keys and key.value != "<<":
                said = repeated_key(origin.file, key.start_mark.line + 1, key.value)
                yield Entry(value={}, origin=origin, unread=said)
            keys.add(str(key.value))
        left += _parts(node)


def _parts(node: YamlNode) -> list[YamlNode]:
    """What a YAML node holds."""
    if node.id == "mapping":
        return [part for entry in node.value for part in entry]
    return list(node.value) if node.id == "sequence" else []


def _objects(value: object, origin: Origin) -> Iterator[Entry]:
    """The objects in a document: itself, or the items of a list."""
    if isinstance(value, list):
        yield from _items(cast("list[object]", value), origin)
        return
    if not isinstance(value, Mapping):
        if value is not None:
            yield Entry(value={}, origin=origin)
        return
    document = cast("Mapping[str, object]", value)
    kind, items = str(document.get("kind", "")), document.get("items")
    if kind.endswith("List") and isinstance(items, list):
        line, node = _children(origin.node).get("items", (origin.line, None))
        common = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
        listed = cast("list[object]", items)
        if common["kind"]:
            # The API server leaves out of a list of one kind what its items have in common.
            listed = [
                {**common, **mapping(cast("object", item))} if isinstance(item, Mapping) else item for item in listed
            ]
        yield from _items(listed, Origin(file=origin.file, line=line, node=node))
        return
    yield Entry(value=document, origin=origin)


def _items(items: Sequence[object], origin: Origin) -> Iterator[Entry]:
    children = _children(origin.node)
    for index, item in enumerate(items):
        line, node = children.get(f"[{index}]", (origin.line, None))
        yield from _objects(item, Origin(file=origin.file, line=line, node=node))


def _pulumi(value: object, file: str, stack: str) -> list[Entry] | None:
    """The Kubernetes objects in a stack's export or preview; None when it is neither."""
    document = Node(value)
    resources = document["deployment"]["resources"]
    found: list[Entry] = []
    if resources.given:
        states = resources.elements()
    elif document["steps"].given and (document["config"].given or document["changeSummary"].given):
        steps = document["steps"].elements()
        states = [step["newState"] for step in steps if step["newState"].given]
        if losses := planned_losses(stack, steps):
            found.append(Entry(value={}, origin=Origin(file=file), losses=losses))
        if any(each["severity"].text() == "error" for each in document["diagnostics"].elements()):
            found.append(Entry(value={}, origin=Origin(file=file), unread=failed_preview(file)))
    else:
        return None
    for state in states:
        if state["type"].text().startswith("kubernetes:") and not state["delete"].known:
            inputs, outputs = _plain(state["inputs"].known), _plain(state["outputs"].known)
            both = {**mapping(inputs), **mapping(outputs)}
            if isinstance(both.get("kind"), str):
                origin = Origin(file=f"{file} ({state['urn'].text().rpartition('::')[2]})")
                group = state["provider"].text().split("::")
                found.append(Entry(value=both, origin=origin, group=group[-2] if len(group) > 1 else "default"))
    return found


def mapping(value: object) -> Mapping[str, object]:
    """A mapping as it is; an empty one for anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _plain(value: object) -> object:
    """A state's value with everything that is secret or not known yet as unknown."""
    if value in (UNKNOWN_TEXT, HIDDEN_TEXT):
        return UNKNOWN
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        return UNKNOWN if SIGNATURE in entries else {key: _plain(entry) for key, entry in entries.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in cast("list[object]", value)]
    return value
