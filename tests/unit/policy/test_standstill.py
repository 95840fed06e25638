"""After a standstill, waiting data in sockets is read before anything expires."""

from __future__ import annotations

from mcppool.policy.standstill import LATE, Standstill


def test_looks_that_come_in_time_or_a_little_late_are_made() -> None:
    standstill = Standstill(0.1, 100.0)
    assert not standstill.spares(100.1)
    assert not standstill.spares(100.2 + LATE / 2)


def test_the_first_look_after_a_standstill_is_left_out_and_the_next_is_made() -> None:
    standstill = Standstill(0.1, 100.0)
    assert standstill.spares(160.0)
    assert not standstill.spares(160.1)
    assert standstill.spares(200.0), "and again after another"


def test_a_process_that_is_always_late_still_makes_every_other_look() -> None:
    standstill = Standstill(0.1, 0.0)
    assert [standstill.spares(float(now)) for now in range(1, 7)] == [True, False] * 3
