"""What the package exports is described where users look, with help(): fields, outputs and refusals."""

import dataclasses
import inspect
import re
from enum import Enum
from typing import Any

import pytest

import pulumi_traffic_mirror as tm

EXPORTED: list[Any] = [getattr(tm, name) for name in dir(tm)]
CLASSES = [each for each in EXPORTED if inspect.isclass(each) and not issubclass(each, Enum)]


def own(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith(tm.__name__)]


def described(kind: type) -> set[str]:
    """Names that ``help()`` explains."""
    return set(re.findall(r"^    (\w+): ", inspect.getdoc(kind) or "", re.MULTILINE))


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


def test_what_the_package_has_is_listed() -> None:
    star: dict[str, Any] = {}
    exec("from pulumi_traffic_mirror import *", star)  # noqa: S102 -- a star import is for modules only
    assert set(dir(tm)) == set(star) - {"__builtins__"}
    assert "MirroredServiceArgs" in dir(tm)
