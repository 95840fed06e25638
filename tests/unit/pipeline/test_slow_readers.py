"""A large answer takes the memory of one part while its client reads slowly."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import pytest

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.outcome import Outcome
from tests.unit.pipeline.pools import Heard, planned, pool_of, tool_call
from tests.unit.upstream.line import Line

PART = 256 * 1024
PARTS = 6
HEADS = {
    "json": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
    "events": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
}
BEGINNINGS = {"json": b"", "events": b"event: message\r\ndata: "}


class SlowReader(Heard):
    """Holds the last part, as a transport does, until `taken` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = asyncio.Event()
        self.part = b""
        self.heard = 0

    def write(self, chunk: bytes) -> None:
        self.part = chunk
        self.heard += len(chunk)

    async def drain(self) -> None:
        await self.taken.wait()
        self.taken.clear()
        self.part = b""


@pytest.mark.parametrize("form", HEADS)
async def test_one_part_is_in_memory_while_the_client_takes_it(form: str) -> None:
    pool = pool_of("", "a")
    endpoint = pool.endpoints["http://a/mcp"]
    call = tool_call("read", id=1)
    reader, outcome, line = SlowReader(), Outcome(), Line()
    begin = BEGINNINGS[form] + b'{"jsonrpc":"2.0","id":1,"result":{"content":["'
    pieces = [HEADS[form] + begin + b"x" * (PART - len(begin)), *(b"x" * PART for _ in range(PARTS - 1))]
    attempt = Attempt(pool.attempts.context, call, planned(call, pool), endpoint, reader, outcome, None, 0.0)
    endpoint.connections._idle.append(line.connection)
    running = asyncio.ensure_future(pool.attempts.exchange.run(attempt))
    while not line.transport.written:
        await asyncio.sleep(0)
    gc.collect()
    tracemalloc.start()
    try:
        most = 0
        for piece in pieces:
            heard = reader.heard
            while not line.transport.reading:
                reader.taken.set()
                await asyncio.sleep(0)
            line.says(piece)
            while reader.heard == heard:
                await asyncio.sleep(0)
            for _ in range(3):
                await asyncio.sleep(0)
            assert not line.transport.reading, "it waits for the client"
            most = max(most, tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        line.transport.dispose()
    assert PART < most < 1.4 * PART
