"""Quantiles of counts in buckets."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.observe.history.quantiles import quantile

BOUNDS = (0.001, 0.01, 0.1, 1.0)


def test_without_values_there_is_none() -> None:
    assert quantile(BOUNDS, (0, 0, 0, 0, 0), 0.5) is None


def test_the_values_of_a_bucket_are_spread_over_it() -> None:
    assert quantile(BOUNDS, (0, 0, 10, 0, 0), 0.5) == pytest.approx(0.055)
    assert quantile(BOUNDS, (0, 0, 10, 0, 0), 1.0) == pytest.approx(0.1)


def test_values_past_all_bounds_count_as_the_last_bound() -> None:
    assert quantile(BOUNDS, (1, 0, 0, 0, 99), 0.99) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0.01, 1))
def test_the_estimate_is_in_the_bucket_of_the_true_quantile(values: list[float], share: float) -> None:
    counts = [0] * (len(BOUNDS) + 1)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    found = quantile(BOUNDS, counts, share)
    assert found is not None
    # The smallest value with at least this share at or below it.
    true = next(v for v in sorted(values) if sum(w <= v for w in values) >= share * len(values) - 1e-9)
    at = bisect_left(BOUNDS, true)
    assert (BOUNDS[at - 1] if at else 0.0) <= found <= BOUNDS[at] + 1e-12


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=5))
def test_a_higher_share_has_no_lower_quantile(counts: list[int]) -> None:
    found = [quantile(BOUNDS, counts, share) or 0.0 for share in (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)]
    assert found == sorted(found)
