"""What the level ``remediate`` does with the mends of a rule: writes them into a resource's properties."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from pulumi_traffic_mirror.model.rules import REMOVED, Edit

_PART: Final = re.compile(r"[^.\[\]]+")


def mended(props: Mapping[str, object], edits: Iterable[Edit]) -> Mapping[str, object] | None:
    """A resource's properties with changes made; None where there is nothing to change.

    Args:
        props: The properties as the policy SDK hands them to a remediation.
        edits: The changes; objects that are missing on the way to one are made.
    """
    changed: object = None
    for edit in edits:
        changed = _with(props if changed is None else changed, _PART.findall(edit.path), edit.value)
    return cast("Mapping[str, object] | None", changed)


def _with(value: object, path: Sequence[str], written: str) -> object:
    """A copy of ``value`` that differs at ``path``."""
    if not path:
        return json.loads(written)
    key, *rest = path
    if isinstance(value, Sequence):
        elements = cast("Sequence[object]", value)
        return [_with(each, rest, written) if str(index) == key else each for index, each in enumerate(elements)]
    known = dict(_held(value))
    if not rest and written == REMOVED:
        del known[key]
    else:
        known[key] = _with(known.get(key), rest, written)
    return known


def _held(value: object) -> Mapping[str, object]:
    """What the SDK's proxy holds: values inside keep being secret, which reading them through it would end."""
    if isinstance(value, dict):
        return cast("Mapping[str, object]", value)
    if not isinstance(value, Mapping):
        return {}
    return cast("Mapping[str, object]", cast("Mapping[str, object]", value)["__target"])
