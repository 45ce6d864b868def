"""From counts to standings: which fields differ more than they vary by themselves."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..recording.quantiles import Quantiles
from .differences import Change
from .result import EndpointResult, FieldResult, Standing
from .significance import Count, exact_p_values, holm, interval, shortfall_p_value, sign_p_value, smallest_p_value
from .tally import DURATION, FieldKey, Tally

COPY: Final = "copy"
"""Field that stands for the mirror having got a request at all."""

ANY_FIELD: Final = "any field"
"""Stands for all fields of an endpoint together, without those that differ in most pairs of the baseline."""


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What is known of requests beyond the pairs."""

    primary: Mapping[str, int]
    """Answers of the primary by endpoint."""
    expected: float | None
    """Share of them that should have a partner, 0 to 1; ``None`` when nobody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Test:
    """One question that is asked of the data."""

    key: FieldKey
    count: Count
    p_value: float


def judge(
    mirror: Tally, baseline: Tally, requests: Requests, *, has_baseline: bool, level: float
) -> tuple[tuple[FieldResult, ...], tuple[EndpointResult, ...]]:
    """Test every field that differs anywhere, each endpoint as a whole, the times, and the number of copies.

    Args:
        mirror: Primary against mirror.
        baseline: Primary against primary.
        requests: The requests that were made.
        has_baseline: False: fields cannot be tested.
        level: Bound on the probability of any false finding.

    Returns:
        Fields that differ on the mirror, the most telling first; endpoints, the busiest first.
    """
    # A field that differs nowhere cannot become a finding, so it costs the others nothing.
    keys = sorted({*mirror.keys(), *baseline.keys()})
    tests = [*_field_tests(keys, mirror, baseline), *_other_tests(mirror, baseline, requests)]
    adjusted = dict(zip((test.key for test in tests), holm([test.p_value for test in tests]), strict=True))
    fields = [_tested(test, adjusted[test.key], mirror, level) for test in tests if test.count.differing]
    fields += [_untested(key, mirror, baseline) for key in keys if mirror.differing(key) and key not in adjusted]
    fields = _without_needless(fields)
    order = {Standing.FINDING: 0, Standing.UNTESTED: 1, Standing.NOISE: 2}
    fields.sort(key=lambda one: (order[one.standing], one.adjusted_p_value or 0.0, -one.rate, one.endpoint, one.field))
    by_traffic = sorted(requests.primary, key=lambda name: (-mirror.of(name).pairs, -requests.primary[name], name))
    endpoints = tuple(
        _endpoint_result(name, mirror, baseline, requests, has_baseline=has_baseline, tests=len(tests), level=level)
        for name in by_traffic
    )
    return tuple(fields), endpoints


def _field_tests(keys: list[FieldKey], mirror: Tally, baseline: Tally) -> Iterator[_Test]:
    """Yield Fisher's exact test of each field that has a baseline."""
    testable = [key for key in keys if baseline.pairs_for(key) and mirror.pairs_for(key)]
    counts = [_count(key, mirror, baseline) for key in testable]
    for key, count, p_value in zip(testable, counts, exact_p_values(counts), strict=True):
        yield _Test(key=key, count=count, p_value=p_value)


def _other_tests(mirror: Tally, baseline: Tally, requests: Requests) -> Iterator[_Test]:
    for endpoint, one in sorted(mirror.endpoints.items()):
        if baseline.of(endpoint).pairs:
            habits = baseline.habits(endpoint)
            count = Count(
                differing=mirror.differing_beyond(endpoint, habits),
                pairs=one.pairs,
                baseline_differing=baseline.differing_beyond(endpoint, habits),
                baseline_pairs=baseline.of(endpoint).pairs,
            )
            if count.differing or count.baseline_differing:
                key = FieldKey(endpoint, ANY_FIELD, Change.VALUE)
                yield _Test(key=key, count=count, p_value=exact_p_values([count])[0])
        slower = FieldKey(endpoint, DURATION, Change.SLOWER)
        if mirror.differing(slower) and not baseline.pairs_for(slower):
            # Times need no baseline: two systems of the same speed are slower than each other equally often.
            p_value = sign_p_value(more=mirror.differing(slower), less=one.faster)
            yield _Test(key=slower, count=_count(slower, mirror, baseline), p_value=p_value)
    if requests.expected is not None:
        for endpoint, made in requests.primary.items():
            if missing := made - mirror.of(endpoint).pairs:
                yield _Test(
                    key=FieldKey(endpoint, COPY, Change.MISSING),
                    count=Count(differing=missing, pairs=made, baseline_differing=0, baseline_pairs=0),
                    p_value=shortfall_p_value(found=made - missing, of=made, expected=requests.expected),
                )


def _count(key: FieldKey, mirror: Tally, baseline: Tally) -> Count:
    return Count(
        differing=mirror.differing(key),
        pairs=mirror.pairs_for(key),
        baseline_differing=baseline.differing(key),
        baseline_pairs=baseline.pairs_for(key),
    )


def _tested(test: _Test, adjusted: float, mirror: Tally, level: float) -> FieldResult:
    standing = Standing.FINDING if adjusted <= level else Standing.NOISE
    return _field_result(test.key, test.count, mirror, standing, (test.p_value, adjusted))


def _untested(key: FieldKey, mirror: Tally, baseline: Tally) -> FieldResult:
    return _field_result(key, _count(key, mirror, baseline), mirror, Standing.UNTESTED, None)


def _field_result(
    key: FieldKey, count: Count, mirror: Tally, standing: Standing, tested: tuple[float, float] | None
) -> FieldResult:
    return FieldResult(
        endpoint=key.endpoint,
        field=key.field,
        change=key.change,
        standing=standing,
        pairs=count.pairs,
        differing=count.differing,
        baseline_pairs=count.baseline_pairs,
        baseline_differing=count.baseline_differing,
        interval=interval(count.differing, count.pairs),
        baseline_interval=interval(count.baseline_differing, count.baseline_pairs),
        p_value=tested[0] if tested else None,
        adjusted_p_value=tested[1] if tested else None,
        examples=mirror.examples(key),
    )


def _without_needless(fields: list[FieldResult]) -> list[FieldResult]:
    """Leave out what says nothing of its own: an endpoint's fields together where one of them is a finding."""
    found = Counter(one.endpoint for one in fields if one.standing is Standing.FINDING and one.field != ANY_FIELD)
    return [
        one
        for one in fields
        if one.field != ANY_FIELD or (one.standing is Standing.FINDING and not found[one.endpoint])
    ]


def _endpoint_result(
    endpoint: str,
    mirror: Tally,
    baseline: Tally,
    requests: Requests,
    *,
    has_baseline: bool,
    tests: int,
    level: float,
) -> EndpointResult:
    one, other = mirror.of(endpoint), baseline.of(endpoint)
    pairs, baseline_pairs = one.pairs, other.pairs
    best = smallest_p_value(pairs=pairs, baseline_pairs=baseline_pairs) if pairs and baseline_pairs else 1.0
    return EndpointResult(
        endpoint=endpoint,
        primary=requests.primary[endpoint],
        pairs=pairs,
        baseline_pairs=baseline_pairs,
        differing_pairs=one.differing_pairs,
        uncompared=dict(sorted(one.uncompared.items())),
        baseline_uncompared=other.uncompared.total(),
        primary_p50_ms=_milliseconds(one.primary_times, 0.5),
        primary_p99_ms=_milliseconds(one.primary_times, 0.99),
        mirror_p50_ms=_milliseconds(one.other_times, 0.5),
        mirror_p99_ms=_milliseconds(one.other_times, 0.99),
        can_tell=not has_baseline or best * max(1, tests) <= level,
    )


def _milliseconds(times: Quantiles, share: float) -> float | None:
    value = times.at(share)
    return None if value is None else round(value / 1000, 3)
