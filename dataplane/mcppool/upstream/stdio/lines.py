"""Reads a program's output: lines of bounded length, in order, however large or many they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import FileIO
from typing import Final, cast

from mcppool.supervision import guard
from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK, Bulk, read_in_slices

A_STEP: Final = 100
"""Lines that are handed on in one step."""


class Lines(asyncio.Protocol):
    """Splits an output into lines and hands on each without its line break, in order.

    A line of more than `BULK` bytes is handed on as `Bulk`, after it was read in slices. Reading it, or handing on
    many lines, takes several turns of the event loop; the program's pipe is not read meanwhile.

    The first bytes of a line of more than `limit` bytes go to `on_long`, once; the rest of the line is dropped.
    """

    def __init__(
        self, limit: int, on_line: Callable[[bytes], None], on_long: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._limit = limit
        self._on_line = on_line
        self._on_long = on_long
        self._on_end = on_end
        self._transport: asyncio.ReadTransport | None = None
        self._line = Bulk()  # the beginning of a line
        self._dropping = False
        self._rest = b""  # output after the lines of this step
        self._reading: asyncio.Task[None] | None = None
        self._paused = False
        self._stopped = False  # it does not read
        self._ended = False
        self._closed = False
        self.behind = False
        """Whether output that has come is not handed on yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is ready."""
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Output of the program."""
        if self.behind:
            self._rest += data
        else:
            self._split(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's name)
        """The end; the last line may lack a line break."""
        self._transport = None
        self._ended = True
        if not self.behind:
            self._finish()

    def pause(self) -> None:
        """Stop reading: the program waits when its pipe is full."""
        self._paused = True
        self._steer()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._steer()

    def close(self) -> None:
        """Read no more, and drop what is not handed on."""
        self._closed = True
        self._line, self._rest = Bulk(), b""
        if self._reading is not None:
            self._reading.cancel()
        if self._transport is not None:
            self._transport.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _split(self, data: bytes) -> None:
        """Hand on the lines in `data`, but only one large one, and at most `A_STEP` in all."""
        at = 0
        for _ in range(A_STEP):
            end = data.find(b"\n", at)
            if end < 0:
                self._add(data[at:] if at else data)
                return
            self._end_line(data[at:end])
            at = end + 1
            if self._reading is not None:
                break
        self._rest = data[at:]
        if self._reading is None and self._rest:
            self._fall_behind()
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _add(self, part: bytes) -> None:
        if self._dropping:
            return
        if len(self._line) + len(part) > self._limit:
            self._line.extend(part[: self._limit - len(self._line)])
            line = self._take()
            self._dropping = True
            self._on_long(line)
        else:
            self._line.extend(part)

    def _end_line(self, part: bytes) -> None:
        if not self._line and not self._dropping and len(part) <= self._limit:  # most lines
            self._hand_on(part)
            return
        self._add(part)
        if not self._dropping:
            self._hand_on(self._take())
        self._dropping = False

    def _take(self) -> bytes:
        line, self._line = self._line, Bulk()
        return line if len(line) > BULK else bytes(line)

    def _hand_on(self, line: bytes) -> None:
        if len(line) <= BULK:
            self._on_line(line)
            return
        self._fall_behind()
        large = line if isinstance(line, Bulk) else Bulk(line)
        self._reading = guard("large message", self._read(large))

    async def _read(self, line: Bulk) -> None:
        """Read a large line, then hand it on and go on with the output after it."""
        try:
            await in_turns(read_in_slices(line))
            self._on_line(line)
        finally:
            self._reading = None
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _fall_behind(self) -> None:
        self.behind = True
        self._steer()

    def _catch_up(self) -> None:
        """Hand on the rest; then read on."""
        if self._closed:
            return
        self.behind = False
        rest, self._rest = self._rest, b""
        if rest:
            self._split(rest)
        if self.behind:
            return
        if self._ended:
            self._finish()
        else:
            self._steer()

    def _finish(self) -> None:
        """Hand on the last line, if it lacks a line break, and the end."""
        if self._line:
            self._hand_on(self._take())
        if not self.behind:
            self._on_end()

    def _steer(self) -> None:
        stopped = self._paused or self.behind
        if stopped == self._stopped or self._transport is None or self._transport.is_closing():
            return
        self._stopped = stopped
        if stopped:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def open_lines(descriptor: int, lines: Lines) -> None:
    """Open the gateway's end of a program's output."""
    await asyncio.get_running_loop().connect_read_pipe(lambda: lines, FileIO(descriptor, "r"))
