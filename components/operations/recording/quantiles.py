"""Quantiles of any number of values in constant memory."""

from collections import Counter
from math import ceil, exp, log
from typing import Final

_RELATIVE_ERROR: Final = 0.01
"""Each bucket is this much wider than the one before, so a quantile is right to one per cent."""

_STEP: Final = log(1 + _RELATIVE_ERROR)


class Quantiles:
    """Counts positive values in buckets of logarithmic width: about 1,800 buckets from 1 µs to 1 minute."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._maximum = 0.0

    def add(self, value: float) -> None:
        """Count a value; what is below one counts as one."""
        self._buckets[int(log(value) / _STEP) if value > 1 else 0] += 1
        self._count += 1
        self._maximum = max(self._maximum, value)

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
                return min(exp((bucket + 1) * _STEP), self._maximum)
        return None
