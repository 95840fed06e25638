"""The replicas of a pool whose server is a local program."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.stdio.slot import Slot

OnEvent = Callable[[str, str, str], None]
"""Told the endpoint's key, what happened, and what there is to say."""

DEFAULT_REPLICAS = 3
HOST = "stdio.invalid"  # RFC 6761: no such host exists, so that nothing is ever looked up or reached by mistake


class StdioServers:
    """One slot for each replica, in a directory of its own that only this user can enter."""

    def __init__(self, spec: PoolSpec, on_event: OnEvent) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="mcppool-")
        count = spec.replicas or DEFAULT_REPLICAS
        self.endpoints = tuple(
            EndpointSpec(url=f"http://{spec.name}-{index}.{HOST}/mcp", host="localhost") for index in range(count)
        )
        self._paths = {e.url: Path(self._directory.name) / str(i) for i, e in enumerate(self.endpoints)}
        self._slots = [Slot(path, spec.command, spec, partial(on_event, key)) for key, path in self._paths.items()]

    def path(self, key: str) -> str | None:
        """The socket file of an endpoint."""
        path = self._paths.get(key)
        return str(path) if path is not None else None

    async def stop(self) -> None:
        """End all processes."""
        await asyncio.gather(*(slot.stop() for slot in self._slots))
        self._directory.cleanup()
