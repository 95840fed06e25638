"""The memory of sessions: counted, bounded, and made by those who use most of it."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from mcppool.policy.memory_budget import MemoryBudget
from tests.unit.pipeline.sealed_sessions import NOW, begin, sessions_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "params",
    [
        {"capabilities": {"experimental": {"x": "y" * 4_000_000}}},
        {"capabilities": {"experimental": {str(n): {} for n in range(10_000)}}},
        {"capabilities": {"experimental": {"x": "".join(map(chr, range(0x4E00, 0x9000)))}}},
        {"clientInfo": {"name": "n" * 1_000_000, "version": "v" * 1_000_000}},
        {"clientInfo": {"name": "n", "version": "1", "icons": ["i" * 1_000_000]}},
        {"clientInfo": "c" * 1_000_000},
    ],
)
async def test_client_parameters_are_kept_up_to_some_kib(params: dict[str, Any]) -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget)
    session = sessions.open(begin(sessions, **params))
    assert session is not None
    assert budget.charged == session.size < 8_000
    assert len(session.claims.client) <= 600
    again = sessions_of().open(session.token)
    assert again is not None
    assert again.claims == session.claims, "and as much is in the id"


async def test_an_ordinary_session_takes_less_than_1500_bytes_and_is_counted_with_its_size() -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget, max_sessions=100_000)
    begin(sessions)
    gc.collect()
    tracemalloc.start()
    for number in range(2000):
        begin(sessions, f"{number:032}", client=f"10.0.{number % 7}.1")
    gc.collect()
    took = tracemalloc.get_traced_memory()[0] / 2000
    tracemalloc.stop()
    assert took < 1500
    counted = budget.charged / 2001
    assert 0.9 * took < counted < 1.3 * took


async def test_bytes_of_all_sessions_are_bounded() -> None:
    budget = MemoryBudget()
    sessions = sessions_of(budget=budget, max_sessions=100_000, max_bytes=1 << 20)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(2000)]
    assert 300 < sessions.remembered < 1000
    assert budget.charged <= 1 << 20
    assert sessions.open(tokens[0]) is not None, "its id says all"
    sessions.close()
    assert budget.charged == 0


async def test_a_budget_that_is_full_loses_no_session() -> None:
    budget = MemoryBudget(1, base=0)
    budget.account("bodies").charge(1 << 40)
    sessions = sessions_of(budget=budget)
    tokens = [begin(sessions, f"upstream-{number}") for number in range(3)]
    assert sessions.remembered == 0
    assert [session.upstream_id for token in tokens if (session := sessions.open(token))] == [
        "upstream-0", "upstream-1", "upstream-2",
    ]  # fmt: skip


async def test_a_client_with_many_sessions_makes_room_by_its_own() -> None:
    sessions = sessions_of(max_sessions=80)
    moved = []
    for number in range(30):
        session = sessions.open(begin(sessions, f"quiet-{number}", client=f"10.0.0.{number}"))
        assert session is not None
        session.settle("http://b/mcp", "elsewhere", NOW)
        moved.append(session)
    for number in range(1000):
        begin(sessions, f"loud-{number}", client="10.9.9.9")
    assert sessions.remembered == 80
    assert [sessions.open(session.token) for session in moved] == moved, "where they have moved to is still known"


async def test_a_client_makes_room_by_its_own_though_others_have_its_address() -> None:
    sessions = sessions_of(max_sessions=80)
    moved = []
    for number in range(30):
        session = sessions.open(
            begin(sessions, f"quiet-{number}", f"quiet-{number}", client="10.0.0.1"), f"quiet-{number}"
        )
        assert session is not None
        session.settle("http://b/mcp", "elsewhere", NOW)
        moved.append(session)
    for number in range(1000):
        begin(sessions, f"loud-{number}", "loud", client="10.0.0.1")
    assert [sessions.open(session.token, session.principal) for session in moved] == moved


@pytest.mark.parametrize("principal", ["anonymous", "ann"])
async def test_a_client_has_no_more_sessions_than_its_limit_and_a_forgotten_one_opens_again(principal: str) -> None:
    sessions = sessions_of(max_sessions=80, max_sessions_per_client=2)
    other = "other" if principal == "anonymous" else "10.0.0.1"
    kept = sessions.open(begin(sessions, "quiet", "bob", client=other), "bob")
    tokens = [begin(sessions, f"{number}", principal, client="10.0.0.1") for number in range(5)]
    assert sessions.remembered == 3
    assert kept is not None
    assert sessions.open(kept.token, "bob") is kept
    again = sessions.open(tokens[0], principal, "10.0.0.1" if principal == "anonymous" else principal)
    assert again is not None
    assert sessions.remembered == 3
