"""The keeper of the history looks at the counters once for each slot."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.gateway import history_keeper
from mcppool.gateway.history_keeper import HistoryKeeper
from mcppool.observe.history.slots import GatewaySlot
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import PoolView


async def test_each_slot_is_kept_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_keeper, "SLOT_SECONDS", 0.02)
    metrics, kept = GatewayMetrics(), asyncio.Queue[GatewaySlot]()
    calls = 0

    def views() -> list[PoolView]:
        nonlocal calls
        calls += 1
        return [PoolView("search", calls=calls)]

    keeping = asyncio.create_task(HistoryKeeper(metrics, views, kept.put_nowait).run())
    slots = [await asyncio.wait_for(kept.get(), 60) for _ in range(3)]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert [slot.pools["search"].counts[0] for slot in slots] == [1, 1, 1]
