"""Is a count of copies what a share allows? Exact binomial intervals, no approximation."""

import importlib
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Final

CONFIDENCE: Final = 0.9973
"""Probability that an interval holds the true share: that of three standard deviations, as everywhere here."""

_TAIL: Final = (1 - CONFIDENCE) / 2

WHOLE: Final = 100.0
"""Per cent at which every call is copied."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Shares that a count is compatible with, in per cent."""

    low: float
    """Smallest share, 0 to 100."""

    high: float
    """Largest share, 0 to 100."""

    def __contains__(self, percent: float) -> bool:
        """Whether a share is compatible with the count."""
        return self.low <= percent <= self.high

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g} %"


@dataclass(frozen=True, kw_only=True)
class Band:
    """Counts that a share allows: those that :func:`fits` takes."""

    low: int
    """Smallest count."""

    high: int
    """Largest count."""

    def __contains__(self, count: int) -> bool:
        """Whether a count is allowed."""
        return self.low <= count <= self.high

    def __str__(self) -> str:
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


def beta_functions() -> Any:  # noqa: ANN401 -- untyped
    """Return what intervals are computed with; the first time takes half a second, which callers may spend beforehand.

    scipy.stats takes longer to import; its binomtest computes the same from these.
    """
    return importlib.import_module("scipy.special")


def interval(copies: int, calls: int) -> Interval:
    """Return the exact (Clopper-Pearson) interval of a binomial share.

    Args:
        copies: How many were copied; counts above ``calls`` are taken as ``calls``.
        calls: Out of how many, >= 0; none tell nothing.
    """
    if calls <= 0:
        return Interval(low=0.0, high=WHOLE)
    copies = min(copies, calls)
    special = beta_functions()
    low = float(special.betaincinv(copies, calls - copies + 1, _TAIL)) if copies else 0.0
    high = float(special.betaincinv(copies + 1, calls - copies, 1 - _TAIL)) if copies < calls else 1.0
    return Interval(low=WHOLE * low, high=WHOLE * high)


def fits(copies: int, calls: int, percent: float, *, slack: int = 0) -> bool:
    """Whether a count is what a share allows: exactly at 0 and 100 per cent, else by the interval.

    Args:
        copies: How many were copied.
        calls: Out of how many.
        percent: The share that was meant, 0 to 100.
        slack: Copies that may be missing or too many because they were under way while they were counted, >= 0.
    """
    if percent <= 0:
        return copies <= slack
    if percent >= WHOLE:
        return abs(copies - calls) <= slack
    return copies <= calls + slack and percent in interval(copies, calls)


def band(calls: int, percent: float) -> Band:
    """Return the counts that a share allows.

    Args:
        calls: Out of how many, >= 0.
        percent: The share that is meant, 0 to 100.
    """
    if percent <= 0 or percent >= WHOLE:
        whole = calls if percent > 0 else 0
        return Band(low=whole, high=whole)
    counts = range(calls + 1)
    # Both ends of the interval rise with the count.
    low = bisect_left(counts, percent, key=lambda count: interval(count, calls).high)
    high = bisect_right(counts, percent, key=lambda count: interval(count, calls).low) - 1
    return Band(low=low, high=high)


def telling_calls(percent: float) -> int:
    """Return from how many calls on a mirror that gets nothing is told from one that gets its share.

    Args:
        percent: The share, above 0, up to 100.
    """
    if percent >= WHOLE:
        return 1
    calls = max(1, math.floor(math.log(_TAIL) / math.log1p(-percent / WHOLE)))
    while fits(0, calls, percent):
        calls += 1
    return calls
