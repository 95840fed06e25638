from __future__ import annotations

import random
from collections import Counter

import pytest

from mcppool.policy.balancing.consistent_hash import ABSENT, BATCH, POINTS, ConsistentHash
from tests.unit.footprint import footprint
from tests.unit.policy.balancing.servers import Server, count, server, servers

KEYS = [b"client-%d" % number for number in range(2_000)]


def settled(strategy: ConsistentHash, candidates: tuple[Server, ...]) -> ConsistentHash:
    """Pick until the ring is complete."""
    for _ in range(len(candidates) * POINTS * 12 // BATCH + 3):
        strategy.pick(candidates, 0.0, b"")
    return strategy


def mapping(strategy: ConsistentHash, candidates: tuple[Server, ...]) -> dict[bytes, str]:
    settled(strategy, candidates)
    return {key: strategy.pick(candidates, 0.0, key).key for key in KEYS}


def moved(before: dict[bytes, str], after: dict[bytes, str]) -> list[bytes]:
    return [key for key in KEYS if before[key] != after[key]]


@pytest.mark.parametrize("size", [2, 10, 100, 1000])
def test_equal_endpoints_get_about_equal_shares(size: int) -> None:
    candidates = servers([100.0] * size)
    strategy = settled(ConsistentHash(), candidates)
    counts = count(strategy, candidates, 20 * size if size > 100 else 100 * size)
    fair = sum(counts) / size
    assert sum(abs(got - fair) for got in counts) / size < 0.25 * fair
    assert max(counts) < 2.2 * fair


@pytest.mark.parametrize("scale", [1.0, 30.0, 100.0])
def test_weights_are_shares_of_the_ring_whatever_their_scale(scale: float) -> None:
    candidates = servers([scale * weight for weight in (1, 2, 3, 10)])
    counts = count(settled(ConsistentHash(), candidates), candidates, 8_000)
    assert [got / 500 for got in counts] == pytest.approx([1, 2, 3, 10], rel=0.4)


def test_two_gateways_send_a_key_to_the_same_endpoint() -> None:
    candidates = servers([100.0, 50.0, 200.0, 100.0, 10.0])
    backwards = tuple(reversed(servers([100.0, 50.0, 200.0, 100.0, 10.0])))
    one, other = ConsistentHash(random.Random(1)), ConsistentHash(random.Random(2))
    assert mapping(one, candidates) == mapping(other, backwards)


def test_when_one_goes_only_its_keys_move_and_they_come_back_with_it() -> None:
    everyone = servers([100.0] * 8)
    strategy = ConsistentHash()
    before = mapping(strategy, everyone)
    without = mapping(strategy, everyone[:3] + everyone[4:])
    assert moved(before, without) == [key for key in KEYS if before[key] == everyone[3].key]
    assert len({without[key] for key in moved(before, without)}) > 3  # to many neighbours, not all to one
    assert mapping(strategy, everyone) == before


def test_when_one_comes_it_takes_keys_and_no_other_moves() -> None:
    strategy, few = ConsistentHash(), servers([100.0] * 8)
    before = mapping(strategy, few)
    after = mapping(strategy, (*few, server("new")))
    assert {after[key] for key in moved(before, after)} == {"new"}
    assert len(moved(before, after)) / len(KEYS) == pytest.approx(1 / 9, rel=0.4)


def test_slow_start_gives_it_its_keys_little_by_little() -> None:
    old, new = servers([100.0] * 4), server("new", ramp=0.1)
    strategy = ConsistentHash()
    owned = [set[bytes]()]
    for ramp in (0.1, 0.4, 0.7, 1.0):
        new.weight = ramp * new.full_weight
        now = mapping(strategy, (*old, new))
        owned.append({key for key in KEYS if now[key] == "new"})
        assert owned[-1] > owned[-2]
    assert mapping(ConsistentHash(), (*old, new)) == now


def test_a_ring_after_many_changes_equals_a_new_one() -> None:
    strategy = ConsistentHash()
    for generation in range(ABSENT // 10 + 20):
        settled(strategy, tuple(server(f"{generation}-{n}") for n in range(10)))
    last = tuple(server(f"last-{n}") for n in range(10))
    assert mapping(strategy, last) == mapping(ConsistentHash(), last)
    assert strategy.points <= (ABSENT + 20) * POINTS * 1.5
    most = settled(ConsistentHash(), tuple(server(f"{n}") for n in range(ABSENT + 20)))
    assert footprint(strategy) <= footprint(most) * 1.5


def test_one_that_was_taken_off_the_ring_while_away_is_put_back() -> None:
    first = servers([100.0] * 3)
    strategy = ConsistentHash()
    before = mapping(strategy, first)
    for generation in range(ABSENT // 10 + 5):
        settled(strategy, tuple(server(f"{generation}-{n}") for n in range(10)))
    assert mapping(strategy, first) == before


def test_calls_without_a_key_go_anywhere() -> None:
    candidates = servers([100.0] * 4)
    strategy = ConsistentHash(random.Random(1))
    got = Counter(strategy.pick(candidates, 0.0, None).key for _ in range(4_000))
    assert min(got.values()) > 800


@pytest.mark.parametrize("size", [100, 1000])
def test_no_pick_works_in_more_than_its_batch_of_points_so_that_new_endpoints_do_not_stall_the_loop(size: int) -> None:
    candidates = servers([100.0] * size)
    strategy = ConsistentHash()
    known, picks, unchanged = 0, 0, False
    while not unchanged:
        strategy.pick(candidates, 0.0, b"%d" % picks)
        assert strategy.points - known <= BATCH
        unchanged = strategy.points == known > 0
        known = strategy.points
        picks += 1
    assert known == pytest.approx(size * POINTS, rel=0.5)
    assert picks >= known / BATCH
