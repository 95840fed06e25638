"""Progress of long work: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from mcppool.cli.terminal import printable

PATIENCE: Final = 0.5
"""Seconds of work before the line appears."""
INTERVAL: Final = 0.2
"""Seconds between two changes of the line."""
_ERASE: Final = "\r\x1b[2K"


class Progress:
    """The line. `text` is the present step; it may change at any time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._began = time.monotonic()

    def report(self, done: float, total: float | None, message: str | None) -> None:
        """Show a server's report of its progress."""
        share = f"{done:g}" if not total else f"{done / total:.0%}" if done <= total else f"{done:g} of {total:g}"
        self.text = f"{share}: {message}" if message else share

    def line(self, width: int) -> str:
        """The line at this moment, at most `width` characters."""
        return printable(f"{self.text} ({time.monotonic() - self._began:.0f} s)")[:width]


@asynccontextmanager
async def progress(text: str) -> AsyncIterator[Progress]:
    """Show that work is going on, if standard error is a terminal."""
    shown = Progress(text)
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield shown
        return
    drawing = asyncio.create_task(_draw(shown), name="progress")
    try:
        yield shown
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)


async def _draw(shown: Progress) -> None:
    await asyncio.sleep(PATIENCE)
    try:
        while True:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            sys.stderr.write(_ERASE + shown.line(max(width, 20)))
            sys.stderr.flush()
            await asyncio.sleep(INTERVAL)
    finally:
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
