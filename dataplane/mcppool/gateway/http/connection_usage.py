"""Counts the use of one connection: for its address, or for the principal of its call."""

from __future__ import annotations

from mcppool.gateway.http.client_caps import Clients, ClientUsage
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.reader import RequestReader
from mcppool.gateway.http.send_buffer import SendBuffer


class ConnectionUsage:
    """`address` is the usage of the address, `client` that of the client whose call the connection serves: of the
    principal, once that is known."""

    __slots__ = ("_buffer", "_clients", "_departed", "_reader", "address", "client")

    def __init__(self, clients: Clients, reader: RequestReader, buffer: SendBuffer) -> None:
        self._clients = clients
        self._reader = reader
        self._buffer = buffer
        self._departed = False
        self.address = self.client = reader.client

    def arrive(self, address: str) -> None:
        """A client at this address has opened the connection."""
        usage = self._clients.arrive(address)
        self.address = self.client = self._reader.client = self._buffer.client = usage

    def depart(self) -> None:
        """The connection is closed."""
        self._departed = True
        self.count_for_address()
        self._clients.depart(self.address)

    def count_for(self, pool: str, principal: str, request: HttpRequest) -> None:
        """Count the request, and what its response needs, for an authenticated principal of a pool."""
        if request.lost:  # its address has no room: the principal has not taken it
            self.count_for_address()
            return
        usage = self.client
        if usage.key != principal or usage.pool != pool:
            if self._departed:
                return
            self._move(self._clients.authenticated(pool, principal))
        if request.held is not None:
            request.held.move(self.client)

    def count_for_address(self) -> None:
        """Count what follows for the address: there is no principal."""
        if self.client is not self.address:
            self._move(self.address)

    def _move(self, usage: ClientUsage) -> None:
        old, self.client = self.client, usage
        self._buffer.move(usage)
        if old is not self.address:
            old.leave()
