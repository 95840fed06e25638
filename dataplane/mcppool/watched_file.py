"""A file with keys, which is read again when it changes. A content that cannot be used changes nothing, and is reported
once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from mcppool.supervision import supervise

INTERVAL: Final = 2.0
"""Seconds between two looks at the file; a mounted Secret takes a minute to change anyway."""

C = TypeVar("C")
T = TypeVar("T")


class WatchedFile(Generic[C, T]):
    """The `value` of a file: `parse` makes it of the content that `read` returns.

    `on_change` is called with the former value and the new one, `on_refusal` with the reason why a changed file cannot
    be used. Raises OSError or ValueError, which `read` and `parse` raise, if the file cannot be used at first.
    """

    def __init__(
        self,
        path: str,
        read: Callable[[str], C],
        parse: Callable[[C], T],
        *,
        kind: str,
        on_change: Callable[[T, T], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        self.path = path
        self._read = read
        self._parse = parse
        self._on_change = on_change
        self._on_refusal = on_refusal
        self._content = read(path)
        self._refused = ""
        self.value = parse(self._content)
        self._watcher: asyncio.Task[None] | None = supervise(kind, self._watch, about=path)

    def look(self) -> None:
        """Read the file, and take a change over."""
        try:
            content = self._read(self.path)
            if content == self._content:
                self._refused = ""
                return
            value = self._parse(content)
        except (OSError, ValueError) as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._on_refusal(self._refused)
            return
        before, self.value = self.value, value
        self._content, self._refused = content, ""
        self._on_change(before, value)

    async def close(self) -> None:
        """Stop looking."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.look()
