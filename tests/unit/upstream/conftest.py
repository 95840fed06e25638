"""Virtual time for connections and their pool."""

from __future__ import annotations

import pytest

from mcppool.upstream.http import answer_times, connection, growth
from mcppool.upstream.http import connection_pool as pool_module
from tests.unit.upstream.leasing import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Virtual time."""
    clock = Clock()
    for module in (pool_module, growth, connection, answer_times):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock
