"""Writes large messages to TLS transports in slices.

A TLS transport encrypts each write in one step, and keeps the encrypted copy: 64 MiB delay the event loop for a tenth
of a second. In slices, each is encrypted when the peer has taken the ones before.

This module imports nothing of ours, so that every layer may use it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

SLICE: Final = 256 * 1024
"""Bytes that are encrypted in one step, which takes less than a millisecond."""


class SlicedWriter:
    """Writes to one transport, whose protocol passes `pause` and `resume` on.

    `waiting` bytes are not yet given to the transport. `on_room` is called when there are none any more and the
    transport takes more.
    """

    __slots__ = ("_at", "_closing", "_loop", "_on_room", "_paused", "_queue", "_transport", "waiting")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, on_room: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._on_room = on_room
        self._queue: deque[bytes] = deque()
        self._at = 0  # bytes of the first one in the queue that are written
        self._paused = False
        self._closing = False
        self.waiting = 0

    def write(self, data: bytes) -> None:
        """Write small data at once, unless other data waits; the rest in later turns of the event loop."""
        if not self._queue and len(data) <= SLICE:
            self._transport.write(data)
            return
        if not data or self._closing or self._transport.is_closing():
            return
        self._queue.append(data)
        self.waiting += len(data)
        if len(self._queue) == 1:
            self._write_slice()

    def pause(self) -> None:
        """The transport takes no more for now."""
        self._paused = True

    def resume(self) -> bool:
        """The transport takes more. Return whether nothing waits here."""
        self._paused = False
        if self._queue:
            self._loop.call_soon(self._write_slice)
            return False
        return True

    def close(self) -> None:
        """Close the transport once everything is written."""
        self._closing = True
        if not self._queue:
            self._transport.close()

    def _write_slice(self) -> None:
        if not self._queue or self._paused:
            return
        if self._transport.is_closing():  # it was aborted
            self._queue.clear()
            self.waiting = 0
            return
        data = self._queue[0]
        piece = data[self._at : self._at + SLICE]
        self._at += len(piece)
        if self._at >= len(data):
            self._queue.popleft()
            self._at = 0
        self.waiting -= len(piece)
        self._transport.write(piece)  # which may call `pause`
        if self._queue:
            self._loop.call_soon(self._write_slice)
        elif self._closing:
            self._transport.close()
        elif not self._paused:
            self._on_room()
