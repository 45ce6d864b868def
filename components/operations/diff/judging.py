"""From counts to standings: which fields differ more than they vary by themselves."""

from ..recording.quantiles import Quantiles
from .result import EndpointResult, FieldResult, Standing
from .significance import Count, exact_p_values, holm, interval, smallest_p_value
from .tally import FieldKey, Tally


def judge(
    mirror: Tally, baseline: Tally, *, has_baseline: bool, level: float
) -> tuple[tuple[FieldResult, ...], tuple[EndpointResult, ...]]:
    """Test every field that differs anywhere.

    Args:
        mirror: Primary against mirror.
        baseline: Primary against primary.
        has_baseline: False: nothing can be tested.
        level: Bound on the probability of any false finding.

    Returns:
        Fields that differ on the mirror, the most telling first; endpoints, the busiest first.
    """
    # A field that differs nowhere cannot become a finding, so it costs the others nothing.
    keys = sorted({*mirror.differing, *baseline.differing})
    testable = [key for key in keys if baseline.pairs_for(key) and mirror.pairs_for(key)]
    counts = [_count(key, mirror, baseline) for key in testable]
    p_values = exact_p_values(counts)
    tested = dict(zip(testable, zip(p_values, holm(p_values), strict=True), strict=True))
    fields = [
        _field_result(key, mirror, baseline, tested.get(key), level=level) for key in keys if mirror.differing[key]
    ]
    order = {Standing.FINDING: 0, Standing.UNTESTED: 1, Standing.NOISE: 2}
    fields.sort(key=lambda one: (order[one.standing], one.adjusted_p_value or 0.0, -one.rate, one.endpoint, one.field))
    endpoints = tuple(
        _endpoint_result(endpoint, mirror, baseline, has_baseline=has_baseline, tests=len(testable), level=level)
        for endpoint, _ in mirror.pairs.most_common()
    )
    return tuple(fields), endpoints


def _count(key: FieldKey, mirror: Tally, baseline: Tally) -> Count:
    return Count(
        differing=mirror.differing[key],
        pairs=mirror.pairs_for(key),
        baseline_differing=baseline.differing[key],
        baseline_pairs=baseline.pairs_for(key),
    )


def _field_result(
    key: FieldKey, mirror: Tally, baseline: Tally, tested: tuple[float, float] | None, *, level: float
) -> FieldResult:
    count = _count(key, mirror, baseline)
    return FieldResult(
        endpoint=key.endpoint,
        field=key.field,
        change=key.change,
        standing=_standing(tested, level),
        pairs=count.pairs,
        differing=count.differing,
        baseline_pairs=count.baseline_pairs,
        baseline_differing=count.baseline_differing,
        interval=interval(count.differing, count.pairs),
        baseline_interval=interval(count.baseline_differing, count.baseline_pairs),
        p_value=tested[0] if tested else None,
        adjusted_p_value=tested[1] if tested else None,
        examples=tuple(mirror.examples.get(key, ())),
    )


def _standing(tested: tuple[float, float] | None, level: float) -> Standing:
    if tested is None:
        return Standing.UNTESTED
    return Standing.FINDING if tested[1] <= level else Standing.NOISE


def _endpoint_result(
    endpoint: str, mirror: Tally, baseline: Tally, *, has_baseline: bool, tests: int, level: float
) -> EndpointResult:
    pairs, baseline_pairs = mirror.pairs[endpoint], baseline.pairs[endpoint]
    best = smallest_p_value(pairs=pairs, baseline_pairs=baseline_pairs) if baseline_pairs else 1.0
    return EndpointResult(
        endpoint=endpoint,
        pairs=pairs,
        baseline_pairs=baseline_pairs,
        differing_pairs=mirror.differing_pairs[endpoint],
        primary_p50_ms=_milliseconds(mirror.primary_times.get(endpoint), 0.5),
        primary_p99_ms=_milliseconds(mirror.primary_times.get(endpoint), 0.99),
        mirror_p50_ms=_milliseconds(mirror.other_times.get(endpoint), 0.5),
        mirror_p99_ms=_milliseconds(mirror.other_times.get(endpoint), 0.99),
        can_tell=not has_baseline or best * max(1, tests) <= level,
    )


def _milliseconds(times: Quantiles | None, share: float) -> float | None:
    value = times.at(share) if times else None
    return None if value is None else round(value / 1000, 3)
