"""Counting differences by endpoint and field, with a few examples, in bounded memory.

Tallies add up: however pairs are divided and in whatever order tallies are added, the sum is the same. What is bounded
is therefore chosen by a fixed order of names, never by which came first: of too many names those stay that are
first by length and alphabet. Whoever sees fewer names keeps at least these, so nothing of them is lost before the sum.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from zlib import crc32

from ..plaintext import printable
from ..recording.endpoints import OTHER
from ..recording.quantiles import Quantiles
from .differences import Change

DURATION: Final = "duration"
"""Field that stands for the time an answer took."""

_MAX_EXAMPLES: Final = 3
_MAX_TEXT: Final = 160

_T = TypeVar("_T")

Way: TypeAlias = tuple[str, Change]
"""A field and how it differs."""

Pattern: TypeAlias = tuple[Way, ...]
"""Ways in which one pair differs, in the order of :func:`order_of_way`."""


class FieldKey(NamedTuple):
    """What is counted: one way in which one field of one endpoint differs."""

    endpoint: str
    field: str
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One pair in which a field differed."""

    request_id: str
    primary: str
    """The primary's value, shortened; empty if it has none."""
    mirror: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is told apart."""

    endpoints: int = 1_000
    fields: int = 2_000
    """Of one endpoint."""
    patterns: int = 1_000
    """Combinations of differing fields of one endpoint."""


def _order_of_name(name: str) -> tuple[int, str]:
    """Return what decides which names stay when there are too many."""
    return len(name), name


def order_of_way(way: Way) -> tuple[int, str, str]:
    """Return a way's place among others of an endpoint."""
    return len(way[0]), *way


def _order_of_pattern(pattern: Pattern) -> tuple[tuple[int, str, str], ...]:
    """Return a pattern's place: by its last field first, so that those without a field stand before those with it."""
    return tuple(order_of_way(way) for way in reversed(pattern))


def _first_of(names: Collection[_T], limit: int, order: Callable[[_T], Any]) -> set[_T]:
    """Return the names that stay."""
    return set(names) if len(names) <= limit else set(nsmallest(limit, names, key=order))


def _order_of_example(example: Example) -> tuple[int, str, str, str]:
    # By a hash, so that examples are from the whole time.
    return crc32(example.request_id.encode()), example.request_id, example.primary, example.mirror


class EndpointTally:
    """What is counted of one endpoint."""

    NUMBERS: Final = ("pairs", "payload_pairs", "timed_pairs", "differing_pairs", "faster", "lost_patterns")

    def __init__(self) -> None:
        self.pairs = 0
        self.payload_pairs = 0
        """Pairs whose bodies were compared."""
        self.timed_pairs = 0
        """Pairs whose durations are both known."""
        self.differing_pairs = 0
        """Pairs in which any field differed, durations apart."""
        self.faster = 0
        """Pairs in which the second answer was as much faster as would count if it were slower."""
        self.uncompared: Counter[str] = Counter()
        """Pairs whose bodies were not compared, by reason."""
        self.primary_times = Quantiles()
        self.other_times = Quantiles()
        self.differing: Counter[Way] = Counter()
        """Pairs in which a field differed."""
        self.last: Counter[Way] = Counter()
        """Pairs by the last of their fields, in the order of names, that differ in one way: tells in how many pairs
        any field beyond a certain one differs."""
        self.patterns: Counter[Pattern] = Counter()
        """Pairs by all fields that differ in them."""
        self.lost_patterns = 0
        """Pairs whose pattern is not told apart."""
        self.examples: dict[Way, list[Example]] = defaultdict(list)
        self._bounds: dict[Way, tuple[int, str]] = {}
        """The beginning of the last example's place, where there are as many as stay."""

    def merge(self, other: "EndpointTally") -> None:
        """Add what was counted elsewhere."""
        for name in self.NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("uncompared", "differing", "last", "patterns"):
            getattr(self, name).update(getattr(other, name))
        self.primary_times.merge(other.primary_times)
        self.other_times.merge(other.other_times)
        for way, examples in other.examples.items():
            for example in examples:
                self.keep(way, example)

    def keep(self, way: Way, example: Example) -> None:
        """Keep an example if it is one of the first."""
        examples = self.examples[way]
        if example not in examples:
            examples.append(example)
            examples.sort(key=_order_of_example)
            del examples[_MAX_EXAMPLES:]
            if len(examples) == _MAX_EXAMPLES:
                self._bounds[way] = _order_of_example(examples[-1])[:2]

    def wants(self, way: Way, order: tuple[int, str]) -> bool:
        """Tell whether an example of this request may be one of the first.

        Args:
            way: What it is an example of.
            order: The beginning of the example's place.
        """
        bound = self._bounds.get(way)
        return bound is None or order <= bound

    def bound_of(self, ways: Iterable[Way]) -> tuple[int, str] | None:
        """Return the place beyond which no example is wanted of any of these; ``None`` where any would be."""
        bounds = [self._bounds.get(way) for way in ways]
        return None if None in bounds else max(filter(None, bounds))

    def fold_fields(self, kept: set[str]) -> bool:
        """Count fields that do not stay together; True when there were any."""
        lost = [way for way in self.differing if way[0] not in kept and way[0] not in (OTHER, DURATION)]
        for way in lost:
            del self.differing[way]
            together = (OTHER, way[1])
            self.differing[together] += self.last.pop(way, 0)
            self._bounds.pop(way, None)
            for example in self.examples.pop(way, ()):
                self.keep(together, example)
        if lost:
            self.fold_patterns({pattern for pattern in self.patterns if all(way[0] in kept for way in pattern)})
        return bool(lost)

    def fold_patterns(self, kept: set[Pattern]) -> None:
        """Forget which fields differ together in patterns that do not stay."""
        for pattern in [pattern for pattern in self.patterns if pattern not in kept]:
            self.lost_patterns += self.patterns.pop(pattern)


_NOTHING: Final = EndpointTally()


class Tally:
    """Differences between the primary and one kind of other answers."""

    def __init__(self) -> None:
        self.endpoints: dict[str, EndpointTally] = defaultdict(EndpointTally)

    def of(self, endpoint: str) -> EndpointTally:
        """Return what was counted of an endpoint; zeros where there was nothing."""
        return self.endpoints.get(endpoint, _NOTHING)

    def keys(self) -> Iterator[FieldKey]:
        """Yield everything that differs."""
        for endpoint, one in self.endpoints.items():
            yield from (FieldKey(endpoint, *way) for way in one.differing)

    def differing(self, key: FieldKey) -> int:
        """Return in how many pairs a field differed."""
        return self.of(key.endpoint).differing[key.field, key.change]

    def pairs_for(self, key: FieldKey) -> int:
        """Return in how many pairs a field could have differed."""
        one = self.of(key.endpoint)
        if key.field.startswith(("body", "message")):
            return one.payload_pairs
        return one.timed_pairs if key.field == DURATION else one.pairs

    def examples(self, key: FieldKey) -> tuple[Example, ...]:
        """Return the examples of a field."""
        return tuple(self.of(key.endpoint).examples.get((key.field, key.change), ()))

    def habits(self, endpoint: str) -> frozenset[Way]:
        """Return what differs in most pairs of an endpoint."""
        one = self.of(endpoint)
        return frozenset(way for way, pairs in one.differing.items() if pairs > one.pairs / 2)

    def differing_beyond(self, endpoint: str, habits: frozenset[Way]) -> int:
        """Return the pairs of an endpoint that differ in any field that is no habit.

        Those whose pattern is not known are taken for such pairs, on either side.
        """
        one = self.of(endpoint)
        return one.lost_patterns + sum(
            pairs for pattern, pairs in one.patterns.items() if not habits.issuperset(pattern)
        )

    def merge(self, other: "Tally") -> None:
        """Add what was counted elsewhere."""
        for endpoint, one in other.endpoints.items():
            self.endpoints[endpoint].merge(one)

    def fold_endpoints(self, kept: set[str]) -> None:
        """Count endpoints that do not stay together."""
        for endpoint in [name for name in self.endpoints if name not in kept and name != OTHER]:
            self.endpoints[OTHER].merge(self.endpoints.pop(endpoint))

    @property
    def size(self) -> int:
        """How many things are told apart."""
        return sum(1 + len(one.differing) + len(one.patterns) for one in self.endpoints.values())


def fold(tallies: Sequence[Tally], primary: Counter[str], limits: Limits) -> bool:
    """Bring tallies that are held against each other back to what is told apart, the same in all of them.

    Args:
        tallies: The tallies.
        primary: Answers of the primary by endpoint.
        limits: How much is told apart.

    Returns:
        Whether anything had to be counted together.
    """
    names = {*primary, *(name for tally in tallies for name in tally.endpoints)} - {OTHER}
    kept = _first_of(names, limits.endpoints, _order_of_name)
    has_folded = len(kept) < len(names)
    if has_folded:
        for name in primary.keys() - kept - {OTHER}:
            primary[OTHER] += primary.pop(name)
        for tally in tallies:
            tally.fold_endpoints(kept)
    for endpoint in {name for tally in tallies for name in tally.endpoints}:
        parts = [tally.endpoints[endpoint] for tally in tallies if endpoint in tally.endpoints]
        has_folded |= _fold_fields(parts, limits)
    return has_folded


def _fold_fields(parts: Sequence[EndpointTally], limits: Limits) -> bool:
    fields = {name for part in parts for name, _ in part.differing} - {OTHER, DURATION}
    kept = _first_of(fields, limits.fields, _order_of_name)
    has_folded = len(kept) < len(fields)
    if has_folded:
        for part in parts:
            part.fold_fields(kept)
    patterns = {pattern for part in parts for pattern in part.patterns}
    if len(patterns) > limits.patterns:
        stay = _first_of(patterns, limits.patterns, _order_of_pattern)
        for part in parts:
            part.fold_patterns(stay)
    return has_folded


def shorten(value: Any) -> str:  # noqa: ANN401 -- any value of any field
    """Return a value as short text for people."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        text = value[: 2 * _MAX_TEXT].decode("utf-8", "backslashreplace")
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return printable(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…")
