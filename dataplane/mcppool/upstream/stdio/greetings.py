"""Processes that hold no state, and are shared by sessions of one protocol version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from mcppool.upstream.stdio.client_messages import client_of, version_of
from mcppool.upstream.stdio.conversation import Callers, Conversation
from mcppool.upstream.stdio.era import Main, greet
from mcppool.wire.versions import LATEST_LEGACY, LEGACY_VERSIONS


class Greetings:
    """The shared processes of one replica, by protocol version."""

    def __init__(self, spawn: Callable[[Callers], Awaitable[Conversation]]) -> None:
        self._spawn = spawn
        self._known: dict[str, tuple[Conversation, bytes]] = {}
        self._lock = asyncio.Lock()

    async def find(self, main: Main, body: bytes) -> tuple[Conversation, bytes]:
        """The process that sessions of one protocol version share, and its answer to `initialize`. The first process
        of the replica, `main`, serves one version.

        It hears of no client capabilities, because it could not ask any one client.
        """
        asked = version_of(body)
        version = asked if asked in LEGACY_VERSIONS else LATEST_LEGACY
        async with self._lock:
            known = self._known.get(version)
            if known is None and version == LATEST_LEGACY and main.greeting is not None:
                known = (main.conversation, main.greeting)
            if known is None or known[0].process.ended.is_set():
                conversation = await self._spawn(Callers.SHARED)
                params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client_of(body)}
                message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
                try:
                    known = (conversation, await greet(conversation, msgspec.json.encode(message)))
                except BaseException:
                    await asyncio.shield(conversation.process.stop())
                    raise
            self._known[version] = known
        return known
