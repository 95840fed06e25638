"""The token bucket: the calls that it admits, and the wait that it gives to others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.token_bucket import RateBucket, RateLimit, TokenBucket, take_from_all


def test_a_full_bucket_lets_its_burst_through_and_then_gives_the_time_of_the_next_token() -> None:
    bucket = TokenBucket(3.0, 100.0)
    assert [bucket.take(2.0, 3.0, 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(2.0, 3.0, 100.0) == pytest.approx(0.5)
    assert bucket.take(2.0, 3.0, 100.5) == 0.0
    assert bucket.take(2.0, 3.0, 100.5) == pytest.approx(0.5)


def test_returned_tokens_can_be_taken_again() -> None:
    bucket = TokenBucket(1.0, 0.0)
    assert bucket.take(1.0, 1.0, 0.0) == 0.0
    bucket.give_back()
    assert bucket.take(1.0, 1.0, 0.0) == 0.0
    assert bucket.take(1.0, 1.0, 0.0) > 0.0


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_in_no_time_does_it_let_through_more_than_its_burst_and_its_rate(
    rate: int, burst: int, pauses: list[float]
) -> None:
    bucket, now = TokenBucket(float(burst), 0.0), 0.0
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        wait = bucket.take(float(rate), float(burst), now)
        if wait == 0.0:
            admitted.append(now)
        else:
            assert wait <= 1 / rate + 1e-9
    for first, since in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - since) + 1e-6


def test_a_call_takes_from_all_buckets_or_from_none() -> None:
    wide = RateBucket(RateLimit("pool", "", 1.0, 2.0), 0.0)
    narrow = RateBucket(RateLimit("tool", "echo", 0.5, 1.0), 0.0)
    assert take_from_all((wide, narrow), 0.0) is None
    limit, wait = take_from_all((wide, narrow), 0.0) or pytest.fail("there is no token in the second bucket")
    assert (limit.kind, wait) == ("tool", pytest.approx(2.0))
    assert take_from_all((wide,), 0.0) is None  # the token of the refused call was given back
    assert take_from_all((wide,), 0.0) is not None


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_of_several_buckets_each_gives_what_it_would_give_alone(rate: int, burst: int, pauses: list[float]) -> None:
    alone, now = TokenBucket(float(burst), 0.0), 0.0
    limit = RateLimit("tool", "echo", float(rate), float(burst))
    plenty = RateLimit("pool", "", 1e6, 1e6)
    buckets = RateBucket(plenty, 0.0), RateBucket(limit, 0.0), RateBucket(plenty, 0.0)
    for pause in pauses:
        now += pause
        wait = alone.take(float(rate), float(burst), now)
        assert take_from_all(buckets, now) == (None if wait == 0.0 else (limit, wait))
