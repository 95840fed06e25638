"""The share of the calls that each strategy gives to each endpoint, while nothing else differs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from mcppool.policy.balancing import STRATEGIES
from tests.unit.policy.balancing.servers import chi_square, count, fresh, server, servers

SIZES = (1, 2, 3, 10, 100, 1000)
BY_WEIGHT = ("weighted_round_robin", "random", "health_based")
UNLIKELY = 5.0


def picks_for(size: int) -> int:
    return max(3_000, 50 * size)


def mixed(size: int) -> list[float]:
    rng = random.Random(size)
    return [rng.choice([10.0, 50.0, 100.0, 100.0, 200.0, 1000.0]) for _ in range(size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"consistent_hash"}))
def test_equal_endpoints_get_equal_shares(name: str, size: int) -> None:
    equal = servers([100.0] * size)
    assert chi_square(count(fresh(name), equal, picks_for(size)), [1.0] * size) < UNLIKELY


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BY_WEIGHT)
def test_shares_are_those_of_the_weights(name: str, size: int) -> None:
    weights = mixed(size)
    assert chi_square(count(fresh(name), servers(weights), picks_for(size)), weights) < UNLIKELY


@pytest.mark.parametrize("name", [*BY_WEIGHT, "least_connections", "response_time_based"])
def test_two_idle_endpoints_share_by_weight(name: str) -> None:
    weights = [300.0, 100.0]
    assert chi_square(count(fresh(name), servers(weights), 4_000), weights) < UNLIKELY


def test_weights_do_not_count_in_round_robin() -> None:
    assert count(fresh("round_robin"), servers([1.0, 1000.0, 10.0]), 300) == [100, 100, 100]


@pytest.mark.parametrize("name", [*BY_WEIGHT, "least_connections"])
def test_a_weight_in_slow_start_counts_with_its_present_value(name: str) -> None:
    old, new = server("old"), server("new", ramp=0.1)
    assert chi_square(count(fresh(name), (old, new), 4_000), [100.0, 10.0]) < UNLIKELY


@pytest.mark.parametrize("name", [*BY_WEIGHT, "least_connections", "response_time_based", "consistent_hash"])
def test_an_endpoint_of_weight_0_gets_no_calls_if_another_has_a_weight(name: str) -> None:
    assert count(fresh(name), servers([0.0, 100.0]), 500) == [0, 500]


@pytest.mark.parametrize("weights", [[0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_if_all_weights_are_zero_all_take_calls(name: str, weights: Sequence[float]) -> None:
    assert all(count(fresh(name), servers(weights), 400))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_single_endpoint_takes_all(name: str) -> None:
    assert count(fresh(name), servers([100.0]), 50) == [50]


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"consistent_hash"}))
def test_the_seed_makes_picks_repeatable(name: str) -> None:
    def first(seed: int) -> list[str]:
        strategy, candidates = fresh(name, seed), servers([100.0] * 50)
        return [strategy.pick(candidates, 0.0).key for _ in range(20)]

    assert first(1) == first(1)
    assert first(1) != first(2)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_pick_is_always_one_of_the_candidates_however_they_change(name: str) -> None:
    everyone, rng, strategy = servers(mixed(12)), random.Random(3), fresh(name)
    for step in range(300):
        few = tuple(rng.sample(everyone, rng.randint(1, len(everyone))))
        for number in range(rng.randint(1, 4)):
            assert strategy.pick(few, step / 10, b"%d" % number if rng.random() < 0.8 else None) in few


@pytest.mark.parametrize("name", [*BY_WEIGHT, "round_robin"])
def test_picks_from_other_candidates_in_between_do_not_change_the_shares(name: str) -> None:
    """As retries do: each brings a tuple of its own."""
    weights = [100.0] * 5 if name == "round_robin" else [300.0, 100.0, 100.0, 50.0, 10.0]
    usual, strategy = servers(weights), fresh(name)
    counts = [0] * 5
    for number in range(4_000):
        counts[usual.index(strategy.pick(usual, 0.0))] += 1
        if number % 3 == 0:
            strategy.pick(tuple(e for e in usual if e is not usual[number % 5]), 0.0)
    assert chi_square(counts, weights) < UNLIKELY
