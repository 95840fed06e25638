"""Tasks that outlive the call which started them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from mcppool.supervision import guard


class BackgroundTasks:
    """Runs tasks in the background, so that stopping a pool leaves none behind."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; `stop` cancels it."""
        self.adopt(guard("afterwards", coroutine, about=self._name))

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Make `stop` cancel a task that is not done by then."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def close(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Close something in the background; `stop` waits for it."""
        task = guard("shutdown", coroutine, about=self._name)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Cancel all tasks and wait for their end. An ending task may start others, which end too."""
        while self._running:
            running = tuple(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)
