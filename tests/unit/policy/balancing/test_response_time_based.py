from __future__ import annotations

from math import log

import pytest

from mcppool.policy.peak_ewma import DECAY
from tests.unit.policy.balancing.servers import chi_square, count, fresh, server


def test_the_faster_one_is_taken() -> None:
    assert count(fresh("response_time_based"), (server("a", latency=0.2), server("b", latency=0.1)), 200) == [0, 200]


def test_calls_in_flight_multiply_the_cost() -> None:
    busy, slow = server("busy", latency=0.1, active=2), server("slow", latency=0.25)
    assert count(fresh("response_time_based"), (busy, slow), 200) == [0, 200]
    busy.active = 1
    assert count(fresh("response_time_based"), (busy, slow), 200) == [200, 0]


def test_the_slowest_of_many_gets_nothing() -> None:
    many = (server("slow", latency=1.0), *(server(str(n), latency=0.01) for n in range(4)))
    assert count(fresh("response_time_based"), many, 1_000)[0] == 0


def test_with_different_weights_each_gets_calls_by_weight_and_speed() -> None:
    pair = (server("a", latency=0.1, weight=300.0), server("b", latency=0.2))
    assert chi_square(count(fresh("response_time_based"), pair, 5_000), [300 / 0.1, 100 / 0.2]) < 5


def test_one_without_history_gets_a_call_while_it_is_idle_and_no_second_one_before_its_answer() -> None:
    new, old = server("new"), server("old", latency=0.001, active=50)
    strategy, pair = fresh("response_time_based"), (new, old)
    assert strategy.pick(pair, 0.0) is new
    new.active = 1
    assert count(strategy, pair, 200) == [0, 200]
    new.active = 0
    new.latency.observe(0.001, 0.0)
    assert strategy.pick(pair, 0.0) is new


def test_one_that_was_slow_is_tried_again_after_a_while() -> None:
    slow, fast = server("slow", latency=1.0), server("fast", latency=0.01)
    strategy, pair = fresh("response_time_based"), (slow, fast)
    again = None
    for second in range(120):
        fast.latency.observe(0.01, float(second))
        if strategy.pick(pair, float(second)) is slow:
            again = second
            break
    assert again == pytest.approx(46, abs=2)  # ln(100) · 10 s


def test_a_slow_endpoint_gets_less_than_a_twentieth_of_the_calls_of_sixteen_clients() -> None:
    """A simulation: one of three takes a thousand times as long as the others."""
    times = {"a": 0.001, "b": 0.001, "slow": 1.0}
    trio = tuple(server(key) for key in times)
    strategy = fresh("response_time_based")
    now, flying, counts = 0.0, list[tuple[float, int, float]](), [0, 0, 0]
    for _ in range(20_000):
        while len(flying) < 16:
            index = trio.index(strategy.pick(trio, now))
            trio[index].active += 1
            counts[index] += 1
            flying.append((now + times[trio[index].key], index, now))
        done = min(flying)
        flying.remove(done)
        now, index, started = done
        trio[index].active -= 1
        trio[index].latency.observe(now - started, now)
    assert counts[2] / sum(counts) < 1 / 20


@pytest.mark.parametrize("factor", [10, 100, 1000])
def test_one_that_was_slow_has_most_of_its_share_again_when_the_estimate_of_its_slowness_has_decayed(
    factor: int,
) -> None:
    """A simulation of eight clients: one of three is slow at first, and then as fast as the others."""
    fast, slow_until = 0.02, 1.0
    trio = tuple(server(key) for key in ("slow", "b", "c"))
    strategy = fresh("response_time_based")
    horizon = slow_until + fast * factor + DECAY * log(factor) + 5
    flying = [(fast * client / 8, client, -1, 0.0) for client in range(8)]
    shares: dict[int, list[int]] = {}
    while (soonest := min(flying))[0] < horizon:
        flying.remove(soonest)
        now, client, index, started = soonest
        if index >= 0:
            trio[index].active -= 1
            trio[index].latency.observe(now - started, now)
        index = trio.index(strategy.pick(trio, now))
        trio[index].active += 1
        shares.setdefault(int(now), []).append(index)
        takes = fast * factor if index == 0 and now < slow_until else fast
        flying.append((now + takes, client, index, now))
    last = shares[max(shares) - 1]
    assert last.count(0) / len(last) > 0.2
    if factor > 10:
        early = shares[int(slow_until + fast * factor) + 2]
        assert early.count(0) / len(early) < 0.05, "it takes that long, not less"
