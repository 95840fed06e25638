"""When memory is full, recently unused sessions are forgotten: their ids still open."""

from __future__ import annotations

from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.table import SessionTable
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.wire.sealing import SessionClaims

CLAIMS = SessionClaims(
    endpoint="http://a/mcp", upstream_session="s", version="2025-11-25", capabilities=None, client=b"{}", issued=0,
    expires=1 << 40,
)  # fmt: skip


def test_idle_sessions_give_way_oldest_first_and_never_one_that_is_in_use() -> None:
    budget = MemoryBudget(1 << 30)
    table = SessionTable(budget.account("sessions"), 100, 1 << 30)
    sessions = [Session(CLAIMS, f"t{n}", owner="x") for n in range(10)]
    for n, session in enumerate(sessions):
        table.add(session)
        session.last_used = float(n)
    sessions[1].streams.open = (object(),)  # type: ignore[assignment]
    size = sessions[0].size
    assert table.give_way(2 * size, 100.0) == 2 * size
    assert [key[0] for key in table.known()] == ["t1", *(f"t{n}" for n in range(3, 10))]
    assert table.give_way(1 << 30, 5.0) == 3 * size, "those that were used later stay"
    assert budget.charged == table.bytes == 5 * size
