"""Virtual time for connections and their pool; no transport outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcppool.upstream.http import answer_times, connection, growth
from mcppool.upstream.http import connection_pool as pool_module
from tests.unit.upstream.leasing import Clock
from tests.unit.upstream.transports import OPEN


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Virtual time."""
    clock = Clock()
    for module in (pool_module, growth, connection, answer_times):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def no_transport_stays_open() -> Iterator[None]:
    """A socket that is collected during another test frees a descriptor there."""
    yield
    for transport in list(OPEN):
        transport.dispose()
