"""Docstrings that list every argument and output: Python keeps no text that stands below a field, help() shows none."""

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from typing import Any, Final, TypeVar

_Class = TypeVar("_Class", bound=type)

PACKAGE: Final = __name__.partition(".")[0]
_ENTRY: Final = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


class _Docstring:
    """A class's docstring with the texts of its fields; its source is read when somebody asks, which few do."""

    def __init__(self, own: str) -> None:
        self.own = inspect.cleandoc(own)
        self._whole: str | None = None

    def __get__(self, instance: object, owner: type) -> str:
        if self._whole is None:
            self._whole = _with_fields(self.own, owner)
        return self._whole


def described(kind: _Class) -> _Class:
    """Return the class, whose docstring from now on lists its fields, with the texts below them or its bases'."""
    if not isinstance(vars(kind).get("__doc__"), _Docstring):
        kind.__doc__ = _Docstring(kind.__doc__ or "")  # pyright: ignore[reportAttributeAccessIssue] -- type.__doc__ honours descriptors
    return kind


def _with_fields(own: str, kind: type) -> str:
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] == PACKAGE:
            texts |= _attributes(own if base is kind else _docstring(base)) | _texts(base)
    listed = _attributes(own)
    lines = [f"{name}: {' '.join(text.split())}" for name, text in texts.items() if name not in listed]
    if not lines:
        return own
    wrapped = [textwrap.indent(textwrap.fill(line, 110, subsequent_indent="    "), "    ") for line in lines]
    return "\n".join([own, "", "Attributes:", *wrapped])


def _docstring(kind: type) -> str:
    found = vars(kind).get("__doc__")
    return found.own if isinstance(found, _Docstring) else inspect.cleandoc(found or "")


def _attributes(docstring: str) -> dict[str, str]:
    """Entries of a docstring's section ``Attributes``, by name."""
    section = re.search(r"^Attributes:\n((?: .*\n?|\n)*)", docstring, re.MULTILINE)
    return dict(_ENTRY.findall(section[1])) if section else {}


def _texts(kind: type) -> dict[str, str]:
    """Texts below the annotated fields of a class, by name."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # an installation without sources
        return {}
    (definition,) = ast.parse(textwrap.dedent(source)).body
    found: dict[str, str] = {}
    body: list[Any] = getattr(definition, "body", [])
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = str(text.value.value)
    return found
