"""The standard streams of a program: lines of bounded length from it, and writing that waits until it reads."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from typing import cast

SHOWN = 300  # characters of a line that is shown to people


class Lines(asyncio.Protocol):
    """Splits an output into lines and hands each on without its end.

    A line longer than `limit` bytes is handed to `on_long` up to there, once; what follows of it is dropped.
    """

    def __init__(
        self, limit: int, on_line: Callable[[bytes], None], on_long: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._limit = limit
        self._on_line = on_line
        self._on_long = on_long
        self._on_end = on_end
        self._parts: list[bytes] = []
        self._size = 0
        self._dropping = False

    def data_received(self, data: bytes) -> None:
        """Bytes of the program."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._take(line)
            if not self._dropping:
                self._on_line(b"".join(self._parts))
            self._parts, self._size, self._dropping = [], 0, False
        if rest:
            self._take(rest)

    def _take(self, part: bytes) -> None:
        if self._dropping:
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            self._on_long(b"".join(self._parts)[: self._limit])
            self._parts, self._size, self._dropping = [], 0, True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        """The end; a last line may have none."""
        if self._parts:
            self._on_line(b"".join(self._parts))
            self._parts = []
        self._on_end()


class Input(asyncio.BaseProtocol):
    """A program's input. Messages go in one after the other, and each waits until the program has read what is before
    it, up to what a pipe holds."""

    def __init__(self) -> None:
        self._room = asyncio.Event()
        self._room.set()
        self._turn = asyncio.Lock()
        self._transport: asyncio.WriteTransport | None = None

    @property
    def waiting(self) -> int:
        """Bytes that the program has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport is None or self._transport.is_closing()

    async def write(self, data: bytes) -> None:
        """Write in turn. Raises BrokenPipeError where the program has closed its input; nothing was written then."""
        async with self._turn:
            await self._room.wait()
            self.write_now(data)

    def write_now(self, data: bytes) -> None:
        """Write without waiting. Raises BrokenPipeError."""
        if self._transport is None or self._transport.is_closing():
            raise BrokenPipeError("the program has closed its input")
        self._transport.write(data)

    def close(self) -> None:
        """Say that nothing more will come."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Give up what is not written."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ready."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        """Nobody reads it any more: who waits is told."""
        self._transport = None
        self._room.set()

    def pause_writing(self) -> None:
        """The program does not keep up."""
        self._room.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._room.set()


async def open_input(descriptor: int) -> Input:
    """Take over our end of a program's standard input."""
    _, protocol = await asyncio.get_running_loop().connect_write_pipe(Input, FileIO(descriptor, "w"))
    return protocol


async def open_lines(descriptor: int, lines: Lines) -> asyncio.ReadTransport:
    """Take over our end of one of a program's outputs."""
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: lines, FileIO(descriptor, "r"))
    return transport


def close_all(*descriptors: int) -> None:
    """Close what nobody has taken over."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def shown(line: bytes) -> str:
    """A line that a program has written, fit to be shown: cut, and without characters that steer a terminal."""
    text = line[: 4 * SHOWN].decode("utf-8", "replace").strip()
    cut = text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    return "".join(c if unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode() for c in cut)
