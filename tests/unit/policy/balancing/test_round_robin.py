from __future__ import annotations

import random

from mcppool.policy.balancing.round_robin import RoundRobin
from tests.unit.policy.balancing.servers import servers


def test_each_in_turn() -> None:
    candidates = servers([100.0] * 4)
    strategy = RoundRobin(random.Random(1))
    first = [strategy.pick(candidates, 0.0) for _ in range(4)]
    at = candidates.index(first[0])
    assert first == [candidates[(at + step) % 4] for step in range(4)]
    assert [strategy.pick(candidates, 0.0) for _ in range(4)] == first


def test_retries_do_not_bring_the_next_call_back_to_the_endpoint_that_fails() -> None:
    good, bad = servers([100.0] * 2)
    usual, strategy = (good, bad), RoundRobin(random.Random(1))
    tried_first = 0
    for _ in range(100):
        if strategy.pick(usual, 0.0) is bad:
            tried_first += 1
            strategy.pick((good,), 0.0)
    assert tried_first == 50
