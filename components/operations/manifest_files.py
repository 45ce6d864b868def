"""Files of manifests, of YAML, JSON and Pulumi's: which objects they hold, and at which line each place of them is."""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from ..model.rules import (
    UNKNOWN,
    Node,
    PlannedLoss,
    planned_losses,
)
from .errors import OperationError
from .places import Document, Origin
from .unread import Unread, failed_preview, filled, placeholders, repeated_key
from .yaml_documents import MAX_DEPTH, read_documents, repeated_keys

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""Files of a folder that are read."""

UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview writes for a value that only the deployment decides. Source: Pulumi's resource protocol."""

HIDDEN_TEXT: Final = "[secret]"
"""What a preview writes for a secret value, or a whole list that holds one. Source: Pulumi's ``display/json.go``."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi marks secrets and other special values. Source: Pulumi's resource protocol."""


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
        # Nobody judges a Secret, and what is said of it would be read by others.
        is_object = "apiVersion" in entry.value and entry.value.get("kind", "Secret") != "Secret"
        yield replace(entry, value=mapping(filled(entry.value, left))) if is_object else entry
    if left:
        yield Entry(value={}, origin=Origin(file=file), unread=placeholders(file, text, left))


def _entries(file: Path, text: str, stack: str) -> Iterator[Entry]:
    only_json = file.suffix == ".json"
    if not only_json and not text.lstrip().startswith(("{", "[")):
        yield from _documents(text, str(file))
        return
    try:
        value, repeated = _json(text)
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
    document = Document(text=text)
    origin = Origin(file=str(file), document=document)
    nodes = list(repeated_keys(document.root)) if repeated and document.root else []
    said = [(key.value, document.line(key)) for key in nodes] or [(key, 1) for key in repeated]
    yield from (_repeated(origin, line, key) for key, line in said)
    yield from _objects(value, origin)


def _json(text: str) -> tuple[object, list[str]]:
    """Read JSON: its value, and keys that an object has more than once.

    Raises:
        ValueError: It is none, has half of a character, which nobody can print, or is nested too deeply.
        RecursionError: It is nested far too deeply: which depth that is depends on Python's version.
    """
    repeated: list[str] = []

    def made(entries: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(entries)
        if len(value) < len(entries):
            repeated.extend(key for key, times in Counter(key for key, _ in entries).items() if times > 1)
        return value

    value = json.loads(text, object_pairs_hook=made)
    level, depth = _nested([value]), 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        level = _nested(inner for each in level for inner in each)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value, repeated


def _nested(values: Iterable[object]) -> list[Collection[object]]:
    """What the objects and lists among values of JSON hold."""
    return [
        cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
        for value in values
        if isinstance(value, dict | list)
    ]


def _documents(text: str, file: str) -> Iterator[Entry]:
    for value, document, repeated in read_documents(text, file):
        origin = Origin(file=file, document=document)
        yield from (_repeated(origin, line, key) for key, line in repeated)
        yield from _objects(value, origin)


def _repeated(origin: Origin, line: int, key: str) -> Entry:
    return Entry(value={}, origin=origin, unread=repeated_key(origin.file, line, key))


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
        common = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
        listed = cast("list[object]", items)
        if common["kind"]:
            # The API server leaves out of a list of one kind what its items have in common.
            listed = [
                {**common, **mapping(cast("object", item))} if isinstance(item, Mapping) else item for item in listed
            ]
        yield from _items(listed, origin.below("items"))
        return
    yield Entry(value=document, origin=origin)


def _items(items: Sequence[object], origin: Origin) -> Iterator[Entry]:
    for index, item in enumerate(items):
        yield from _objects(item, origin.below(f"[{index}]"))


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
