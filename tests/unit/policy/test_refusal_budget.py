from __future__ import annotations

from mcppool.policy.refusal_budget import MAX_CLIENTS, RefusalBudget
from tests.unit.footprint import footprint


def taken(budget: RefusalBudget, client: str, now: float) -> int:
    return sum(budget.take(client, now) for _ in range(1000))


def test_a_client_has_half_of_the_pools_minimum_budget() -> None:
    budget = RefusalBudget(4)
    assert taken(budget, "mallory", 0.0) == 20
    assert taken(budget, "mallory", 3.0) == 6
    assert taken(budget, "alice", 3.0) == 20, "another client has its own"


def test_answered_repetitions_cost_nothing() -> None:
    budget = RefusalBudget(4)
    for _ in range(1000):
        assert budget.take("alice", 0.0)
        assert budget.take("alice", 0.0)
        budget.give_back("alice", 2)


def test_a_pool_without_a_budget_still_looks_at_another_endpoint_now_and_then() -> None:
    assert taken(RefusalBudget(0), "alice", 0.0) == 10


def test_clients_without_end_take_no_memory_without_end() -> None:
    budget = RefusalBudget(4)
    for n in range(MAX_CLIENTS):
        budget.take(n, 0.0)
    full = footprint(budget)
    for n in range(MAX_CLIENTS, 2 * MAX_CLIENTS):
        budget.take(n, 0.0)
    assert footprint(budget) < full * 1.5
