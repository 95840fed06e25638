"""Makes the event loop gather writes from now on, as it does under load."""

from __future__ import annotations

import asyncio

from mcppool.flush_queue import AT_ONCE, FlushQueue, flush_queue_of


class Writer:
    """Counts its flushes."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


def gather_writes(queue: FlushQueue | None = None) -> None:
    """Make the writes that are made at once; the next ones wait for the end of their turn."""
    queue = queue or flush_queue_of(asyncio.get_running_loop())
    for _ in range(AT_ONCE):
        queue.add(Writer())
