"""The output: plain lines, and on a terminal one live line below them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator, Callable


class Screen:
    """Prints. `live()` keeps one line up to date on a terminal; without one it prints that line once in a while."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = ""

    def say(self, text: str = "") -> None:
        """A line, or several, that stay."""
        self._erase()
        print(text, flush=True)

    @contextlib.asynccontextmanager
    async def live(self, line: Callable[[], str], every: float | None = None) -> AsyncIterator[None]:
        """While in the block: `line()` four times a second on a terminal, else every `every` seconds (None: never).

        At the end of the block the last line stays.
        """
        task = asyncio.create_task(self._refresh(line, every))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.say(line())

    async def _refresh(self, line: Callable[[], str], every: float | None) -> None:
        while self._terminal:
            await asyncio.sleep(0.25)
            self._show(line())
        while every is not None:
            await asyncio.sleep(every)
            self.say(line())

    def _show(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._erase()
        self._shown = text[:width]
        print(self._shown, end="", flush=True)

    def _erase(self) -> None:
        if self._shown:
            print("\r\033[K", end="")
            self._shown = ""
