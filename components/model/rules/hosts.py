"""Host patterns: what they take, and quick look-ups among many."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

Item = TypeVar("Item")


def covers(pattern: str, host: str) -> bool:
    """Whether every host that ``host`` stands for (itself a name or ``*.suffix``) is one that ``pattern`` takes."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:]


@lru_cache(maxsize=8192)  # rule after rule looks for the same hosts
def widening(pattern: str) -> tuple[str, ...]:
    """Every pattern that takes all of ``pattern``: itself, ``*.suffix`` for its suffixes, and ``*``."""
    labels = pattern.split(".")
    suffixes = ("*." + ".".join(labels[index:]) for index in range(1, len(labels)))
    return tuple(dict.fromkeys((pattern, *suffixes, "*")))


class HostIndex(Generic[Item]):
    """Items by the host pattern that they are for."""

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        self._items: dict[str, list[Item]] = defaultdict(list)
        for pattern, item in items:
            self._items[pattern].append(item)

    def exactly(self, pattern: str) -> "list[Item]":
        """Items for just this pattern."""
        return self._items.get(pattern, [])

    def by_width(self, host: str) -> "list[list[Item]]":
        """Items whose pattern takes every host that ``host`` stands for: those of each pattern, the narrowest first."""
        return [found for pattern in widening(host) if (found := self._items.get(pattern))]

    def covering(self, host: str) -> Iterator[Item]:
        """Items whose pattern takes every host that ``host`` stands for."""
        for pattern in widening(host):
            yield from self._items.get(pattern, ())

    def overlapping(self, host: str) -> Iterator[Item]:
        """Items whose pattern takes some host that ``host`` stands for."""
        yield from self.covering(host)
        if host.startswith("*"):
            for pattern in self._narrower.get(host, ()):
                yield from self._items[pattern]

    @cached_property
    def _narrower(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for pattern in self._items:
            for wider in widening(pattern):
                if wider != pattern:
                    found[wider].append(pattern)
        return found
