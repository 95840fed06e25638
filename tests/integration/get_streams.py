"""GET streams of a server that remembers its events."""

from __future__ import annotations

from tests.integration.event_streams import (
    begin,
    log_message,
    message_of,
    send,
)
from tests.servers.faults import Exchange, silent


# --- GET streams -----------------------------------------------------------------------------------------------------
class EventStore:
    """A GET at a server that remembers events: `say` makes one; a resuming client gets the missed ones."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self.asked: list[str | None] = []
        self.readers: list[Exchange] = []

    async def __call__(self, exchange: Exchange) -> None:
        last = exchange.headers.get("last-event-id")
        self.asked.append(last)
        await begin(exchange)
        for n in [n for n in self.events if last is not None and n > int(last)]:
            await send(exchange, log_message(n, n))
        self.readers = [exchange]
        await silent(exchange)

    async def say(self, n: int) -> None:
        self.events.append(n)
        for reader in self.readers:
            await send(reader, log_message(n, n))

    async def half(self, n: int) -> None:
        """Something happens, and half of its event is sent."""
        self.events.append(n)
        await send(self.readers[0], log_message(n, n)[:40])

    def break_off(self) -> None:
        for reader in self.readers:
            reader.reset()
        self.readers = []


def said(block: bytes) -> int:
    number: int = message_of(block)["params"]["data"]
    return number
