"""Counting one pair after another into a tally."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final
from zlib import crc32

import numpy as np

from ..recording.arrow import Column
from ..recording.quantiles import buckets_of
from .answers import Answer
from .columns import Endpoints, Times
from .comparing import Compared
from .differences import Change, Difference
from .rules import FieldRules
from .tally import DURATION, EndpointTally, Example, Pattern, Tally, Way, order_of_way, shorten

_NOTICEABLE_US: Final = 10_000
"""Microseconds that a slower answer takes more, at least: what a loaded machine adds now and then."""

_MAX_PATTERN: Final = 64
"""Fields of one pair beyond which nobody tells which ones differ together."""

_MAX_SHAPES: Final = 2_000
"""Combinations of differences that are remembered."""

_FIELD_AND_CHANGE: Final = itemgetter(0, 1)

_SLOWER: Final[Way] = (DURATION, Change.SLOWER)


@dataclass(slots=True)
class _Shape:
    """Which fields of a pair differ."""

    endpoint: str

    firsts: dict[Way, int]
    """Fields that count, each with the place of its first difference."""
    lasts: tuple[Way, ...]
    """Of each kind of change the last field."""
    pattern: Pattern
    pairs: int = 0
    """Those that are not counted yet."""
    bound: tuple[int, str] | None = None
    """Where an example's place lies beyond this, none of its fields wants it; ``None`` where that is not known."""


class PairCounter:
    """Counts pairs of the primary's answers and others.

    Pairs mostly differ in the same fields as others before. Those are counted together, so that what is in the tally is
    whole only after :meth:`settle`.
    """

    def __init__(self, tally: Tally, rules: FieldRules, *, slower: float, with_examples: bool) -> None:
        """Begin to count.

        Args:
            tally: Where to.
            rules: Fields that do not count.
            slower: How many times as long as the first answer a second one takes when it counts as slower.
            with_examples: Whether to keep examples.
        """
        self._tally = tally
        self._rules = rules
        self._slower = slower
        self._with_examples = with_examples
        self._shapes: dict[Hashable, _Shape] = {}
        self._waiting: list[_Shape] = []

    def add(self, primary: Answer, other: Answer, compared: Compared) -> None:
        """Count one pair."""
        self.add_pairs(primary.endpoint, 1)
        self.add_compared(primary.endpoint, primary.request_id, compared)
        self.settle()
        self._time(primary, other)

    def add_pairs(self, endpoint: str, pairs: int) -> None:
        """Count pairs, whatever comes of comparing them."""
        self._tally.endpoints[endpoint].pairs += pairs

    def add_alike(self, endpoint: str, pairs: int) -> None:
        """Count what comparing pairs gave that do not differ."""
        self._tally.endpoints[endpoint].payload_pairs += pairs

    def add_compared(self, endpoint: str, request_id: str, compared: Compared) -> None:
        """Count what comparing one pair gave; which fields differ, when it is settled."""
        one = self._tally.endpoints[endpoint]
        if compared.uncompared:
            one.uncompared[compared.uncompared] += 1
        else:
            one.payload_pairs += 1
        if compared.differences:
            self._note(one, endpoint, request_id, compared.differences)

    def settle(self) -> None:
        """Count what waits for it."""
        for shape in self._waiting:
            one, pairs = self._tally.endpoints[shape.endpoint], shape.pairs
            one.differing_pairs += pairs
            for way in shape.firsts:
                one.differing[way] += pairs
            for way in shape.lasts:
                one.last[way] += pairs
            if len(shape.pattern) > _MAX_PATTERN:
                one.lost_patterns += pairs
            else:
                one.patterns[shape.pattern] += pairs
            shape.pairs = 0
        self._waiting.clear()

    def add_times(self, endpoints: Endpoints, primary: Times, other: Times, request_ids: Column) -> None:
        """Count the durations of many pairs.

        Args:
            endpoints: Of the pairs.
            primary: How long the first answers took.
            other: How long the second ones took.
            request_ids: Of the pairs.
        """
        for times, name in ((primary, "primary_times"), (other, "other_times")):
            for endpoint, bucket, count, maximum in _in_buckets(endpoints, times):
                getattr(self._tally.endpoints[endpoint], name).add_bucket(bucket, count, maximum=maximum)
        ignored = np.array([self._rules.covers(name, DURATION) for name in endpoints.names], bool)
        timed = primary.known & other.known & ~ignored[endpoints.numbers]
        for endpoint, pairs in endpoints.counted(timed):
            self._tally.endpoints[endpoint].timed_pairs += pairs
        short, long = np.minimum(primary.us, other.us), np.maximum(primary.us, other.us)
        apart = timed & (long >= np.maximum(short * self._slower, short + _NOTICEABLE_US))
        is_faster = long == primary.us
        for endpoint, pairs in endpoints.counted(apart & is_faster):
            self._tally.endpoints[endpoint].faster += pairs
        places: list[int] = np.flatnonzero(apart & ~is_faster).tolist()
        for place in places:
            self._note_slower(
                endpoints.names[int(endpoints.numbers[place])],
                request_ids[place].as_py(),
                int(primary.us[place]),
                int(other.us[place]),
            )

    def _note(self, one: EndpointTally, endpoint: str, request_id: str, differences: Sequence[Difference]) -> None:
        shape = self._shape_of(endpoint, differences)
        if not shape.firsts:
            return
        if not shape.pairs:
            self._waiting.append(shape)
        shape.pairs += 1
        if self._with_examples:
            order = _order_of(request_id)
            # A field's bound only falls, and one that was folded has better examples elsewhere.
            if shape.bound is None or order <= shape.bound:
                self._keep_examples(one, request_id, shape.firsts, differences)
                shape.bound = one.bound_of(shape.firsts)

    def _shape_of(self, endpoint: str, differences: Sequence[Difference]) -> _Shape:
        """Return what a pair's differences amount to."""
        key = (endpoint, *map(_FIELD_AND_CHANGE, differences))
        shape = self._shapes.get(key)
        if shape is None:
            # Once for each pair: ten elements of a list that differ are one pair in which the list's elements differ.
            firsts: dict[Way, int] = {}
            for index, one in enumerate(differences):
                if not self._rules.covers(endpoint, one.field):
                    firsts.setdefault((one.field, one.change), index)
            pattern = tuple(sorted(firsts, key=order_of_way))
            lasts = {change: (field, change) for field, change in pattern}
            shape = _Shape(endpoint, firsts, tuple(lasts.values()), pattern)
            if len(self._shapes) < _MAX_SHAPES:
                self._shapes[key] = shape
        return shape

    def _keep_examples(
        self, one: EndpointTally, request_id: str, ways: dict[Way, int], differences: Sequence[Difference]
    ) -> None:
        order = _order_of(request_id)
        for way, index in ways.items():
            if one.wants(way, order):
                difference = differences[index]
                one.keep(
                    way,
                    Example(
                        request_id=request_id,
                        primary=shorten(difference.primary),
                        mirror=shorten(difference.mirror),
                    ),
                )

    def _time(self, primary: Answer, other: Answer) -> None:
        """Count the durations of one pair."""
        one = self._tally.endpoints[primary.endpoint]
        for times, answer in ((one.primary_times, primary), (one.other_times, other)):
            if answer.duration_us is not None:
                times.add(answer.duration_us)
        if primary.duration_us is None or other.duration_us is None or self._rules.covers(primary.endpoint, DURATION):
            return
        one.timed_pairs += 1
        short, long = sorted((primary.duration_us, other.duration_us))
        if long < max(short * self._slower, short + _NOTICEABLE_US):
            return
        if long == primary.duration_us:
            one.faster += 1
        else:
            self._note_slower(primary.endpoint, primary.request_id, short, long)

    def _note_slower(self, endpoint: str, request_id: str, short_us: int, long_us: int) -> None:
        one = self._tally.endpoints[endpoint]
        one.differing[_SLOWER] += 1
        slower = Difference(DURATION, Change.SLOWER, f"{short_us / 1000:.1f} ms", f"{long_us / 1000:.1f} ms")
        if self._with_examples:
            self._keep_examples(one, request_id, {_SLOWER: 0}, [slower])


def _order_of(request_id: str) -> tuple[int, str]:
    """Return the beginning of the place of a request's examples."""
    return crc32(request_id.encode()), request_id


def _in_buckets(endpoints: Endpoints, times: Times) -> Iterator[tuple[str, int, int, int]]:
    """Yield the buckets of :class:`Quantiles` of each endpoint, with how many times lie there and the longest."""
    values, numbers = times.us[times.known], endpoints.numbers[times.known]
    buckets = buckets_of(values)
    order = np.lexsort((values, buckets, numbers))
    values, buckets, numbers = values[order], buckets[order], numbers[order]
    is_last = np.append((np.diff(buckets) != 0) | (np.diff(numbers) != 0), True)[: len(values)]
    lasts = np.flatnonzero(is_last)
    counts = np.diff(lasts, prepend=-1)
    for last, count in zip(lasts.tolist(), counts.tolist(), strict=True):
        yield endpoints.names[int(numbers[last])], int(buckets[last]), count, int(values[last])
