"""The long-lived streams of one endpoint: each has a connection of its own, outside `max_connections`."""

from __future__ import annotations

from collections.abc import Callable

from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.dialler import Dialler


class LongLivedStreams:
    """Opens streams and owns their connections: no other call uses them. `connections` has the open ones; `doubt` is
    called when one breaks within its answer."""

    __slots__ = ("_closed", "_connections", "_dialler", "_doubt")

    def __init__(self, dialler: Dialler, connections: set[Connection], doubt: Callable[[], None]) -> None:
        self._dialler = dialler
        self._connections = connections
        self._doubt = doubt
        self._closed = False

    async def open(self, timeout: float) -> Connection:
        """A connection for a stream, within `timeout` seconds; its user closes it. Raises ConnectFailed."""
        connection = await self._dialler.open(self, timeout)
        if self._closed or connection.closing:
            connection.close()
            raise ConnectFailed("the endpoint is being removed" if self._closed else "the server closed the connection")
        self._connections.add(connection)
        return connection

    def end(self) -> None:
        """Close the open ones."""
        for connection in list(self._connections):
            connection.close()

    def close(self) -> None:
        """Open no more; the open ones go on."""
        self._closed = True

    # --- the owner of their connections ----------------------------------------------------------------------------

    def connection_released(self, connection: Connection) -> None:
        """A stream has ended."""
        connection.close()

    def connection_closed(self, connection: Connection) -> None:
        """Its connection is gone."""
        self._connections.discard(connection)
        if connection.cut:
            self._doubt()
