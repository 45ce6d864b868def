"""Doing expensive work once per object, however many policies ask for it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

KEPT: Final = 4_096
"""Results that are kept; more than the resources of a large stack, so that one pass over it finds all of them."""


class IdentityCache(Generic[_Given, _Made]):
    """A function whose result is kept for as long as the very same object comes back.

    The object is kept with its result, so that no other one can take its identity.
    """

    def __init__(self, function: Callable[[_Given], _Made]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[_Given, _Made]] = OrderedDict()

    def __call__(self, given: _Given) -> _Made:
        """The function's result for ``given``."""
        with self._lock:
            found = self._kept.get(id(given))
        if found is not None:
            return found[1]
        made = self._function(given)
        with self._lock:
            self._kept[id(given)] = (given, made)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
