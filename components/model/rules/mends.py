"""Mends as data: changes of an object that are the only way to say what was meant."""

import json
from dataclasses import dataclass
from typing import Final, cast

from ..jsontypes import JsonObject, JsonValue
from .nodes import Node, NotJudgedError

REMOVED: Final = ""
"""Stands for no value."""


@dataclass(frozen=True, kw_only=True, order=True)
class Edit:
    """One change of an object.

    Attributes:
        path: Where, e.g. ``spec.http[0].mirror.host``; all but its last part is there.
        value: What to write there, as JSON; :data:`REMOVED` to take it out.
    """

    path: str
    value: str

    def to_json(self) -> JsonObject:
        """The change as plain JSON, without a value where something is taken out."""
        written: JsonObject = {} if self.value == REMOVED else {"value": cast("JsonValue", json.loads(self.value))}
        return {"path": self.path, **written}


def write(node: Node, *keys: str, value: JsonValue) -> Edit:
    """A change that writes a value below a place."""
    return Edit(path=".".join((node.path, *keys)), value=json.dumps(value, sort_keys=True))


def remove(node: Node) -> Edit:
    """A change that takes out what is at a place."""
    return Edit(path=node.path, value=REMOVED)


def rename(node: Node, name: str) -> tuple[Edit, ...]:
    """Changes that give a field another name; none where it holds what is not known yet."""
    try:
        value = json.dumps(node.json(), sort_keys=True)
    except (NotJudgedError, TypeError, ValueError, RecursionError):
        return ()
    path = node.path.removesuffix(f".{node.key}")
    return Edit(path=f"{path}.{name}", value=value), remove(node)
