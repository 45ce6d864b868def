"""Quantiles of any number of values in constant memory."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from math import ceil, exp, log
from typing import Any, Final

import numpy as np

_RELATIVE_ERROR: Final = 0.01
"""Each bucket is this much wider than the one before, so a quantile is right to one per cent."""

STEP: Final = log(1 + _RELATIVE_ERROR)
"""Width of a bucket, as a difference of logarithms."""


_MAX_TABLE: Final = 2**40
"""Whole numbers up to here are looked up; beyond 12 days of microseconds each is worked out by itself."""


def bucket_of(value: float) -> int:
    """Return the bucket of a value: its logarithm in steps of :data:`STEP`, rounded down; 0 for what is below one."""
    return int(log(value) / STEP) if value > 1 else 0


def buckets_of(values: Any) -> Any:  # noqa: ANN401 -- arrays of numpy's
    """Return what :func:`bucket_of` does of each of many whole numbers, as an array."""
    found = _first_values().searchsorted(values, side="right")
    for place in np.flatnonzero(values >= _MAX_TABLE):
        found[place] = bucket_of(int(values[place]))
    return found


@cache
def _first_values() -> Any:  # noqa: ANN401 -- an array of numpy's
    """Return the first whole number of every bucket but 0.

    Logarithms of two libraries may differ in their last digit, so that only those of :func:`bucket_of` are right.
    """
    firsts: list[int] = []
    for bucket in range(1, bucket_of(_MAX_TABLE) + 1):
        value = int(exp(bucket * STEP))
        while bucket_of(value) < bucket:
            value += 1
        while bucket_of(value - 1) >= bucket:
            value -= 1
        firsts.append(value)
    return np.array(firsts)


class Quantiles:
    """Counts positive values in buckets of logarithmic width: about 1,800 buckets from 1 µs to 1 minute."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._maximum: float = 0

    def add(self, value: float) -> None:
        """Count a value; what is below one counts as one."""
        self._buckets[bucket_of(value)] += 1
        self._count += 1
        self._maximum = max(self._maximum, value)

    def add_bucket(self, bucket: int, count: int, *, maximum: float) -> None:
        """Count values of one bucket at once.

        Args:
            bucket: Which; see :func:`bucket_of`.
            count: How many.
            maximum: The largest of them.
        """
        self._buckets[bucket] += count
        self._count += count
        self._maximum = max(self._maximum, maximum)

    def merge(self, other: "Quantiles") -> None:
        """Add what was counted elsewhere."""
        maximum, *buckets = other.to_json()
        for bucket, count in buckets:
            self.add_bucket(bucket, count, maximum=maximum)

    def to_json(self) -> list[Any]:
        """Return everything that was counted: the largest value, then each bucket with its count, in order."""
        return [self._maximum, *(list(bucket) for bucket in sorted(self._buckets.items()))]

    @classmethod
    def from_json(cls, document: Sequence[Any]) -> "Quantiles":
        """Return what :meth:`to_json` told."""
        quantiles = cls()
        maximum, *buckets = document
        for bucket, count in buckets:
            quantiles.add_bucket(bucket, count, maximum=maximum)
        return quantiles

    @property
    def count(self) -> int:
        """How many values were counted."""
        return self._count

    @property
    def maximum(self) -> float:
        """The largest value, exactly; 0 without any."""
        return self._maximum

    def at(self, share: float) -> float | None:
        """Return the value below which a share (0 to 1) of all values lies; ``None`` without any."""
        rank, seen = max(1, ceil(share * self._count)), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return min(exp((bucket + 1) * STEP), self._maximum)
        return None
