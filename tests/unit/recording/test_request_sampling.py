"""Proxy and collector choose the same requests, and about as many as asked for."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.request_sampling import WHOLE, is_sampled, sample_regex, sample_threshold


@given(st.integers(1, WHOLE), st.integers(0, WHOLE - 1), st.booleans())
def test_the_expression_matches_exactly_what_is_sampled(threshold: int, ending: int, upper: bool) -> None:
    digits = f"{ending:04x}"
    identifier = f"6f0c3a1e-0000-4000-8000-00000000{digits.upper() if upper else digits}"
    assert bool(re.fullmatch(sample_regex(threshold), identifier)) is is_sampled(identifier, threshold)


@given(st.integers(1, WHOLE - 1), st.uuids())
def test_a_larger_share_contains_the_smaller(threshold: int, identifier: uuid.UUID) -> None:
    assert not is_sampled(str(identifier), threshold) or is_sampled(str(identifier), threshold + 1)


@pytest.mark.parametrize("make", [lambda n: f"{n:032x}", lambda n: f"order/{n}"])
def test_about_the_asked_share_is_taken_also_of_foreign_identifiers(make: object) -> None:
    assert callable(make)
    taken = sum(is_sampled(str(make(n)), sample_threshold(25)) for n in range(WHOLE))
    assert taken == pytest.approx(WHOLE / 4, rel=0.05)


@pytest.mark.parametrize(("percent", "threshold"), [(100, WHOLE), (50, WHOLE // 2), (0.000001, 1)])
def test_thresholds(percent: float, threshold: int) -> None:
    assert sample_threshold(percent) == threshold


@pytest.mark.parametrize("percent", [0, -1, 101, float("nan"), True, "50"])
def test_a_share_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(ValidationError, match="sample_percent"):
        sample_threshold(percent)
