"""Places in files: where a document stands in a text, and at which line a field of an object is."""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

from ..yamlreading import MERGE, ManifestLoader

_SURROGATES: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_AS_LONG: Final = r"\1............"
"""A character beyond 16 bits as JSON may write it, which is no YAML, and what else is as long."""


class YamlNode(Protocol):
    """What is used of a node that PyYAML composed."""

    id: str
    tag: str
    value: Any
    start_mark: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class Document:
    """Where a document stands in a text of YAML or JSON.

    Its nodes are composed anew where something is told of it: kept for all documents, they took three times the memory
    of their values, and as long as reading them.

    Attributes:
        text: The document, with its directives.
        start: Index of its first character in the file's text.
        skipped: Lines of the file above it.
    """

    text: str = field(repr=False)
    start: int = 0
    skipped: int = 0

    @cached_property
    def root(self) -> YamlNode | None:
        """Its nodes, with marks in :attr:`text`; None for JSON that is no YAML."""
        yaml: Any = importlib.import_module("yaml")
        try:
            return yaml.compose(_SURROGATES.sub(_AS_LONG, self.text), Loader=ManifestLoader)
        except yaml.YAMLError:
            return None

    def line(self, node: YamlNode) -> int:
        """Line of a node in the file, from 1."""
        return self.skipped + self.text.count("\n", 0, node.start_mark.index) + 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an object was read.

    Attributes:
        file: The file, or a name for what is none.
        document: The document of it that the object is in; None for what is neither YAML nor JSON.
        within: Keys that lead to the object in its document; ``[index]`` in a list.
    """

    file: str
    document: Document | None = field(default=None, repr=False, compare=False)
    within: tuple[str, ...] = ()

    @property
    def line(self) -> int:
        """First line of the object, from 1."""
        return self._found(())[0]

    @property
    def node(self) -> YamlNode | None:
        """Its parsed YAML, with marks in its document's text; None where there is none."""
        return self._found(())[1]

    def line_of(self, path: str) -> int:
        """Line of a field, as near as the object has it.

        Args:
            path: Path in the object, e.g. ``spec.http[0].mirror``.
        """
        return self._found(path.replace("[", ".[").split("."))[0]

    def below(self, *keys: str) -> "Origin":
        """Where something in it was read."""
        return Origin(file=self.file, document=self.document, within=(*self.within, *keys))

    def _found(self, path: Sequence[str]) -> tuple[int, YamlNode | None]:
        """Line and node of a field: the line of the last key that is there, and no node if that is not the field."""
        if self.document is None:
            return 1, None
        if self.document.root is None:
            return self.document.skipped + 1, None
        name = node = self.document.root
        for key in (*self.within, *path):
            found = _child(node, key)
            if found is None:
                return self.document.line(name), None
            name, node = found
        return self.document.line(name), node


def _child(node: YamlNode, key: str) -> tuple[YamlNode, YamlNode] | None:
    """Key and value of an entry, which may be merged into the mapping: of several the last one."""
    if node.id == "sequence":
        items: list[YamlNode] = node.value
        index = int(key[1:-1]) if key.startswith("[") else len(items)
        return (items[index], items[index]) if index < len(items) else None
    entries: list[tuple[YamlNode, YamlNode]] = node.value if node.id == "mapping" else []
    for name, value in reversed(entries):
        if name.tag != MERGE and str(name.value) == key:
            return name, value
        for merged in _mappings(value) if name.tag == MERGE else ():
            if found := _child(merged, key):
                return found
    return None


def _mappings(merged: YamlNode) -> list[YamlNode]:
    """What is merged into a mapping: the first one that has a key counts."""
    return merged.value if merged.id == "sequence" else [merged]
