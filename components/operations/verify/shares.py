"""Is a count of copies what a share allows? Exact binomial intervals, no approximation."""

import importlib
from dataclasses import dataclass
from typing import Any, Final

CONFIDENCE: Final = 0.9973
"""Probability that an interval holds the true share: that of three standard deviations, as everywhere here."""

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


def interval(copies: int, calls: int) -> Interval:
    """Return the exact (Clopper-Pearson) interval of a binomial share.

    Args:
        copies: How many were copied; counts above ``calls`` are taken as ``calls``.
        calls: Out of how many, >= 0; none tell nothing.
    """
    if calls <= 0:
        return Interval(low=0.0, high=WHOLE)
    copies = min(copies, calls)
    # scipy.stats takes a second to import; its binomtest computes the same from this function.
    special: Any = importlib.import_module("scipy.special")
    tail = (1 - CONFIDENCE) / 2
    low = float(special.betaincinv(copies, calls - copies + 1, tail)) if copies else 0.0
    high = float(special.betaincinv(copies + 1, calls - copies, 1 - tail)) if copies < calls else 1.0
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
