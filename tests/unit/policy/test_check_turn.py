"""Turns of health checks among the processes of a gateway."""

from __future__ import annotations

import random

import pytest

from mcppool.policy.check_turn import PUT_OFF_MOST, CheckTurn


def checks_of(processes: int, intervals: int, rng: random.Random) -> list[int]:
    """How many checks each process makes in so many intervals of one second, with a jitter of a tenth."""

    def wait() -> float:
        return 0.9 + 0.2 * rng.random()

    turns, made = [CheckTurn() for _ in range(processes)], [0] * processes
    for turn in turns:
        turn.begin(0.0, wait())
    now = 0.0
    while now < intervals:
        first = min(range(processes), key=lambda number: turns[number].left(now))
        now += max(0.0, turns[first].left(now))
        made[first] += 1
        turns[first].begin(now, wait())
        for number, turn in enumerate(turns):
            if number != first:
                turn.put_off(now, wait())
    return made


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_several_processes_make_hardly_more_checks_than_one_and_each_makes_some(processes: int) -> None:
    made = checks_of(processes, 1000, random.Random(1))
    assert sum(made) <= 1.6 * sum(checks_of(1, 1000, random.Random(1)))
    assert min(made) >= 1000 // (2 * PUT_OFF_MOST + 2)


def test_a_check_is_put_off_a_bounded_number_of_times() -> None:
    turn = CheckTurn()
    turn.begin(0.0, 30.0)
    for number in range(PUT_OFF_MOST + 5):
        turn.put_off(float(number), 30.0)
    assert turn.left(0.0) == PUT_OFF_MOST - 1 + 30.0
    turn.begin(100.0, 30.0)
    turn.put_off(110.0, 30.0)
    assert turn.left(110.0) == 30.0
