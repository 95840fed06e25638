"""The sessions of a local server: how long each waits for its client."""

from __future__ import annotations

from time import monotonic

from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.session_table import FIRST_USE, StdioSessionTable


async def test_a_client_has_time_for_its_first_request_after_the_handshake_whatever_the_time_of_idle_sessions() -> None:
    sessions = StdioSessionTable(Quota(64, 32), lambda _: False)
    new, used = (sessions.open(None, own=True) for _ in range(2))
    session = sessions.find(used)
    assert session is not None
    session.use()
    now = monotonic()
    await sessions.sweep(now + 0.3, 0.2, 1800.0)
    assert sessions.find(used) is None
    assert sessions.find(new) is not None
    await sessions.sweep(now + FIRST_USE / 2, 0.2, 1800.0)
    assert sessions.find(new) is not None
    await sessions.sweep(now + FIRST_USE + 1, 0.2, 1800.0)
    assert sessions.find(new) is None


async def test_a_longer_time_of_idle_sessions_holds_for_new_ones_too() -> None:
    sessions = StdioSessionTable(Quota(64, 32), lambda _: False)
    new = sessions.open(None, own=True)
    now = monotonic()
    await sessions.sweep(now + 30, 60.0, 1800.0)
    assert sessions.find(new) is not None
    await sessions.sweep(now + 61, 60.0, 1800.0)
    assert sessions.find(new) is None
