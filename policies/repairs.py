"""What the level ``remediate`` does with the mends of a rule: writes them into a resource's properties."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from pulumi_policy.secret import Secret

from pulumi_traffic_mirror.model.rules import REMOVED, Edit

_PART: Final = re.compile(r"[^.\[\]]+")


def mended(props: Mapping[str, object], mends: Iterable[Sequence[Edit]]) -> Mapping[str, object] | None:
    """A resource's properties with changes made; None where there is nothing to change.

    Args:
        props: The properties as the policy SDK hands them to a remediation.
        mends: The changes for each finding; objects that are missing on the way to one are made. One that would write
            in plain text what a secret holds is left out.
    """
    changed: object = None
    for mend in mends:
        current = props if changed is None else changed
        if any(edit.value == REMOVED and _is_secret(current, _PART.findall(edit.path)) for edit in mend):
            continue
        for edit in mend:
            changed = _with(props if changed is None else changed, _PART.findall(edit.path), edit.value)
    return cast("Mapping[str, object] | None", changed)


def _is_secret(value: object, path: Sequence[str]) -> bool:
    """Whether the value at ``path`` is a secret by itself."""
    for key in path:
        inner = value.value if isinstance(value, Secret) else value
        if isinstance(inner, list):
            elements = cast("list[object]", inner)
            value = elements[int(key)] if key.isdecimal() and int(key) < len(elements) else None
        else:
            value = _held(cast("Mapping[str, object]", inner)).get(key) if isinstance(inner, Mapping) else None
    return isinstance(value, Secret)


def _with(value: object, path: Sequence[str], written: str) -> object:
    """A copy of ``value`` that differs at ``path``."""
    if not path:
        return json.loads(written)
    key, *rest = path
    if isinstance(value, Secret):
        return Secret(_with(value.value, path, written))
    if isinstance(value, list):
        elements = cast("list[object]", value)
        return [_with(each, rest, written) if str(index) == key else each for index, each in enumerate(elements)]
    if value is not None and not isinstance(value, Mapping):
        return value  # no object, so that nothing is below it
    known = dict(_held(cast("Mapping[str, object]", value or {})))
    if not rest and written == REMOVED:
        known.pop(key, None)
    else:
        known[key] = _with(known.get(key), rest, written)
    return known


def _held(value: Mapping[str, object]) -> Mapping[str, object]:
    """What the SDK's proxy holds: values inside keep being secret, which reading them through it would end."""
    return value if isinstance(value, dict) else cast("Mapping[str, object]", value["__target"])
