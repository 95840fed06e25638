"""The bytes that one client sends: how many have come, and whether the gateway reads more of them."""

from __future__ import annotations

import asyncio

from mcppool.gateway.http.connection_state import MIN_RECEIVED


class Inflow:
    """The receiving side of one connection. `received` bytes have come; `paused`: no more are read from the socket."""

    __slots__ = ("_mark", "_transport", "paused", "received")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._mark = 0
        self.paused = False
        self.received = 0

    def attach(self, transport: asyncio.Transport) -> None:
        """Read from this transport."""
        self._transport = transport

    def pause(self) -> None:
        """Leave further bytes in the socket."""
        transport = self._transport
        if not self.paused and transport is not None and not transport.is_closing():
            self.paused = True
            transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        transport = self._transport
        if self.paused and transport is not None and not transport.is_closing():
            self.paused = False
            transport.resume_reading()

    def watch(self) -> None:
        """Note how many bytes have come: `progresses` compares with them."""
        self._mark = self.received

    def progresses(self) -> bool:
        """Whether enough of a body has come since `watch`."""
        return self.received - self._mark >= MIN_RECEIVED
