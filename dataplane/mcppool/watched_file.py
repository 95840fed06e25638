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


class FileValue(Generic[C, T]):
    """The `value` of a file: `parse` makes it of the content that `read` returns.

    `on_refusal` is called with the reason why a changed file cannot be used. Raises the `errors` that `read` and
    `parse` raise, if the file cannot be used at first.
    """

    def __init__(
        self,
        path: str,
        read: Callable[[str], C],
        parse: Callable[[C], T],
        on_refusal: Callable[[str], None],
        errors: tuple[type[Exception], ...] = (OSError, ValueError),
    ) -> None:
        self.path = path
        self._read = read
        self._parse = parse
        self._on_refusal = on_refusal
        self._errors = errors
        self._content = read(path)
        self._refused = ""
        self.value = parse(self._content)

    def look(self) -> bool:
        """Read the file, and take a change over; returns whether there was one."""
        try:
            content = self._read(self.path)
            if content == self._content:
                self._refused = ""
                return False
            value = self._parse(content)
        except self._errors as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._on_refusal(self._refused)
            return False
        self.value = value
        self._content, self._refused = content, ""
        return True


class WatchedFile(FileValue[C, T]):
    """A file that is looked at until `close`. `on_change` is called with the former value and the new one."""

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
        super().__init__(path, read, parse, on_refusal)
        self._on_change = on_change
        self._watcher: asyncio.Task[None] | None = supervise(kind, lambda: keep_looking(self.look), about=path)

    def look(self) -> bool:
        """Read the file, and take a change over; returns whether there was one."""
        before = self.value
        changed = super().look()
        if changed:
            self._on_change(before, self.value)
        return changed

    async def close(self) -> None:
        """Stop looking."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)


async def keep_looking(look: Callable[[], object]) -> None:
    """Call `look` every `INTERVAL` seconds, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        look()
