"""Something at the address of Redis that greets as Redis does and then answers each command as a test says."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from types import TracebackType
from typing import Self

from tests.servers.process import HOST

_GREETINGS = (b"CLIENT", b"HELLO", b"PING", b"SELECT", b"AUTH")


class ScriptedRedis:
    """`async with ScriptedRedis() as redis`: `replies` are given one after another, and nil when there are none."""

    def __init__(self) -> None:
        self.replies: deque[bytes] = deque()
        self.asked = 0
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        assert self._server is not None
        return f"redis://{HOST}:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                command = await _command(reader)
                if command[0].upper() in _GREETINGS:
                    writer.write(b"+PONG\r\n" if command[0].upper() == b"PING" else b"+OK\r\n")
                else:
                    self.asked += 1
                    writer.write(self.replies.popleft() if self.replies else b"$-1\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    count = _number(await reader.readuntil(b"\r\n"))
    return [(await reader.readexactly(_number(await reader.readuntil(b"\r\n")) + 2))[:-2] for _ in range(count)]


def _number(line: bytes) -> int:
    found = re.search(rb"\d+", line)
    assert found is not None
    return int(found[0])
