"""The check of all connections of a listener, twice a second."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.listener_context import ListenerContext

CROWDED: Final = 0.9
"""Share of `max_connections` in use at which idle connections are closed early."""


def sweep(connections: Collection[HttpConnection], shared: ListenerContext, now: float) -> None:
    """Expire connections past their deadline. While few connections are left, close idle ones early; while memory is
    full, cut clients that take nothing of a large response."""
    for connection in [c for c in connections if c.deadline <= now]:
        connection.expire()
    if shared.clients.connections > CROWDED * shared.clients.caps.connections:
        for connection in [c for c in connections if c.idle_until <= now]:
            connection.shut()
    if shared.memory.full:
        for connection in [c for c in connections if c.held]:
            connection.look()
