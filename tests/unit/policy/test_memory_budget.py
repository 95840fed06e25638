"""One budget for the memory of a process."""

from __future__ import annotations

from mcppool.policy.memory_budget import LEAST_ROOM, MemoryBudget

MIB = 1 << 20


def test_what_is_reserved_by_all_together_stays_below_the_limit() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    assert budget.account("bodies").reserve(30 * MIB)
    assert not budget.account("sessions").reserve(11 * MIB), "there are 10 MiB left"
    assert budget.account("sessions").refused == budget.refused == 1
    assert budget.account("sessions").reserve(10 * MIB)
    assert budget.full
    budget.account("bodies").release(30 * MIB)
    assert not budget.full
    assert {account.name: account.used for account in budget.accounts() if account.used} == {"sessions": 10 * MIB}


def test_what_is_there_already_is_charged_over_the_limit_and_keeps_new_things_out() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    budget.account("answers").charge(50 * MIB)
    assert budget.full
    assert not budget.account("bodies").reserve(1)
    assert budget.used == 110 * MIB


def test_a_process_that_is_larger_than_it_knows_takes_nothing_new_until_it_has_shrunk() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    budget.watch(101 * MIB)
    assert budget.full
    assert not budget.account("bodies").reserve(1)
    budget.watch(99 * MIB)
    assert not budget.full
    assert budget.account("bodies").reserve(1)


def test_without_a_limit_there_is_always_room() -> None:
    budget = MemoryBudget()
    budget.watch(1 << 50)
    assert budget.account("cache").reserve(1 << 50)
    assert not budget.full


def test_a_limit_below_what_an_idle_process_needs_still_lets_some_work_be_done() -> None:
    budget = MemoryBudget(10 * MIB, base=60 * MIB)
    budget.watch(60 * MIB)
    assert not budget.full
    assert budget.account("bodies").reserve(LEAST_ROOM)
    assert not budget.account("bodies").reserve(1)


def test_a_changed_limit_holds_for_what_is_charged_already() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    assert budget.account("cache").reserve(30 * MIB)
    budget.set_limit(90 * MIB, 60 * MIB)
    assert budget.full
