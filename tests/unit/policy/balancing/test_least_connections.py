from __future__ import annotations

import random
from collections import Counter

import pytest

from mcppool.policy.balancing.least_connections import LeastConnections
from tests.unit.policy.balancing.servers import Server, server

PICKS = 20_000


def shares(*servers: Server) -> dict[str, float]:
    """The share of the picks of each endpoint while nothing changes."""
    strategy = LeastConnections(random.Random(7))
    picked = Counter(strategy.pick(servers, 0.0).key for _ in range(PICKS))
    return {server.key: picked[server.key] / PICKS for server in servers}


def test_of_two_with_equal_weights_the_less_loaded_is_always_taken() -> None:
    assert shares(server("a", active=3), server("b", active=2)) == {"a": 0.0, "b": 1.0}


def test_the_most_loaded_of_many_is_never_taken() -> None:
    assert shares(server("a", active=9), server("b"), server("c"))["a"] == 0.0


def test_a_single_candidate_is_taken() -> None:
    assert shares(server("a", active=5)) == {"a": 1.0}


def test_with_no_load_two_candidates_share_by_weight() -> None:
    assert shares(server("a", weight=300.0), server("b"))["a"] == pytest.approx(0.75, abs=0.02)


def test_a_slowly_starting_server_gets_its_small_share_even_from_idle_ones() -> None:
    assert shares(server("a"), server("b"), server("c"), server("new", weight=10.0))["new"] == pytest.approx(
        2 / 4 * 10 / 110, abs=0.01
    )


def test_weights_divide_the_cost() -> None:
    twice_as_heavy_and_twice_as_loaded = shares(server("a", active=3, weight=200.0), server("b", active=1))
    assert twice_as_heavy_and_twice_as_loaded["a"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("size", [2, 3, 100])
def test_the_busiest_endpoint_stays_near_the_average_where_chance_alone_would_pile_up(size: int) -> None:
    """Balls into bins: with two choices the fullest has at most a few more than the average (Mitzenmacher 2001)."""
    servers = tuple(server(str(number)) for number in range(size))
    strategy = LeastConnections(random.Random(3))
    for _ in range(100 * size):
        strategy.pick(servers, 0.0).active += 1
    assert max(each.active for each in servers) <= 105
    assert min(each.active for each in servers) >= 90
