"""The socket file of one run of a local server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from aiohttp import web

from mcppool.supervision import guard

LAST_ANSWERS: Final = 60.0
"""Seconds at most in which answers of a program that has ended still go to clients, as fast as these read."""


class SocketListener:
    """Serves an application on a socket file, from `open` to `leave`."""

    def __init__(self, app: web.Application, path: Path) -> None:
        self._path = path
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, keepalive_timeout=3600, shutdown_timeout=LAST_ANSWERS
        )
        self._leaving: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self._path)).start()

    async def leave(self) -> asyncio.Task[None]:
        """Accept no more connections and requests. The returned task ends with the last answer."""
        for site in self._runner.sites:
            await site.stop()
        self._leaving = guard("local server", self._runner.cleanup(), about=self._path.name)
        return self._leaving

    async def abort(self) -> None:
        """Close the connections that `leave` has left."""
        if self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        if self._leaving is not None:
            await self._leaving
