"""Virtual time for connections and their pool."""

from __future__ import annotations

import pytest

from mcppool.upstream.http import connection as connection_module
from mcppool.upstream.http import connection_pool as pool_module
from tests.unit.upstream.leasing import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Virtual time."""
    clock = Clock()
    monkeypatch.setattr(pool_module, "monotonic", clock)
    monkeypatch.setattr(connection_module, "monotonic", clock)
    return clock
