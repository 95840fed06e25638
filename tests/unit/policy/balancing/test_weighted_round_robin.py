from __future__ import annotations

import random
from itertools import pairwise

import pytest

from mcppool.policy.balancing.weighted_round_robin import WeightedRoundRobin
from tests.unit.policy.balancing.servers import chi_square, count, server, servers


@pytest.mark.parametrize("seed", range(5))
def test_turns_are_spread_not_bunched(seed: int) -> None:
    """With weights 5, 1, 1 nginx gives a a b a c a a: the heavy one never waits longer than two turns of others."""
    candidates = servers([500.0, 100.0, 100.0])
    strategy = WeightedRoundRobin(random.Random(seed))
    picked = [strategy.pick(candidates, 0.0) for _ in range(700)]
    heavy = [number for number, one in enumerate(picked) if one is candidates[0]]
    assert max(b - a for a, b in pairwise(heavy)) <= 3
    for begin in range(0, 700 - 70, 7):
        window = picked[begin : begin + 70]
        assert [abs(window.count(c) - share) <= 2 for c, share in zip(candidates, (50, 10, 10), strict=True)] == [
            True
        ] * 3


def test_equal_weights_make_a_plain_rotation() -> None:
    candidates = servers([100.0] * 7)
    strategy = WeightedRoundRobin(random.Random(1))
    first = [strategy.pick(candidates, 0.0).key for _ in range(7)]
    assert len(set(first)) == 7
    assert [strategy.pick(candidates, 0.0).key for _ in range(7)] == first


@pytest.mark.parametrize("picks", [1, 2, 5])
def test_the_shares_hold_when_the_candidates_are_replaced_after_a_few_picks(picks: int) -> None:
    """During slow start there is a new tuple ten times a second; a light endpoint must not lose its turn to that."""
    weights = [1000.0, 100.0, 10.0]
    strategy = WeightedRoundRobin(random.Random(2))
    counts = [0, 0, 0]
    for _ in range(12_000 // picks):
        for index, got in enumerate(count(strategy, servers(weights), picks)):
            counts[index] += got
    assert chi_square(counts, weights) < 5


def test_weights_are_read_again_only_with_a_new_tuple() -> None:
    a, b = server("a"), server("b")
    strategy = WeightedRoundRobin(random.Random(1))
    both = (a, b)
    count(strategy, both, 10)
    a.weight = 900.0
    assert count(strategy, both, 100) == [50, 50]
    assert count(strategy, (a, b), 100)[0] in (89, 90, 91)
