"""Reading objects for the rules: from files and folders, from Pulumi's exports and previews.

Each object keeps the place it came from, so that a finding can point at a line.
"""

import importlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

from ..model.rules import ROOT_NAMESPACE, UNKNOWN, ClusterObjects, Node, NotJudgedError, control_plane_of, read_object
from ..model.values import IstioBehaviour
from .errors import OperationError

SUFFIXES: Final = (".yaml", ".yml", ".json")
"""Files of a folder that are read."""

UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What a preview writes for a value that only the deployment decides. Source: Pulumi's resource protocol."""

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi marks secrets and other special values. Source: Pulumi's resource protocol."""

NEVER_READ: Final = "an object without a kind"

MAX_DEPTH: Final = 500
"""Deepest nesting that is read; far deeper, the YAML parser in C takes the process with it (measured)."""


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
class Loaded:
    """What was read for one cluster.

    Attributes:
        cluster: Its objects, for the rules.
        origins: Where each came from, by ``"Kind namespace/name"``; the last one of a name.
        ignored: How many objects of which kind no rule reads.
    """

    cluster: ClusterObjects
    origins: Mapping[str, Origin]
    ignored: Mapping[str, int]

    def place(self, subject: str, path: str) -> tuple[str, int] | None:
        """File and line of a finding; None for an object that has no place.

        Args:
            subject: The object as a finding names it.
            path: The finding's field.
        """
        origin = self.origins.get(subject)
        return (origin.file, origin.line_of(path)) if origin else None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One object before it is judged."""

    value: Mapping[str, object]
    origin: Origin
    group: str = ""
    """Name of the Pulumi provider that manages it; empty for a file of objects."""


def load(
    name: str,
    paths: Sequence[Path],
    istio: IstioBehaviour | None = None,
    *,
    single: bool = False,
    root_namespace: str = ROOT_NAMESPACE,
) -> list[Loaded]:
    """Read the objects of one cluster, or of each cluster that a Pulumi stack manages.

    Args:
        name: What findings call the cluster. With several Kubernetes providers in a stack the clusters are called
            ``name/provider``.
        paths: Files and folders; YAML or JSON, several documents and lists included.
        istio: Behaviour of its control plane; None to read it from istiod's Deployment, if that is at hand.
        single: Take all as one cluster, whichever provider manages an object.
        root_namespace: Istio's root namespace there.

    Raises:
        OperationError: A path does not exist, cannot be read, or is broken; names file and line.
    """
    entries = [entry for path in paths for file in _files(path) for entry in _read(file)]
    groups = sorted({entry.group for entry in entries})
    if single or len(groups) <= 1:
        return [gather(name, entries, istio, complete=not any(groups), root_namespace=root_namespace)]
    return [
        gather(
            f"{name}/{group}" if group else name,
            [entry for entry in entries if entry.group == group],
            istio,
            complete=not group,
            root_namespace=root_namespace,
        )
        for group in groups
    ]


def gather(
    name: str,
    entries: Iterable[Entry],
    istio: IstioBehaviour | None,
    *,
    complete: bool,
    root_namespace: str = ROOT_NAMESPACE,
) -> Loaded:
    """Make a cluster of objects.

    Args:
        name: What findings call the cluster.
        entries: Its objects.
        istio: Behaviour of its control plane; None to read it from istiod's Deployment, if that is among them.
        complete: Whether these are all of its objects.
        root_namespace: Istio's root namespace there.
    """
    origins: dict[str, Origin] = {}
    known: dict[tuple[str, str, str], Mapping[str, object]] = {}
    ignored: Counter[str] = Counter()
    objects: list[Mapping[str, object]] = []
    control_plane: IstioBehaviour | None = None
    for entry in entries:
        try:
            read = read_object(name, Node(entry.value))
        except NotJudgedError:
            read = None
        if read is None:
            kind = entry.value.get("kind")
            ignored[kind if isinstance(kind, str) else NEVER_READ] += 1
            continue
        key = (read.kind, read.namespace, read.name)
        if _equal(known.get(key), entry.value):
            continue  # the same object from a second place, e.g. a file that is named beside its folder
        known[key] = entry.value
        control_plane = control_plane or control_plane_of(read)
        objects.append(entry.value)
        origins[str(read)] = entry.origin
    cluster = ClusterObjects(
        name=name,
        objects=objects,
        istio=istio or control_plane,
        complete=complete,
        root_namespace=root_namespace,
    )
    return Loaded(cluster=cluster, origins=origins, ignored=dict(sorted(ignored.items())))


def _equal(first: object, second: object) -> bool:
    """Whether two values are equal; of those that nobody can compare, e.g. that contain themselves, none are."""
    try:
        return first == second
    except RecursionError:
        return False


def _files(path: Path) -> list[Path]:
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
    return sorted(file for file in found if file.suffix in SUFFIXES and file.is_file())


def _read(file: Path) -> Iterator[Entry]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{file} cannot be read: {error}", remedy="Give a YAML or JSON file in UTF-8") from error
    only_json = file.suffix == ".json"
    if not only_json and not text.lstrip().startswith(("{", "[")):
        yield from _documents(text, str(file))
        return
    try:
        value = _json(text)
        pulumi = _pulumi(value, str(file))
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
    yield from _objects(value, _json_origin(text, str(file))) if pulumi is None else pulumi


def _json(text: str) -> object:
    """Read JSON.

    Raises:
        ValueError: It is none, or has half of a character, which nobody can print.
        RecursionError: It is nested too deeply.
    """
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _json_origin(text: str, file: str) -> Origin:
    """Where JSON came from, with its lines unless it is JSON that is no YAML, e.g. with characters beyond 16 bits."""
    yaml: Any = importlib.import_module("yaml")
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return Origin(file=file)
    return Origin(file=file, line=node.start_mark.line + 1, node=node) if node else Origin(file=file)


def _documents(text: str, file: str) -> Iterator[Entry]:
    yaml: Any = importlib.import_module("yaml")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    remedy = "Render the template first, e.g. with helm template" if "{{" in text else "Correct the YAML"
    try:
        _check_depth(text)
        while loader.check_node():
            node = loader.get_node()
            origin = Origin(file=file, line=node.start_mark.line + 1, node=node)
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
        ValueError: A scalar does not fit its tag, which PyYAML says with errors of many kinds.
    """
    try:
        return loader.construct_document(node)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
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
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise ValueError(f"line {line} is nested more than {MAX_DEPTH} levels deep")


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
                {**common, **_mapping(cast("object", item))} if isinstance(item, Mapping) else item for item in listed
            ]
        yield from _items(listed, Origin(file=origin.file, line=line, node=node))
        return
    yield Entry(value=document, origin=origin)


def _items(items: Sequence[object], origin: Origin) -> Iterator[Entry]:
    children = _children(origin.node)
    for index, item in enumerate(items):
        line, node = children.get(f"[{index}]", (origin.line, None))
        yield from _objects(item, Origin(file=origin.file, line=line, node=node))


def _pulumi(value: object, file: str) -> list[Entry] | None:
    """The Kubernetes objects in a stack's export or preview; None when it is neither."""
    document = Node(value)
    resources = document["deployment"]["resources"]
    if resources.given:
        states = resources.elements()
    elif document["steps"].given and (document["config"].given or document["changeSummary"].given):
        states = [step["newState"] for step in document["steps"].elements() if step["newState"].given]
    else:
        return None
    found: list[Entry] = []
    for state in states:
        if state["type"].text().startswith("kubernetes:") and not state["delete"].known:
            inputs, outputs = _plain(state["inputs"].known), _plain(state["outputs"].known)
            both = {**_mapping(inputs), **_mapping(outputs)}
            if isinstance(both.get("kind"), str):
                origin = Origin(file=f"{file} ({state['urn'].text().rpartition('::')[2]})")
                group = state["provider"].text().split("::")
                found.append(Entry(value=both, origin=origin, group=group[-2] if len(group) > 1 else "default"))
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _plain(value: object) -> object:
    """A state's value with everything that is secret or not known yet as unknown."""
    if value == UNKNOWN_TEXT:
        return UNKNOWN
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        return UNKNOWN if SIGNATURE in entries else {key: _plain(entry) for key, entry in entries.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in cast("list[object]", value)]
    return value
