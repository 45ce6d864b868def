"""Host patterns: what they take, and quick look-ups among many."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

from .nodes import NotJudgedError

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
    """Items by the host pattern that they are for.

    Args:
        items: Host patterns with the items that are for them.
        unknown: Why some items' patterns are not known yet. Any of them may be the one that is looked for, so a
            look-up that would find nothing raises the first of these.
    """

    def __init__(self, items: Iterable[tuple[str, Item]], unknown: Sequence[NotJudgedError] = ()) -> None:
        self._items: dict[str, list[Item]] = defaultdict(list)
        self._unknown = unknown
        for pattern, item in items:
            self._items[pattern].append(item)

    @property
    def patterns(self) -> Collection[str]:
        """Every pattern that items are for."""
        return self._items.keys()

    def exactly(self, pattern: str) -> "list[Item]":
        """Items for just this pattern."""
        found = self._items.get(pattern)
        if found is None:
            self.require_known()
        return found or []

    def by_width(self, host: str) -> "list[list[Item]]":
        """Items whose pattern takes every host that ``host`` stands for: those of each pattern, the narrowest first."""
        levels = [found for pattern in widening(host) if (found := self._items.get(pattern))]
        if not levels:
            self.require_known()
        return levels

    def covering(self, host: str) -> Iterator[Item]:
        """Items whose pattern takes every host that ``host`` stands for."""
        if self._unknown and not any(map(self._items.get, widening(host))):
            self.require_known()
        for pattern in widening(host):
            yield from self._items.get(pattern, ())

    def require_known(self) -> None:
        """Raise where the pattern of some item is not known yet, for rules that must see all items."""
        if self._unknown:
            raise self._unknown[0]

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
