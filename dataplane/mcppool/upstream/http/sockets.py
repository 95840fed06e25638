"""The sockets of one endpoint: every connection to it, of calls, checks and streams alike, begins here.

A transport closes its socket some turns of the loop after `close`, and an abandoned TLS handshake does not report it.
So a socket reports itself when its descriptor is closed, and closing a pool can wait for all of them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

Address = tuple[socket.AddressFamily, Any]


class EndpointSockets:
    """The sockets that are open or being opened, and the current lookup of the host's name."""

    def __init__(self) -> None:
        self._open: set[_Socket] = set()
        self._lookup: asyncio.Task[list[Address]] | None = None
        self._none_left = asyncio.Event()

    @property
    def open(self) -> int:
        """Number of descriptors; a lookup has one, too."""
        return len(self._open) + (self._lookup is not None)

    async def connect_host(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
        """Connect to the first address of `host` that accepts. Raises OSError or UnicodeError."""
        failures: list[OSError] = []
        for family, address in await self._addresses(loop, host, port):
            try:
                return await self._connect(loop, family, address)
            except OSError as failure:
                failures.append(failure)
        if len({str(failure) for failure in failures}) == 1:
            raise failures[0]
        raise OSError("; ".join(map(str, failures)) or "the name has no address")

    async def connect_path(self, loop: asyncio.AbstractEventLoop, path: str) -> socket.socket:
        """Connect to a socket file. Raises OSError."""
        return await self._connect(loop, socket.AF_UNIX, path)

    async def wait_closed(self, limit: float) -> bool:
        """Wait until no descriptor is left and no lookup is running; returns whether that was within `limit` seconds.

        The caller has closed or cancelled everything that uses them.
        """
        self._none_left.clear()
        if self._open or self._lookup is not None:
            try:
                async with asyncio.timeout(limit):
                    await self._none_left.wait()
            except TimeoutError:
                if self._lookup is not None:
                    self._lookup.cancel()
                return False
        return True

    # --- inside --------------------------------------------------------------------------------------------------

    async def _connect(self, loop: asyncio.AbstractEventLoop, family: socket.AddressFamily, address: Any) -> _Socket:
        sock = _Socket(family, self._closed)
        self._open.add(sock)
        try:
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                await _writable(loop, sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _addresses(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Address]:
        if (numeric := numeric_address(host, port)) is not None:
            return [numeric]
        # All connects that wait for the name share one lookup: it holds a thread, and cannot be cancelled.
        lookup = self._lookup
        if lookup is None:
            lookup = self._lookup = loop.create_task(_look_up(loop, host, port), name=f"lookup {host}")
            lookup.add_done_callback(self._looked_up)
        return await asyncio.shield(lookup)

    def _looked_up(self, lookup: asyncio.Task[list[Address]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # the waiters have it
        self._tell()

    def _closed(self, sock: _Socket) -> None:
        self._open.discard(sock)
        self._tell()

    def _tell(self) -> None:
        if not self._open and self._lookup is None:
            self._none_left.set()


class _Socket(socket.socket):
    """A socket that does not block, and reports when its descriptor is closed: asyncio's transports call `close`,
    uvloop's close the descriptor themselves and call `detach`."""

    def __init__(self, family: socket.AddressFamily, on_closed: Callable[[_Socket], None]) -> None:
        # asyncio asks for the protocol by name before it turns Nagle's algorithm off.
        super().__init__(family, socket.SOCK_STREAM, 0 if family == socket.AF_UNIX else socket.IPPROTO_TCP)
        self.setblocking(False)
        self._on_closed = on_closed

    def close(self) -> None:
        super().close()
        if self.fileno() < 0:
            self._on_closed(self)

    def detach(self) -> int:
        number = super().detach()
        self._on_closed(self)
        return number


async def _writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait until a connect in progress has succeeded or failed."""
    over: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    loop.add_writer(sock, end)
    try:
        await over
    finally:
        loop.remove_writer(sock)


async def _look_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[Address]:
    return [(info[0], info[4]) for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def numeric_address(host: str, port: int) -> Address | None:
    """The address in `host`; None for a name. `%` and a network interface may follow an IPv6 address."""
    if _reads(socket.AF_INET, host):
        return socket.AF_INET, (host, port)
    address, _, scope = host.partition("%")
    if not _reads(socket.AF_INET6, address):
        return None
    index = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope) if scope else 0
    return socket.AF_INET6, (address, port, 0, index)


def _reads(family: socket.AddressFamily, address: str) -> bool:
    try:
        socket.inet_pton(family, address)
    except (OSError, UnicodeError):
        return False
    return True
