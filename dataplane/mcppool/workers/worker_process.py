"""One worker as the supervisor sees it, and the place that workers take one after another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.merged_metrics import Sent
from mcppool.workers.restarts import Restarts


class WorkerProcess:
    """One process. `number` is its own; `place` is that of its sockets, from 1."""

    def __init__(self, number: int, place: int, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.place = place
        self.process = process
        self.channel = channel
        self.began = monotonic()
        self.started_at = datetime.now(UTC)
        self.serving = asyncio.Event()
        self.ended = asyncio.Event()
        self.problems: list[str] = []
        self.killed_because = ""
        """Why the supervisor has killed it, if it has."""
        self.last: list[Sent] = []
        """Its metrics at the last look."""

    async def begins(self) -> bool:
        """Wait until it serves, or has ended; returns whether it serves."""
        waits = [asyncio.create_task(event.wait()) for event in (self.serving, self.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.serving.is_set() and not self.ended.is_set()

    async def ask_metrics(self) -> list[Sent] | None:
        """Its metrics, if it has some, which `last` has from now on: it may end while another worker is asked. Raises
        ChannelClosed."""
        answer: list[Sent] | None = await self.channel.ask("page", "metrics")
        if answer is not None:
            self.last = answer
        return answer

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.process.returncode is None:
            try:
                self.process.send_signal(number)
            except ProcessLookupError:
                pass  # it has ended just now


class Place:
    """The sockets of one worker after another, and the worker that has them."""

    def __init__(self, number: int, bound: list[socket.socket]) -> None:
        self.number = number
        self.sockets = bound
        self.restarts = Restarts()
        self.worker: WorkerProcess | None = None
        self.last_end = ""


async def ask_each(
    workers: Iterable[WorkerProcess], timeout: float, ask: Callable[[WorkerProcess], Awaitable[Any]]
) -> list[tuple[WorkerProcess, Any]]:
    """The answers of these workers that are not None, without those that do not come in time."""

    async def one(worker: WorkerProcess) -> tuple[WorkerProcess, Any]:
        try:
            async with asyncio.timeout(timeout):
                return worker, await ask(worker)
        except (TimeoutError, ChannelClosed):
            return worker, None

    found = await asyncio.gather(*map(one, workers))
    return [(worker, answer) for worker, answer in found if answer is not None]


def how_it_ended(status: int) -> str:
    """How a process ended, in words."""
    return f"it ended with signal {-status}" if status < 0 else f"it ended with status {status}"
