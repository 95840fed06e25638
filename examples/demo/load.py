"""Callers that use one MCP client of the official SDK, and count their results."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp import Client

Kind = Callable[[], Awaitable[Any]]


@dataclass
class Figures:
    """The results of the callers. Latencies are of the last 2,000 calls, in seconds."""

    calls: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=2_000))

    def latency(self, percent: int) -> float:
        """A percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1_000 if ordered else 0.0


class Load:
    """`async with Load(kinds, callers=4, pause=0.05) as load`: calls go on, until the block is left.

    Each caller makes one kind of call after another, from the first again after the last, and waits `pause` seconds in
    between; `pause` may be changed meanwhile.
    """

    def __init__(self, kinds: Sequence[Kind], callers: int, pause: float) -> None:
        self.figures = Figures()
        self.pause = pause
        self._kinds = kinds
        self._callers = callers
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, number: int) -> None:
        while True:
            kind = self._kinds[number % len(self._kinds)]
            number += 1
            started = time.perf_counter()
            try:
                await kind()
            except Exception as error:  # the figures include every failure that a client sees
                self.figures.failed += 1
                self.figures.errors[str(error)] += 1
            self.figures.calls += 1
            self.figures.latencies.append(time.perf_counter() - started)
            await asyncio.sleep(self.pause)


def everything_calls(client: Client) -> list[Kind]:
    """Calls of the everything server: tools, a resource, a prompt."""
    return [
        lambda: client.call_tool("test_simple_text", {}),
        lambda: client.read_resource("test://static-text"),
        lambda: client.call_tool("test_multiple_content_types", {}),
        lambda: client.get_prompt("test_simple_prompt", {}),
    ]


def troubled_calls(client: Client) -> list[Kind]:
    """Calls of the server with the switch: three of one tool to one of another."""
    return [
        lambda: client.call_tool("look_up", {"word": "pool"}),
        lambda: client.call_tool("look_up", {"word": "replica"}),
        lambda: client.call_tool("look_up", {"word": "gateway"}),
        lambda: client.call_tool("convert", {"celsius": 20}),
    ]
