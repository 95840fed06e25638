"""The standard streams of a program: reads lines of bounded length, and waits with writing until the program reads."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from typing import cast

SHOWN = 300  # characters of a line that are shown


class Lines(asyncio.Protocol):
    """Splits an output into lines and hands on each without its line break.

    The first `limit` bytes of a longer line go to `on_long`, once; the rest of the line is dropped.
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
        """Output of the program."""
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
        """The end; the last line may lack a line break."""
        if self._parts:
            self._on_line(b"".join(self._parts))
            self._parts = []
        self._on_end()


class Input(asyncio.BaseProtocol):
    """A program's input.

    Messages go in one after the other. Each waits until the program has read the ones before, apart from the capacity
    of a pipe.
    """

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
        """Write in turn. Raises BrokenPipeError if the program has closed its input; nothing was written then."""
        async with self._turn:
            await self._room.wait()
            self.write_now(data)

    def write_now(self, data: bytes) -> None:
        """Write without waiting. Raises BrokenPipeError."""
        if self._transport is None or self._transport.is_closing():
            raise BrokenPipeError("the program has closed its input")
        self._transport.write(data)

    def close(self) -> None:
        """Close the input after the waiting bytes."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the unwritten bytes and close."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ready."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        """The program reads no more: fail the waiting writers."""
        self._transport = None
        self._room.set()

    def pause_writing(self) -> None:
        """The program reads too slowly."""
        self._room.clear()

    def resume_writing(self) -> None:
        """The program reads again."""
        self._room.set()


async def open_input(descriptor: int) -> Input:
    """Open the gateway's end of a program's standard input."""
    _, protocol = await asyncio.get_running_loop().connect_write_pipe(Input, FileIO(descriptor, "w"))
    return protocol


async def open_lines(descriptor: int, lines: Lines) -> asyncio.ReadTransport:
    """Open the gateway's end of a program's output."""
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: lines, FileIO(descriptor, "r"))
    return transport


def close_all(*descriptors: int) -> None:
    """Close the descriptors that no transport owns."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def shown(line: bytes) -> str:
    """A line of a program, safe to show: cut, and without characters that control a terminal."""
    text = line[: 4 * SHOWN].decode("utf-8", "replace").strip()
    cut = text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    return "".join(c if unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode() for c in cut)
