"""Values as the API server gets them: what YAML has beyond JSON is put into JSON, and what is null is not given."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, cast

from .nodes import Unknown

_SCALARS: Final = frozenset({str, int, float, bool, Unknown})


def as_json(value: object) -> object:
    """A value whose keys are texts, without bytes and dates, and without what is null in an object.

    The API server drops null from fields and maps, but not from lists. It knows no keys but texts: a tool that reads
    YAML makes ``"5"`` of the key 5, and ``"true"`` of ``on``.
    """
    # Nearly all values are so already, and to look is quicker than to make them anew.
    return value if _is_so(value) else _made(value)


def _is_so(value: object) -> bool:
    if value.__class__ is dict:
        for key, inner in cast("dict[object, object]", value).items():
            if key.__class__ is not str:
                return False
            kind = inner.__class__
            if kind is not str and (inner is None or (kind not in _SCALARS and not _is_so(inner))):
                return False
        return True
    if value.__class__ is list or value.__class__ is tuple:  # as our own objects have them
        return all(each.__class__ is str or each is None or _is_so(each) for each in cast("list[object]", value))
    return value.__class__ in _SCALARS or isinstance(value, str)  # names of our own objects have a type of their own


def _made(value: object) -> object:
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value).items()
        return {_key(key): _made(inner) for key, inner in entries if inner is not None}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_made(inner) for inner in cast("Sequence[object]", value)]
    # Only Python's reader of YAML takes dates for more than texts.
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else value


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    return json.dumps(key) if key is None or isinstance(key, int | float) else str(_made(key))
