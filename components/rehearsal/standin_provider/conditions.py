"""The annotation ``pulumi.com/waitFor``: ``jsonpath={.path}``, ``jsonpath={.path}=value`` and ``condition=Type``.

Paths are those of ``kubectl wait`` without filters: keys, ``['quoted keys']``, ``[number]`` and ``[*]``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from .errors import RefusedError
from .paths import number_at, objects_at
from .values import Properties, Value

_STEP: Final = re.compile(r"""\.([\w$-]+)|\[(\d+|\*)\]|\[(?:'([^']+)'|"([^"]+)")\]""")
_JSONPATH: Final = re.compile(r"jsonpath=\{\s*\$?([^{}]*?)\s*\}(?:=(.+))?")
_CONDITION: Final = re.compile(r"condition=([^=]+)(?:=(.+))?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing to wait for."""

    text: str
    path: tuple[str, ...] = ()
    """Steps to a value; empty for a status condition."""
    value: str | None = None
    """What the value must read; ``None``: it must only exist."""
    condition: str = ""
    """Type of a status condition, compared without case."""

    def holds(self, obj: Properties) -> bool:
        """Tell whether ``obj`` fulfils the condition, for its latest generation where that is reported."""
        wanted = number_at(obj, "metadata", "generation")
        if number_at(obj, "status", "observedGeneration", default=wanted) < wanted:
            return False
        if self.condition:
            return any(self._matches(item) for item in objects_at(obj, "status", "conditions"))
        found = next(_values(obj, self.path), None)
        return found is not None and (self.value is None or _text(found) == self.value)

    def _matches(self, item: Properties) -> bool:
        named = str(item.get("type", "")).lower() == self.condition.lower()
        return named and str(item.get("status", "")).lower() == (self.value or "True").lower()


def parse_conditions(expression: str) -> list[Condition]:
    """Return the conditions of an annotation: one, or a JSON list of several.

    Raises:
        RefusedError: An expression that the stand-in cannot evaluate.
    """
    try:
        listed: Value = json.loads(expression)
    except ValueError:
        listed = [expression]
    texts = [str(item) for item in cast("list[Any]", listed)] if isinstance(listed, list) else [expression]
    return [_parse(text) for text in texts]


def _parse(text: str) -> Condition:
    condition = _CONDITION.fullmatch(text)
    if condition:
        return Condition(text=text, condition=condition[1], value=condition[2])
    jsonpath = _JSONPATH.fullmatch(text)
    if jsonpath:
        steps = list(_STEP.finditer(jsonpath[1]))
        if steps and "".join(step[0] for step in steps) == jsonpath[1]:
            names = tuple(next(part for part in step.groups() if part is not None) for step in steps)
            return Condition(text=text, path=names, value=jsonpath[2])
    raise RefusedError(
        f"The condition {text!r} of pulumi.com/waitFor",
        "Write jsonpath={.a.b}, jsonpath={.a.b}=value or condition=Type",
    )


def _values(value: Value, path: tuple[str, ...]) -> Iterator[Value]:
    if not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _values(cast("Properties", value)[path[0]], path[1:])
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if path[0] == "*":
            for item in items:
                yield from _values(item, path[1:])
        elif path[0].isdecimal() and int(path[0]) < len(items):
            yield from _values(items[int(path[0])], path[1:])


def _text(value: Value) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
