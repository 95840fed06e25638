"""Small writes to a client are gathered in a turn, and keep their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mcppool.gateway.http.send_buffer import GATHERED, SendBuffer
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from tests.gathering import gather_writes


class Client(asyncio.Transport):
    """Records what happens to it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[bytes | str] = []

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """This transport never pauses by itself."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return "closed" in self.events

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.events.append(bytes(data))

    def close(self) -> None:
        self.events.append("closed")

    def abort(self) -> None:
        self.events.append("closed")


def connected() -> tuple[SendBuffer, Client]:
    buffer, client = SendBuffer(GatewayMetrics(), MemoryBudget().account("answers")), Client()
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    buffer.attach(client, asyncio.get_running_loop(), nothing, nothing)
    gather_writes()
    return buffer, client


async def test_small_writes_of_a_turn_are_one_write() -> None:
    buffer, client = connected()
    buffer.write(b"head, ")
    buffer.write(b"event, ")
    buffer.write(b"end")
    assert client.events == []
    await asyncio.sleep(0)
    assert client.events == [b"head, event, end"]


async def test_an_end_that_follows_in_the_next_turn_joins_the_beginning() -> None:
    buffer, client = connected()
    buffer.write_soon(b"event, ")
    await asyncio.sleep(0)
    assert client.events == []
    buffer.write(b"end")
    await asyncio.sleep(0)
    assert client.events == [b"event, end"]


async def test_a_beginning_without_an_end_is_written_soon() -> None:
    buffer, client = connected()
    buffer.write_soon(b"event, ")
    for _ in range(2):
        await asyncio.sleep(0)
    assert client.events == [b"event, "]


async def test_a_large_write_follows_the_small_ones_before_it() -> None:
    buffer, client = connected()
    large = b"x" * (GATHERED + 1)
    buffer.write(b"small")
    buffer.write(large)
    assert client.events == [b"small", large]
    buffer.write(b"small")
    buffer.write_all((b"a", b"b"))
    assert b"".join(event for event in client.events if isinstance(event, bytes)) == b"small" + large + b"smallab"


async def test_a_turn_gathers_a_bounded_number_of_bytes() -> None:
    buffer, client = connected()
    for _ in range(GATHERED // 1024 + 1):
        buffer.write(b"x" * 1024)
    assert sum(map(len, client.events)) == GATHERED + 1024


async def test_gathered_bytes_are_sent_before_the_connection_closes_or_is_cut() -> None:
    for end in ("close", "abort"):
        buffer, client = connected()
        buffer.write(b"last words")
        getattr(buffer, end)()
        await asyncio.sleep(0)
        assert client.events == [b"last words", "closed"]


async def test_gathered_bytes_are_not_written_to_a_connection_that_has_ended() -> None:
    buffer, client = connected()
    buffer.write(b"too late")
    client.abort()
    await asyncio.sleep(0)
    assert client.events == ["closed"]
