"""One budget for the memory of a process."""

from __future__ import annotations

from mcppool.policy.memory_budget import MIN_ROOM, SMALL, Holding, MemoryBudget

MIB = 1 << 20


def test_all_reservations_together_stay_below_the_limit() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    assert budget.account("bodies").reserve(30 * MIB)
    assert not budget.account("sessions").reserve(11 * MIB), "there are 10 MiB left"
    assert budget.account("sessions").refused == budget.refused == 1
    assert budget.account("sessions").reserve(10 * MIB)
    assert budget.full
    budget.account("bodies").release(30 * MIB)
    assert not budget.full
    assert {account.name: account.used for account in budget.accounts() if account.used} == {"sessions": 10 * MIB}


def test_held_bytes_are_charged_over_the_limit_and_keep_new_reservations_out() -> None:
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


def test_a_limit_below_an_idle_process_still_allows_some_work() -> None:
    budget = MemoryBudget(10 * MIB, base=60 * MIB)
    budget.watch(60 * MIB)
    assert not budget.full
    assert budget.account("bodies").reserve(MIN_ROOM)
    assert not budget.account("bodies").reserve(1)


def test_a_changed_limit_applies_to_existing_charges() -> None:
    budget = MemoryBudget(100 * MIB, base=60 * MIB)
    assert budget.account("cache").reserve(30 * MIB)
    budget.set_limit(90 * MIB, 60 * MIB)
    assert budget.full


def test_caches_give_way_in_order_and_only_as_much_as_needed() -> None:
    budget = MemoryBudget(100 * MIB)
    cache, sessions = budget.account("cache"), budget.account("sessions")
    cache.charge(30 * MIB)
    sessions.charge(30 * MIB)

    def sessions_give_way(wanted: int) -> int:
        given = min(wanted, sessions.used)
        sessions.release(given)
        return given

    def cache_gives_way(wanted: int) -> int:
        given = min(wanted, cache.used)
        cache.release(given)
        return given

    budget.add_reclaimer(sessions_give_way, last=True)
    budget.add_reclaimer(cache_gives_way)
    assert budget.account("bodies").reserve(50 * MIB)
    assert (cache.used, sessions.used) == (20 * MIB, 30 * MIB)
    assert not budget.account("bodies").reserve(101 * MIB), "it is more than all that there is"
    assert (cache.used, sessions.used) == (20 * MIB, 30 * MIB), "and nothing was given up in vain"
    assert budget.account("bodies").reserve(40 * MIB)
    assert (cache.used, sessions.used) == (0, 10 * MIB)
    budget.watch(110 * MIB)
    budget.reclaim()
    assert sessions.used == 0
    budget.remove_reclaimer(sessions_give_way)
    sessions.charge(50 * MIB)
    budget.reclaim()
    assert sessions.used == 50 * MIB


def test_a_process_that_stays_too_large_though_nothing_is_charged_does_some_work() -> None:
    budget = MemoryBudget(100 * MIB)
    bodies = budget.account("bodies")
    budget.watch(150 * MIB)
    bodies.charge(20 * MIB)
    assert not budget.may_be_stuck()
    bodies.release(20 * MIB)
    assert budget.may_be_stuck()
    budget.unstick()
    assert not budget.full
    assert bodies.reserve(MIN_ROOM)
    assert budget.full
    assert not bodies.reserve(1)
    budget.watch(90 * MIB)
    assert bodies.reserve(MIB), "it has shrunk"
    budget.watch(150 * MIB)
    assert budget.full, "and has grown again, which is for new reasons"


def test_a_holding_that_grows_and_shrinks_is_charged_with_its_size() -> None:
    account = MemoryBudget(16 * MIB).account("streams")
    holding = Holding(account)
    assert holding.grow(SMALL)
    assert account.used == 0, "what is small is not charged"
    assert holding.grow(MIB)
    assert account.used >= MIB
    assert not holding.grow(17 * MIB)
    assert MIB <= account.used < 2 * MIB, "where there is no room nothing more is charged"
    assert holding.fit(0)
    assert account.used == 0
    assert holding.fit(3 * MIB)
    holding.release()
    holding.release()
    assert account.used == 0
