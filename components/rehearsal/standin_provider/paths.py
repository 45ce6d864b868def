"""Reading nested values of objects whose shape the server decides: absent and ill-typed read as empty."""

from typing import Any, cast

from .values import Properties, Value


def at(obj: Value, *path: str) -> Value:
    """Return the value under ``path``, or ``None``."""
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = cast("Properties", obj).get(key)
    return obj


def mapping_at(obj: Value, *path: str) -> Properties:
    """Return the object under ``path``, or an empty one."""
    found = at(obj, *path)
    return cast("Properties", found) if isinstance(found, dict) else {}


def objects_at(obj: Value, *path: str) -> list[Properties]:
    """Return the objects of the list under ``path``."""
    found = at(obj, *path)
    items = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("Properties", item) for item in items if isinstance(item, dict)]


def text_at(obj: Value, *path: str) -> str:
    """Return the string under ``path``, or an empty one."""
    found = at(obj, *path)
    return found if isinstance(found, str) else ""


def number_at(obj: Value, *path: str, default: int = 0) -> int:
    """Return the number under ``path``, or ``default``."""
    found = at(obj, *path)
    return int(found) if isinstance(found, int | float) else default
