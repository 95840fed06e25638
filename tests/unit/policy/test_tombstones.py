"""An ended session stays ended, within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.tombstones import Tombstones
from tests.unit.footprint import footprint

NOW = 1_000_000.0


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20)), max_size=200), st.integers(1, 20))
def test_no_id_that_was_ended_comes_back_before_it_is_over_and_few_are_kept(
    ended: list[tuple[int, int]], most: int
) -> None:
    tombstones = Tombstones(most)
    for id, minutes in ended:
        tombstones.add(str(id), NOW + 60 * minutes)
        assert tombstones.count <= most
    for time in range(0, 21 * 60, 30):
        tombstones.sweep(NOW + time)
        assert all(tombstones.holds(str(id), NOW + 60 * m) for id, m in ended if time < 60 * m)
    tombstones.sweep(NOW + 22 * 60)
    assert tombstones.count == 0
    assert footprint(tombstones) < 2048, "nothing of the minutes that are over"


def test_an_id_that_was_not_ended_is_none() -> None:
    tombstones = Tombstones()
    tombstones.add("a", NOW)
    assert tombstones.holds("a", NOW)
    assert not tombstones.holds("b", NOW)
    assert not tombstones.holds("a", NOW + 3600)


def test_a_flood_costs_the_ids_of_its_own_minutes_only() -> None:
    tombstones = Tombstones(1000)
    for minute in range(100):
        tombstones.add(f"quiet {minute}", NOW + 60 * minute)
    for number in range(100_000):
        tombstones.add(f"loud {number}", NOW + 60 * 200 + number % 120)
    assert tombstones.count <= 1000
    assert not any(tombstones.holds(f"living {minute}", NOW + 60 * minute) for minute in range(100))
    assert all(tombstones.holds(f"quiet {minute}", NOW + 60 * minute) for minute in range(100))
    assert tombstones.holds("loud 77", NOW + 60 * 200 + 77)
