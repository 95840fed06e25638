"""The prober's own session at one endpoint, and the check that the server has answered on it.

A handshake that the prober no longer waits for runs to its end, so that its session is known and can be ended. Checks
ask only for what the server has answered before: some servers ignore methods that they do not know, `ping` among them.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ConnectFailed
from mcppool.upstream.probing.check_times import CheckTimes
from mcppool.upstream.probing.failures import ProbeFailed
from mcppool.upstream.probing.legacy_check import check_legacy, open_legacy
from mcppool.upstream.probing.probe import LegacySession, open_probe
from mcppool.upstream.timeouts import within

FAREWELL = 1.0  # seconds to end a session of the prober
CHECKS = ("ping", "tools/list", "prompts/list", "resources/list")  # methods that can check a legacy server
MAX_HANDSHAKE = 300.0  # seconds until a handshake without a waiter is abandoned
INITIALIZE = "initialize"  # the check of a server that answers none of those


class ProberSession:
    """`current` is None while there is no session. `since` is the wall-clock time (seconds) at which it was opened.
    `asks` is the check that the server has answered on it; None until one is found."""

    def __init__(self, endpoint: Endpoint, times: CheckTimes) -> None:
        self.current: LegacySession | None = None
        self.since = 0.0
        self.asks: str | None = None
        self._endpoint = endpoint
        self._times = times
        self._handshake: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def proven(self) -> bool:
        """Whether the server has answered a check other than a new handshake."""
        return self.current is not None and self.asks not in (None, INITIALIZE)

    def gone(self) -> None:
        """The address has no listener now: the next one may be another server."""
        if self._handshake is not None:
            self._handshake.cancel()
        if self.asks in (None, INITIALIZE):
            self.current = None  # none of its checks tells whether the session is known

    async def ensure(self) -> None:
        """Open a session, if that works within `health_check.timeout`."""
        if self.current is None:
            with suppress(AttemptFailed, ProbeFailed, TimeoutError):
                async with within(self._times.spec.health_check.timeout):
                    await asyncio.shield(self.handshake())

    async def stop(self) -> None:
        """End the prober's session, because a server keeps sessions that nobody ends."""
        handshake = self._handshake
        if handshake is not None:
            with suppress(TimeoutError):
                async with within(FAREWELL):
                    await asyncio.wait({handshake})
            handshake.cancel()
            await asyncio.wait({handshake})
        await self.forget()
        if self._farewells:
            await asyncio.wait(self._farewells)

    def handshake(self) -> asyncio.Task[None]:
        """The one handshake in progress. It is never cancelled: a session whose id never arrives could not be ended."""
        if self._handshake is None:
            self._handshake = asyncio.create_task(self._shake(), name=f"handshake {self._endpoint.key}")
            self._handshake.add_done_callback(self._shaken)
        return self._handshake

    def _shaken(self, task: asyncio.Task[None]) -> None:
        self._handshake = None
        if not task.cancelled():
            task.exception()  # the waiter has it

    async def _shake(self) -> None:
        async with (
            within(max(MAX_HANDSHAKE, self._times.spec.health_check.startup_timeout)),
            open_probe(self._endpoint, self._times.spec.connection_pool.connection_timeout) as probe,
        ):
            self._endpoint.health.contact(True)
            with self._times.timed():
                self.current = await open_legacy(probe)
        self.since = time.time()
        self.asks = None

    async def forget(self) -> None:
        """End the prober's session, which the server may have forgotten. That goes on if the caller is cancelled:
        nothing else knows the session's id."""
        session, self.current = self.current, None
        if session is None or session.id is None or self._endpoint.lost:
            return
        farewell = asyncio.create_task(self._end(session), name=f"farewell {self._endpoint.key}")
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)
        await asyncio.shield(farewell)

    async def _end(self, session: LegacySession) -> None:
        with suppress(AttemptFailed, TimeoutError):  # it expires by itself
            async with within(FAREWELL), open_probe(self._endpoint, FAREWELL) as probe:
                await probe.end(session)

    async def ask(self, session: LegacySession, method: str) -> bool:
        """Whether the server knows `session`; `current` may change meanwhile. Raises AttemptFailed, ProbeFailed
        or TimeoutError."""
        async with within(self._times.patience):
            return await self.put(session, method)

    async def put(self, session: LegacySession, method: str) -> bool:
        """The same as `ask`, without a time limit."""
        async with open_probe(self._endpoint, self._times.connect_timeout) as probe:
            self._endpoint.health.contact(True)
            with self._times.timed():
                return await check_legacy(probe, session, method)

    async def passes_check(self) -> bool:
        """Whether the server passes the check that it has answered before, however long it takes."""
        session, method = self.current, self.asks
        return session is not None and method is not None and await self.put(session, method)

    async def check(self) -> bool:
        """Whether the server knows the session, by the check that it has answered before; without one, find one.

        Raises AttemptFailed, ProbeFailed or TimeoutError.
        """
        session = self.current
        if session is None or self.asks == INITIALIZE:
            return await self._renew()
        if self.asks is not None:
            try:
                return await self.ask(session, self.asks)
            except TimeoutError:
                if self._times.first and self.current is session:
                    self.current = None  # another process may stay silent on a session that it does not know
                raise
        unknown = False
        for method in CHECKS:
            try:
                if await self.ask(session, method):
                    self.asks = method
                    return True
                unknown = True
            except ConnectFailed:
                raise
            except (TimeoutError, AttemptFailed, ProbeFailed):
                pass  # it may not know this session
        return False if unknown else await self._renew()

    async def _renew(self) -> bool:
        """The check of a server that answers only `initialize`: a new session replaces the old one."""
        await self.forget()
        await asyncio.shield(self.handshake())
        self.asks = INITIALIZE
        return True
