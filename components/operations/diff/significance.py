"""Whether a field differs more often between primary and mirror than between primary and primary."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final


@cache
def _stats() -> Any:  # noqa: ANN401 -- scipy ships no type information
    """Return scipy's statistics, which take a second to import: processes that only count do without."""
    return import_module("scipy.stats")


CONFIDENCE: Final = 0.95
"""Of the intervals that are reported beside the rates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How often one field differed, and in how many pairs it could have."""

    differing: int
    pairs: int
    baseline_differing: int
    baseline_pairs: int


def exact_p_values(counts: Sequence[Count]) -> list[float]:
    """Return Fisher's exact test of each field, one-sided: differs the mirror more often than the baseline?

    The p value is the probability of at least as many differences on the mirror's side if both sides differed equally
    often, given how many there were in all.
    """
    if not counts:
        return []
    columns = [
        (c.differing - 1, c.pairs + c.baseline_pairs, c.differing + c.baseline_differing, c.pairs) for c in counts
    ]
    drawn, population, successes, draws = (list(column) for column in zip(*columns, strict=True))
    return [float(p) for p in _stats().hypergeom.sf(drawn, population, successes, draws)]


def sign_p_value(*, more: int, less: int) -> float:
    """Return the one-sided sign test: of pairs that differ in a direction, do more than by chance in the first one?

    Without any difference between two systems, each is as often the one with the larger value.
    """
    return float(_stats().binom.sf(more - 1, more + less, 0.5))


def shortfall_p_value(*, found: int, of: int, expected: float) -> float:
    """Return the probability of at most so many, where each comes with the expected share, 0 to 1."""
    return float(_stats().binom.cdf(found, of, expected))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for testing many fields at once (Holm 1979).

    With it, the probability of even one false finding in a whole comparison stays below the chosen level, however
    many fields there are and however they depend on each other.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def interval(differing: int, pairs: int) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) confidence interval of a rate; 0 to 1 without any pairs."""
    if not pairs:
        return 0.0, 1.0
    found: Any = _stats().binomtest(differing, pairs).proportion_ci(confidence_level=CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def smallest_p_value(*, pairs: int, baseline_pairs: int) -> float:
    """Return the p value of a field that always differs on the mirror and never in the baseline.

    If even that is not below the level, these pairs are too few to tell anything.
    """
    always = Count(differing=pairs, pairs=pairs, baseline_differing=0, baseline_pairs=baseline_pairs)
    return exact_p_values([always])[0]
