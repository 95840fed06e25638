"""Opens the connections of one endpoint, and reports the results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from time import monotonic

from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection, ConnectionOwner
from mcppool.upstream.http.target import Target

StateEvent = Callable[[str, float], None]
"""Receives each state that a connection enters (`connecting connected reconnecting error closed`, design §10.1), and
the seconds until it did."""


class Dialler:
    """Dials `target`. `on_connect` receives each failure, and None for each success."""

    def __init__(
        self,
        target: Target,
        loop: asyncio.AbstractEventLoop,
        on_connect: Callable[[ConnectFailed | None], None],
        on_state: StateEvent,
    ) -> None:
        self.target = target
        self._loop = loop
        self._on_connect = on_connect
        self._on_state = on_state
        self._failed = False  # the last attempt to connect failed

    async def open(self, owner: ConnectionOwner, timeout: float, cause: Context | None = None) -> Connection:
        """A new connection for `owner`. `cause` is the context of the call that needs it, which results are reported
        in; default, the present one. Raises ConnectFailed."""
        started = monotonic()
        report = copy_context().run if cause is None else cause.run
        report(self._on_state, "reconnecting" if self._failed else "connecting", 0.0)
        try:
            connection = await self.target.connect(self._loop, owner, timeout)
        except ConnectFailed as failure:
            self._failed = True
            report(self._on_state, "error", monotonic() - started)
            report(self._on_connect, failure)
            raise
        self._failed = False
        report(self._on_state, "connected", monotonic() - started)
        report(self._on_connect, None)
        return connection
