"""Make a mesh that shows something smaller, until nothing can be left out of it."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tests.differential.maker import Object

IDENTITY: Final = frozenset({"apiVersion", "kind", "metadata", "name", "namespace", "spec"})
"""Parts that stay: without them an object is another one."""

Shows = Callable[[list[Object]], bool]


def shrunk(objects: Sequence[Object], shows: Shows) -> list[Object]:
    """The objects that are left when every further cut would show it no more.

    Args:
        objects: A mesh that shows it; not changed.
        shows: Whether a mesh still shows it.
    """
    found = copy.deepcopy(list(objects))
    cut = True
    while cut:
        cut = False
        for place, key in _cuts(found):
            if key not in (place if isinstance(place, dict) else range(len(place))):
                continue
            kept = place[key]
            del place[key]
            if shows(copy.deepcopy(found)):
                cut = True
            elif isinstance(place, dict):
                place[key] = kept
            else:
                place.insert(key, kept)
    return found


def _cuts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Containers with a key or index that may be left out, the outermost and the last ones first."""
    if isinstance(value, list):
        for index in reversed(range(len(value))):
            yield value, index
    elif isinstance(value, dict):
        for key in [each for each in value if each not in IDENTITY]:
            yield value, key
    for each in list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()):
        yield from _cuts(each)
