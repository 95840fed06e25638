from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from mcppool.policy.balancing.least_connections import LeastConnections

PICKS = 20_000


@dataclass(frozen=True)
class Server:
    key: str
    active: int = 0
    weight: float = 100.0


def shares(*servers: Server) -> dict[str, float]:
    """What part of the picks each gets while nothing changes."""
    strategy = LeastConnections(random.Random(7))
    picked = Counter(strategy.pick(servers, 0.0).key for _ in range(PICKS))
    return {server.key: picked[server.key] / PICKS for server in servers}


def test_of_two_with_equal_weights_the_less_loaded_is_always_taken() -> None:
    assert shares(Server("a", active=3), Server("b", active=2)) == {"a": 0.0, "b": 1.0}


def test_the_most_loaded_of_many_is_never_taken() -> None:
    assert shares(Server("a", active=9), Server("b"), Server("c"))["a"] == 0.0


def test_a_single_candidate_is_taken() -> None:
    assert shares(Server("a", active=5)) == {"a": 1.0}


def test_with_no_load_two_candidates_share_by_weight() -> None:
    assert shares(Server("a", weight=300.0), Server("b"))["a"] == pytest.approx(0.75, abs=0.02)


def test_a_slowly_starting_server_gets_its_small_share_even_from_idle_ones() -> None:
    assert shares(Server("a"), Server("b"), Server("c"), Server("new", weight=10.0))["new"] == pytest.approx(
        2 / 4 * 10 / 110, abs=0.01
    )


def test_weights_divide_the_cost() -> None:
    twice_as_heavy_and_twice_as_loaded = shares(Server("a", active=3, weight=200.0), Server("b", active=1))
    assert twice_as_heavy_and_twice_as_loaded["a"] == pytest.approx(0.5, abs=0.02)
