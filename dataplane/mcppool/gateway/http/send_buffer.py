"""Written bytes that the client has not taken yet: backpressure, their charge, and stalled clients."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from typing import Final

from mcppool.flush_queue import FlushQueue, flush_queue_of
from mcppool.gateway.http.client_caps import UNLIMITED, ClientUsage
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.sliced_writer import SlicedWriter

MIN_TAKEN: Final = 60 * 1024
"""Bytes of a waiting response that a client must take within `connection_state.WRITE_TIMEOUT`, ..."""
MIN_TAKEN_SHARE: Final = 30
"""... and at least this fraction of it, so that a large response does not take hours."""
HIGH_WATER: Final = 64 * 1024
"""Bytes that wait for a client before the gateway stops writing to it."""
GATHERED: Final = 16 * 1024
"""Largest write that may wait for the end of the turn, and largest sum of such writes of one turn."""
STALLED: Final = 4
"""Looks in a row at a client that takes nothing before its connection is cut while memory is full."""


class SendBuffer:
    """The sending side of one connection. `held` bytes wait for the client and are charged to it.

    `room` is a future while the transport takes no more; it is done when the client has taken enough.
    """

    __slots__ = (
        "_account", "_gathered", "_largest", "_looked", "_mark", "_metrics", "_on_full", "_queue", "_sent", "_slices",
        "_stalled", "client", "held", "room", "transport",
    )  # fmt: skip

    def __init__(self, metrics: GatewayMetrics, account: MemoryAccount) -> None:
        self._metrics = metrics
        self._account = account
        self.client = ClientUsage("", UNLIMITED)
        self.transport: asyncio.Transport | None = None
        self._queue: FlushQueue | None = None  # where it does not encrypt
        self._gathered: bytes = b""  # waits for the end of the turn
        self._slices: SlicedWriter | None = None  # where the transport encrypts
        self._on_full: Callable[[], None] = lambda: None
        self.room: asyncio.Future[None] | None = None
        self.held = 0
        self._sent = 0
        self._mark = 0  # bytes that the client had taken when `watch` was called
        self._looked = 0  # bytes that the client had taken at the last `stalls`
        self._stalled = 0  # calls of `stalls` in a row that found no more bytes taken
        self._largest = 0  # size of the largest waiting write: it is in memory until its last byte is taken

    def attach(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        on_full: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        """Write to a transport; in slices, if it encrypts. `on_full` is called when a slice has to wait, and then calls
        `pause`; `on_room` when none waits any more."""
        self.transport = transport
        if transport.get_extra_info("sslcontext") is not None:
            self._slices = SlicedWriter(loop, transport, on_room)
            self._on_full = on_full
        else:  # the next part of a large answer comes when the last one is gone: a part stays in memory as a whole
            transport.set_write_buffer_limits(HIGH_WATER, 0)
            self._queue = flush_queue_of(loop)

    def write(self, data: bytes) -> None:
        """Send bytes, or keep them until the client takes more."""
        size = len(data)
        self._metrics.listener_bytes_sent += size
        self._sent += size
        transport = self.transport
        if transport is None:
            return
        gathered, queue = self._gathered, self._queue
        if queue is not None and self.room is None and size + len(gathered) <= GATHERED:
            if gathered:
                self._gathered = gathered + data
            else:
                self._gathered = data
                queue.add(self)
            return
        slices = self._slices
        if slices is None:
            self.flush()
            transport.write(data)
        else:
            slices.write(data)
            if slices.waiting and self.room is None:
                self._on_full()
        if self.room is not None:
            self._largest = max(self._largest, size)
            self.charge()

    def write_soon(self, data: bytes) -> None:
        """The same for data whose end is likely to follow at once: both become one write."""
        queue = self._queue
        if queue is None or self.room is not None or self._gathered or len(data) > GATHERED:
            self.write(data)
            return
        self._metrics.listener_bytes_sent += len(data)
        self._sent += len(data)
        self._gathered = data
        queue.add_later(self)

    def flush(self) -> None:
        """Write what waits for the end of the turn."""
        gathered, transport = self._gathered, self.transport
        if gathered and transport is not None:
            self._gathered = b""
            if not transport.is_closing():
                transport.write(gathered)

    def write_all(self, parts: Sequence[bytes]) -> None:
        """The same for several parts, in one system call where the transport takes them all."""
        if self._slices is not None or self.transport is None:
            for part in parts:
                self.write(part)
            return
        self.flush()
        size = sum(map(len, parts))
        self._metrics.listener_bytes_sent += size
        self._sent += size
        self.transport.writelines(parts)
        if self.room is not None:
            self._largest = max(self._largest, size)
            self.charge()

    def pause(self, room: asyncio.Future[None]) -> None:
        """The transport takes no more: the client reads more slowly than the gateway writes."""
        self.room = room
        self._stalled = 0
        self.charge()

    def resume(self) -> None:
        """The transport takes more, or the connection is gone."""
        if self.room is not None:
            if not self.room.done():
                self.room.set_result(None)
            self.room = None
            self._largest = 0
            self.charge()

    def transport_pauses(self) -> bool:
        """The transport takes no more. Return whether that is news."""
        if self._slices is not None:
            self._slices.pause()
        return self.room is None

    def transport_resumes(self) -> bool:
        """The transport takes more. Return whether nothing waits for it here."""
        return self._slices is None or self._slices.resume()

    def close(self) -> None:
        """Close the transport once it has got all bytes; it sends them before it closes."""
        self.flush()
        if self._slices is not None:
            self._slices.close()
        elif self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.flush()
            self.transport.abort()

    def charge(self) -> None:
        """Charge the waiting bytes to the client and to the budget."""
        held = max(self._backlog(), self._largest) if self.room is not None else 0
        if held != self.held:
            self.client.charge(self._account, held - self.held)
            self.held = held

    def move(self, client: ClientUsage) -> None:
        """The responses are for this client now."""
        if self.held:
            client.hold(self.held)
            self.client.hold(-self.held)
        self.client = client

    def watch(self) -> None:
        """Note the bytes that the client has taken: `progresses` compares with them."""
        self._mark = self._sent - self._untaken()

    def progresses(self) -> bool:
        """Whether the client has taken enough since `watch`."""
        untaken = self._untaken()
        return self._sent - untaken - self._mark >= max(MIN_TAKEN, untaken // MIN_TAKEN_SHARE)

    def stalls(self) -> bool:
        """Whether the client has taken nothing in the last `STALLED` calls of this method."""
        taken = self._sent - self._untaken()
        self._stalled = self._stalled + 1 if taken <= self._looked else 0
        self._looked = taken
        return self._stalled == STALLED

    def _backlog(self) -> int:
        if self.transport is None:
            return 0
        waiting = self._slices.waiting if self._slices is not None else 0
        return self.transport.get_write_buffer_size() + waiting + len(self._gathered)

    def _untaken(self) -> int:
        """Bytes that the client has not taken: in this buffer, and in the socket, which takes some MB at once."""
        return self._backlog() + (_in_socket(self.transport) if self.transport is not None else 0)


def _in_socket(transport: asyncio.Transport) -> int:
    """Bytes in our socket that the client's socket has not taken; 0 if the system does not tell."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return 0
