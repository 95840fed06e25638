"""An open pool of the library: its parts, and the order in which they end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any

from mcppool.client.addresses import Addresses
from mcppool.client.caller import Caller
from mcppool.client.requests import Requests
from mcppool.client.warm_sessions import WarmSessions
from mcppool.pipeline.pool.pool import ServerPool


class RunningPool:
    """The parts of an open pool, from its opening to its end."""

    def __init__(
        self,
        pipeline: ServerPool,
        info: Mapping[str, str],
        capabilities: Mapping[str, Any],
        addresses: Addresses | None,
    ) -> None:
        self.pipeline = pipeline
        self._loop = asyncio.get_running_loop()
        self._addresses = addresses
        ids = count(1)
        self.caller = Caller(pipeline, ids)
        self._housekeeper = Caller(pipeline, ids)
        # Sessions outlive the calls, and there is no client to answer a legacy server's questions: declare no
        # capabilities.
        self.sessions = WarmSessions(self._housekeeper, info, {})
        self.requests = Requests(self.caller, self.sessions, info, capabilities)

    def demand_its_loop(self) -> None:
        """Raises RuntimeError in any other event loop than that of the pool's connections and tasks."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("the pool was opened in another event loop: a pool serves the loop that has opened it")

    async def close(self) -> None:
        """End calls first, then the parts that serve them."""
        if self._addresses is not None:
            await self._addresses.close()
        await self.caller.close()
        await self.sessions.close()
        await self._housekeeper.close()
        await self.pipeline.stop()
