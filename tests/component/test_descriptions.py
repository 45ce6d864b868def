"""What the package exports is described where users look: fields, outputs and refusals."""

import ast
import dataclasses
import inspect
import re
import textwrap
from enum import Enum
from itertools import pairwise
from typing import Any

import pytest

import components

EXPORTED: list[Any] = [getattr(components, name) for name in components.__all__]
CLASSES = [each for each in EXPORTED if inspect.isclass(each) and not issubclass(each, Enum)]


def own(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("components")]


def described(kind: type) -> set[str]:
    """Names that the docstring lists, or that have a text below them."""
    found: set[str] = set()
    for base in own(kind):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        found |= set(re.findall(r"^    (\w+): ", ast.get_docstring(definition) or "", re.MULTILINE))
        for field, text in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found.add(ast.unparse(field.target))
    return found


@pytest.mark.parametrize("kind", CLASSES)
def test_every_field_and_output_is_described(kind: type) -> None:
    names = {each.name for each in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set[str]()
    for base in own(kind):
        names |= {name for name in inspect.get_annotations(base) if not name.startswith("_")}
    assert names <= described(kind)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if dataclasses.is_dataclass(kind)])
def test_what_checks_its_values_says_what_it_refuses(kind: type) -> None:
    checks = [vars(base)["__post_init__"] for base in own(kind) if "__post_init__" in vars(base)]
    texts = [inspect.getdoc(each) or "" for each in [kind, *checks]]
    assert not checks or any("Raises:" in text for text in texts)
