"""The supervisor's token buckets, and the tokens that workers have in stock: drift has a bound."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.policy.token_bucket import RateLimit
from mcppool.workers.leases import LeasedTokens
from mcppool.workers.shared_buckets import LENT_SECONDS, MAX_LENT, SharedBuckets

TAKEN = (-1, 0.0, [0])
BOTH_TAKEN = (-1, 0.0, [0, 0])


def test_a_call_takes_a_token_of_each_rate_or_of_none() -> None:
    rates = SharedBuckets(2)
    pool, tool = ("pool", "", 0.001, 3.0), ("tool", "x", 0.001, 2.0)
    assert rates.take("demo", [pool, tool], 1.0) == rates.take("demo", [pool, tool], 1.0) == BOTH_TAKEN
    number, wait, _ = rates.take("demo", [pool, tool], 1.0)
    assert number == 1
    assert wait > 100
    assert rates.take("demo", [pool], 1.0) == TAKEN  # the refused call took none
    assert rates.take("demo", [pool], 1.0)[0] == 0
    assert rates.take("other", [pool], 1.0) == TAKEN


class Asked:
    """Stands for the channel to the supervisor, at a time that the test sets, and counts the questions."""

    def __init__(self, buckets: SharedBuckets) -> None:
        self.now = 0.0
        self.questions = 0
        self._buckets = buckets

    async def ask(self, _question: str, pool: str, limits: list[RateLimit]) -> Any:
        self.questions += 1
        return self._buckets.take(pool, limits, self.now)


def gateway(workers: int) -> tuple[Asked, list[LeasedTokens]]:
    asked = Asked(SharedBuckets(workers))
    return asked, [LeasedTokens(asked, "demo") for _ in range(workers)]  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 0.02)), max_size=150),
    st.sampled_from([10.0, 150.0, 1_000.0, 20_000.0]),
    st.sampled_from([1.0, 30.0, 500.0]),
)
@settings(max_examples=60, deadline=None)
async def test_no_window_has_more_calls_than_the_rate_and_a_hundredth_of_a_second_for_each_worker(
    steps: list[tuple[int, float]], rate: float, burst: float
) -> None:
    asked, workers = gateway(3)
    limit = RateLimit("pool", "", rate, burst)
    admitted: list[float] = []
    for number, seconds in steps:
        asked.now += seconds
        for _ in range(5):
            found = await workers[number].take([limit])
            assert found is not None
            if found[0] is None:
                admitted.append(asked.now)
    drift = 3 * min(MAX_LENT, rate * LENT_SECONDS)
    for first, began in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - began) + drift + 1e-6


@given(st.lists(st.integers(0, 2), max_size=100), st.sampled_from([30.0, 150.0, 5_000.0]))
@settings(max_examples=30, deadline=None)
async def test_a_refused_call_is_refused_at_most_the_stock_of_the_other_workers_early(
    steps: list[int], rate: float
) -> None:
    _, workers = gateway(3)
    burst = 40.0
    admitted = 0
    for number in steps:  # all at one moment: the bucket gets no token
        found = await workers[number].take([RateLimit("pool", "", rate, burst)])
        assert found is not None
        if found[0] is None:
            admitted += 1
        else:
            assert admitted >= burst - 2 * min(MAX_LENT, rate * LENT_SECONDS)
    assert admitted <= burst


async def test_a_slow_rate_holds_exactly_and_a_fast_one_needs_few_questions() -> None:
    for rate, most in ((99.0, 500), (1_000_000.0, 500 / MAX_LENT + 1)):
        asked, (worker, _) = gateway(2)
        for _ in range(500):
            assert await worker.take([RateLimit("pool", "", rate, 100_000.0)]) == (None, 0.0)
        assert asked.questions <= most
        assert (asked.questions == 500) is (rate < 1 / LENT_SECONDS)


async def test_a_call_that_one_rate_refuses_takes_no_token_of_the_others() -> None:
    _, (worker, _) = gateway(2)
    fast, slow = RateLimit("pool", "", 10_000.0, 1_000.0), RateLimit("tool", "x", 0.001, 1.0)
    assert await worker.take([fast, slow]) == (None, 0.0)
    before = dict(worker.stock)
    refused = await worker.take([fast, slow])
    assert refused is not None
    assert refused[0] == slow
    assert worker.stock == before


async def test_tokens_in_stock_are_taken_at_once_all_or_none() -> None:
    asked, (worker, _) = gateway(2)
    fast, slow = RateLimit("pool", "", 10_000.0, 1_000.0), RateLimit("tool", "x", 1.0, 100.0)
    assert not worker.try_take([fast])
    assert await worker.take([fast, slow]) == (None, 0.0)
    stock, questions = dict(worker.stock), asked.questions
    (lent,) = stock.values()
    assert not worker.try_take([fast, slow])
    assert worker.stock == stock
    assert all(worker.try_take([fast]) for _ in range(lent))
    assert not worker.try_take([fast])
    assert asked.questions == questions
