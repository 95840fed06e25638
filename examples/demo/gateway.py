"""The gateway as a user starts it, and the data of its admin port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from demo import configuration
from demo.processes import HOST, Child, free_port

LOOKS = 0.2  # seconds between two looks at the admin port


class Gateway(Child):
    """`mcppool serve --config FILE`. `pools` is the part of /status.json about each pool, kept in step while
    `following`."""

    def __init__(self, folder: Path, endpoints: list[int]) -> None:
        port, admin_port = free_port(8080), free_port(9090)
        self.address = f"http://{HOST}:{port}"
        self.admin = f"http://{HOST}:{admin_port}"
        self.pools: dict[str, dict[str, Any]] = {}
        self._looked = asyncio.Event()
        self.file = folder / "pools.toml"
        self.file.write_text(configuration.first(f"{HOST}:{port}", admin_port, endpoints))
        command = [str(Path(sys.executable).with_name("mcppool")), "serve", "--config", str(self.file)]
        super().__init__("the gateway", command, f"{self.admin}/readyz")

    def url(self, pool: str) -> str:
        """The URL for clients of a pool."""
        return f"{self.address}/{pool}/mcp"

    async def page(self, path: str) -> str:
        """A page of the admin port."""
        return await asyncio.to_thread(self._page, path)

    def _page(self, path: str) -> str:
        with urllib.request.urlopen(self.admin + path, timeout=5) as response:
            text: str = response.read().decode()
            return text

    async def look(self) -> None:
        """Ask for the figures now."""
        status = json.loads(await self.page("/status.json"))
        self.pools = {pool["name"]: pool for pool in status["pools"]}
        self._looked.set()

    async def metrics(self, *wanted: str) -> dict[str, float]:
        """These families of /metrics, or single series: each series and its value."""
        lines = (await self.page("/metrics")).splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {
            series: float(value)
            for series, value in found.items()
            if series in wanted or series.partition("{")[0] in wanted
        }

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Keep `pools` in step while in the block."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a gateway that is gone is reported by `check`
                await self.look()
            await asyncio.sleep(LOOKS)

    async def until(self, met: Callable[[], bool], limit: float) -> None:
        """Wait until `met()`, looked at whenever there are new figures. Raises TimeoutError after `limit` seconds."""
        async with asyncio.timeout(limit):
            while not met():
                self._looked.clear()
                await self._looked.wait()
