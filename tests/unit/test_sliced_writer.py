"""Large messages are encrypted in slices, as the peer takes them, and arrive as they were written."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from mcppool.sliced_writer import SLICE, SlicedWriter
from mcppool.wire.bulk import Bulk
from tests.certificates import make_server_certificate


class Transport:
    """Notes each write; pauses its writer above `high` bytes that nobody has taken."""

    def __init__(self, high: int) -> None:
        self.high = high
        self.writes: list[bytes] = []
        self.untaken = 0
        self.aborted = self.closed = self.paused = False
        self.writer: SlicedWriter | None = None

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)
        self.untaken += len(data)
        if self.untaken > self.high and not self.paused and self.writer is not None:
            self.paused = True
            self.writer.pause()

    def take(self) -> None:
        """The peer takes everything."""
        self.untaken = 0
        if self.paused and self.writer is not None:
            self.paused = False
            self.writer.resume()

    def is_closing(self) -> bool:
        return self.aborted or self.closed

    def close(self) -> None:
        self.closed = True


def written_to(high: int = 0) -> tuple[Transport, SlicedWriter, list[int]]:
    """A transport, its writer, and for each time that there was room again how many writes there had been."""
    transport = Transport(high)
    room: list[int] = []
    writer = SlicedWriter(
        asyncio.get_running_loop(), cast(asyncio.Transport, transport), lambda: room.append(len(transport.writes))
    )
    transport.writer = writer
    return transport, writer, room


async def turns(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_is_small_is_written_at_once() -> None:
    transport, writer, room = written_to(1 << 20)
    data = b"x" * SLICE
    writer.write(data)
    assert transport.writes == [data]
    assert not writer.waiting
    assert not room


async def test_each_slice_waits_until_the_ones_before_are_taken_and_order_holds() -> None:
    transport, writer, room = written_to()
    parts = [random.Random(1).randbytes(3 * SLICE + 5), b"small", b"", Bulk(b"y" * (SLICE + 1)), b"end"]
    for part in parts:
        writer.write(part)
    assert writer.waiting == sum(map(len, parts)) - SLICE
    while writer.waiting:
        written = len(transport.writes)
        await turns()
        assert len(transport.writes) == written, "the peer has taken nothing"
        transport.take()
        await turns()
        assert len(transport.writes) == written + 1
    assert max(map(len, transport.writes)) == SLICE
    assert b"".join(transport.writes) == b"".join(parts)
    assert not room, "the transport takes no more"


async def test_room_is_reported_once_if_the_transport_takes_everything() -> None:
    transport, writer, room = written_to(1 << 30)
    writer.write(b"x" * (5 * SLICE))
    await turns(10)
    assert room == [5]
    assert writer.resume()
    assert room == [5]
    assert len(transport.writes) == 5


async def test_closing_waits_for_what_is_not_written_and_takes_no_more() -> None:
    transport, writer, room = written_to(1 << 30)
    writer.write(b"x" * (3 * SLICE))
    writer.close()
    writer.write(b"too late" * SLICE)
    assert not transport.closed
    await turns(10)
    assert transport.closed
    assert sum(map(len, transport.writes)) == 3 * SLICE
    assert not room


async def test_what_waits_is_dropped_where_the_transport_was_aborted() -> None:
    transport, writer, _ = written_to(1 << 30)
    writer.write(b"x" * (5 * SLICE))
    transport.aborted = True
    await turns(10)
    assert len(transport.writes) == 1
    assert not writer.waiting
    writer.write(b"x" * (5 * SLICE))
    assert not writer.waiting


class Sender(asyncio.Protocol):
    """Writes `data` to whoever connects, then closes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._writer: SlicedWriter | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._writer = SlicedWriter(asyncio.get_running_loop(), cast(asyncio.Transport, transport), lambda: None)
        self._writer.write(self._data)
        self._writer.close()

    def pause_writing(self) -> None:
        assert self._writer is not None
        self._writer.pause()

    def resume_writing(self) -> None:
        assert self._writer is not None
        self._writer.resume()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_everything_arrives_over_real_tls(new_loop: Callable[[], Any], tmp_path: Path) -> None:
    own = make_server_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)
    data = random.Random(2).randbytes(16 << 20)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Sender(data), "127.0.0.1", 0, ssl=context)
        async with server, asyncio.timeout(60):
            port = server.sockets[0].getsockname()[1]
            trust = ssl.create_default_context(cafile=str(own.ca))
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            assert await reader.readexactly(len(data)) == data
            writer.transport.abort()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
