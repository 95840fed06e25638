"""Writes to a program's standard input, and waits with it until the program reads."""

from __future__ import annotations

import asyncio
import unicodedata
from io import FileIO
from typing import Final, cast

from mcppool.supervision import guard
from mcppool.wire.bulk import BULK

SHOWN = 300  # characters of a line that are shown
SLICE: Final = 256 * 1024
"""Bytes of a large message that are written in one step."""

ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")
"""In JSON, line breaks are white space between tokens, where a space means the same."""


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
        self._writing: asyncio.Task[None] | None = None  # a large message
        self._notices = b""  # for the end of it

    @property
    def waiting(self) -> int:
        """Bytes that the program has not taken yet, the rest of a large message aside."""
        written = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return written + len(self._notices)

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._transport is None or self._transport.is_closing()

    async def write(self, message: bytes) -> None:
        """Write a message as one line, in turn. Raises BrokenPipeError if the program has closed its input; nothing was
        written then.

        A message of more than `BULK` bytes is written in slices, and this returns when it is begun. It must not change
        from then on. It is written to its end, because half a line would spoil the next one.
        """
        if len(message) <= BULK:
            line = _line(message)
            async with self._turn:
                await self._room.wait()
                self._write_now(line)
            return
        await self._turn.acquire()
        try:
            await self._room.wait()
            self._demand()
        except BaseException:
            self._turn.release()
            raise
        self._writing = guard("large message", self._write_slices(message))

    def write_notice(self, message: bytes) -> None:
        """Write a small message without waiting, or after the large message that is being written. Raises
        BrokenPipeError."""
        if self._writing is None:
            self._write_now(_line(message))
        else:
            self._notices += _line(message)

    async def _write_slices(self, message: bytes) -> None:
        try:
            for at in range(0, len(message), SLICE):
                await self._room.wait()
                self._write_now(message[at : at + SLICE].translate(ONE_LINE))
                await asyncio.sleep(0)
            self._write_now(b"\n" + self._notices)
        except BrokenPipeError:
            pass  # the end of the process follows, and ends its requests
        finally:
            self._notices = b""
            self._writing = None
            self._turn.release()

    def _write_now(self, data: bytes) -> None:
        self._demand().write(data)

    def _demand(self) -> asyncio.WriteTransport:
        if self._transport is None or self._transport.is_closing():
            raise BrokenPipeError("the program has closed its input")
        return self._transport

    def close(self) -> None:
        """Close the input after the waiting bytes."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the unwritten bytes and close."""
        transport = self._transport
        # One that is closing, with nothing left to write, ends by itself: asyncio would tell its end twice, and fail.
        if transport is not None and not (transport.is_closing() and not transport.get_write_buffer_size()):
            transport.abort()

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


def shown(line: bytes) -> str:
    """A line of a program, safe to show: cut, and without characters that control a terminal."""
    text = line[: 4 * SHOWN].decode("utf-8", "replace").strip()
    cut = text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    return "".join(c if unicodedata.category(c)[0] != "C" else c.encode("unicode_escape").decode() for c in cut)


def _line(message: bytes) -> bytes:
    return message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
