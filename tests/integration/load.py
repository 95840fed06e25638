"""Callers that only read, through the official SDK's client, while a test does something to the servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from mcp import Client


class Load:
    """`answered` counts calls by the replica that answered; `failed` has the messages of those that failed."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []

    def has(self, name: str, wanted: int) -> bool:
        """Whether a replica has answered `wanted` calls."""
        return self.answered[name] >= wanted

    async def call(self, client: Client) -> None:
        """Call `whoami` over and over."""
        while True:
            try:
                answer = await client.call_tool("whoami", {})
                self.answered[answer.structured_content["name"]] += 1
            except Exception as error:
                self.failed.append(repr(error))
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def reading(url: str, callers: int = 4) -> AsyncIterator[Load]:
    """Calls go on while in the block."""
    load = Load()
    async with Client(url) as client:
        tasks = [asyncio.create_task(load.call(client)) for _ in range(callers)]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
