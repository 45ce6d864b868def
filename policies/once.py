"""Doing expensive work once per object, however many policies ask for it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from google.protobuf import json_format
from pulumi_policy import policy
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import unknown_checking_proxy

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

KEPT: Final = 4_096
"""Results that are kept; more than the resources of a large stack, so that one pass over it finds all of them."""


class OncePerObject(Generic[_Given, _Made]):
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


class _DecodedOnce:
    """Stands for ``json_format`` in the policy SDK and remembers what it decoded."""

    def __init__(self) -> None:
        self.MessageToDict = OncePerObject(json_format.MessageToDict)


def decode_once() -> None:
    """Let the policy SDK decode a resource once per request.

    It decodes every resource once for every policy, which with 70 policies and 1,000 resources takes longer than all
    rules together (measured). Policies get the same values as before, but the same objects each time; remediations,
    which may write into theirs, get their own.
    """
    deserialized = OncePerObject(deserialize_properties)

    def deserialize(props: dict[str, object], proxy_secrets: bool = False) -> object:
        return deserialize_properties(props, proxy_secrets) if proxy_secrets else deserialized(props)

    replaced: dict[str, object] = {
        "json_format": _DecodedOnce(),
        "deserialize_properties": deserialize,
        "unknown_checking_proxy": OncePerObject(unknown_checking_proxy),
    }
    for name, function in replaced.items():
        setattr(policy, name, function)
