"""Warm sessions with legacy servers, for callers without a session (design §2.8).

They are opened ahead of demand and leased to one call at a time. A used one is leased again only if the pool declares
that its server's sessions hold no state; otherwise it is ended and another one is opened, both in the background.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, TypeVar

from mcppool.client.answer import Answer, result_of
from mcppool.client.caller import Caller
from mcppool.client.errors import CallFailed, RpcError
from mcppool.client.messages import legacy_lines, notification_bytes, request_bytes
from mcppool.client.server_info import ServerInfo, info_of_initialize
from mcppool.pipeline.sessions.session import Session
from mcppool.spec import ConnectionPoolSpec
from mcppool.upstream.timeouts import within
from mcppool.wire.era import Era
from mcppool.wire.errors import Reason
from mcppool.wire.media_types import MESSAGE_HEADERS
from mcppool.wire.versions import LATEST_LEGACY, LEGACY_VERSIONS

T = TypeVar("T")


@dataclass(slots=True)
class WarmSession:
    """One session.

    `session` is None if the server keeps none: then any endpoint may have its calls. `opened` and `last_used` are
    monotonic times.
    """

    session: Session | None
    version: str
    lines: bytes
    opened: float
    last_used: float


class WarmSessions:
    """The warm sessions of one pool.

    At most `max_connections` sessions for each endpoint are leased or being ended at a time; `min_connections` for each
    endpoint are kept ready.
    """

    def __init__(self, caller: Caller, info: Mapping[str, str], capabilities: Mapping[str, Any]) -> None:
        self._caller = caller
        self._pool = caller.pool
        self._opening = {"protocolVersion": LATEST_LEGACY, "capabilities": capabilities, "clientInfo": info}
        self.described: ServerInfo | None = None
        """The description in the newest handshake; None before the first."""
        self._shelf: deque[WarmSession] = deque()
        self._leased: dict[int, WarmSession] = {}
        self._slots = asyncio.Semaphore(max(1, self._limits.max_connections * max(1, len(self._pool.endpoints))))
        self._waiting = 0
        self._stocking = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def ready(self) -> int:
        """Number of ready sessions."""
        return len(self._shelf)

    def stock(self) -> None:
        """Open sessions up to the minimum, in the background."""
        floor = self._limits.min_connections * len(self._pool.endpoints)
        while not self._closed and len(self._shelf) + self._stocking < floor:
            self._stocking += 1
            self._spawn(self._open_ahead())

    async def lease(self) -> WarmSession:
        """A session for one call; call `give_back` afterwards.

        Raises CallFailed if nothing of the call was sent, or RpcError if the server refuses the handshake.
        """
        limits = self._limits
        if self._slots.locked() and self._waiting >= limits.max_waiting:
            raise CallFailed(Reason.QUEUE_FULL, delivered="no", attempts=0, retry_after=limits.acquire_timeout)
        self._waiting += 1
        try:
            async with within(limits.acquire_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise CallFailed(Reason.ACQUIRE_TIMEOUT, delivered="no", attempts=0) from None
        finally:
            self._waiting -= 1
        try:
            if self._closed:
                raise CallFailed(Reason.SHUTTING_DOWN, delivered="no", attempts=0)
            warm = self._take() or await self._open_now()
        except CallFailed as failure:
            self._slots.release()
            # The handshake failed: whatever its outcome, the call itself was not sent.
            raise CallFailed(
                failure.reason, delivered="no", attempts=failure.attempts, retry_after=failure.retry_after
            ) from failure
        except BaseException:
            self._slots.release()
            raise
        self._leased[id(warm)] = warm
        return warm

    def give_back(self, warm: WarmSession, *, abandoned: int | None = None) -> None:
        """The call is over; `abandoned` is the id of a request that may still run in the session."""
        warm.last_used = monotonic()
        self._leased.pop(id(warm), None)
        if self._closed:
            self._slots.release()  # waiters learn that there are no more sessions
            return
        if abandoned is None and (warm.session is None or self._pool.spec.sessions.stateless):
            self._shelf.append(warm)
            self._slots.release()
        else:
            self._spawn(self._retire(warm, abandoned))
        self.stock()

    async def close(self) -> None:
        """End all sessions, leased ones too, within the time that a health check may take."""
        self._closed = True
        try:
            async with asyncio.timeout(self._pool.spec.health_check.timeout):
                await self._settle()  # a session must be open before it can be ended
                for warm in (*self._shelf, *self._leased.values()):
                    self._spawn(self._end(warm))
                await self._settle()
        except TimeoutError:
            pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- inside --------------------------------------------------------------------------------------------------

    @property
    def _limits(self) -> ConnectionPoolSpec:
        return self._pool.spec.connection_pool

    def _take(self) -> WarmSession | None:
        """The session that has been ready for longest, to spread the use; ends sessions that are too old."""
        limits = self._limits
        while self._shelf:
            warm, now = self._shelf.popleft(), monotonic()
            age = limits.max_connection_age or inf
            if now - warm.last_used < limits.max_idle_time and now - warm.opened < age:
                return warm
            self._spawn(self._end(warm))
        return None

    async def _open_now(self) -> WarmSession:
        """Open one for a waiting call; if the call gives up meanwhile, the session becomes a ready one."""
        opening = self._spawn(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._keep)
            raise

    def _keep(self, opening: asyncio.Task[WarmSession]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._shelf.append(opening.result())

    async def _open(self) -> WarmSession:
        """The handshake, through the pipeline: another endpoint takes over if one fails."""
        caller = self._caller
        id = caller.next_id()
        answer = Answer()
        body = request_bytes(id, "initialize", self._opening)
        outcome = await caller.send(body, MESSAGE_HEADERS, Era.LEGACY, answer)
        result = result_of(answer, b"%d" % id, outcome)
        version = result.get("protocolVersion")
        if version not in LEGACY_VERSIONS:
            raise CallFailed(
                Reason.BAD_UPSTREAM_ANSWER, delivered="yes", attempts=outcome.attempts,
                message=f"initialize was answered with protocol version {version!r}",
            )  # fmt: skip
        self.described = info_of_initialize(result)
        token = answer.session_token
        session = self._pool.sessions.open(token) if token else None
        lines, now = legacy_lines(version), monotonic()
        initialized = notification_bytes("notifications/initialized")
        await caller.send(initialized, lines, Era.LEGACY, Answer(), session=session)
        return WarmSession(session, version, lines, now, now)

    async def _open_ahead(self) -> None:
        try:
            self._shelf.append(await self._open())
        except (CallFailed, RpcError):
            pass  # the next call that needs one tries again, and gets the error
        finally:
            self._stocking -= 1

    async def _retire(self, warm: WarmSession, abandoned: int | None) -> None:
        try:
            if abandoned is not None:
                await self._cancel(warm, abandoned)
            await self._end(warm)
        except CallFailed:
            pass  # the pool was closed
        finally:
            self._slots.release()

    async def _cancel(self, warm: WarmSession, id: int) -> None:
        """Send a cancellation: in this era the end of the connection does not cancel."""
        if warm.session is not None and self._caller.reaches(warm.session):
            body = notification_bytes("notifications/cancelled", {"requestId": id})
            await self._caller.send(body, warm.lines, Era.LEGACY, Answer(), session=warm.session)

    async def _end(self, warm: WarmSession) -> None:
        if warm.session is not None:
            await self._caller.end(warm.session, warm.lines)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="warm session")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
