"""Session failover: a session moves when its endpoint is lost or forgets it (design §1.7, `sessions.on_loss`).

`reinitialize`: the gateway opens a new upstream session with the client's own parameters, restores its log level and
subscriptions as far as it knows them, and repeats the call as far as its class allows. `fail`: the protocol's 404, on
which a client opens a new session itself.

With `sessions.store = "redis"` another gateway may have moved the session already, or know that its client has ended
it: the gateway asks Redis before anything else. If two gateways move it at once, the new session of one counts for
both.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import monotonic

import msgspec

from mcppool.cache.shared_sessions import Home
from mcppool.observe.logs import get_logger
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.settings import Settings
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, DeadlineExceeded, RequestRejected, SessionGone, SessionRejected
from mcppool.upstream.http.response import NEVER
from mcppool.upstream.probing.failures import ProbeFailed
from mcppool.upstream.probing.legacy_check import check_legacy, open_legacy
from mcppool.upstream.probing.probe import LegacySession, Probe, open_probe
from mcppool.upstream.probing.prober_session import MAX_HANDSHAKE
from mcppool.upstream.timeouts import within
from mcppool.wire.sealing import inflated

MAX_CONTESTS = 3  # tries against other gateways over one move: after that each keeps its own

log = get_logger("session")


@dataclass(slots=True)
class Failover:
    """Moves the sessions of one pool."""

    settings: Settings
    endpoints: Endpoints
    picker: Picker
    outage: Outage
    sessions: Sessions
    probers: Probers
    background: BackgroundTasks

    def settled_home(self, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        """The endpoint where the session lives, if it may stay there; None if `home_of` has to decide."""
        endpoint = self.endpoints.get(session.endpoint)
        if endpoint is None or not endpoint.health.state.available or endpoint in tried:
            return None
        return endpoint

    async def home_of(self, session: Session, tried: tuple[Endpoint, ...], deadline: float = NEVER) -> Endpoint:
        """The endpoint where the session lives, after moving it away from one that is lost, left out or among `tried`.

        Raises SessionGone if it cannot or may not move, NoEndpoint if there is no endpoint to move to, DeadlineExceeded
        if it has not moved by `deadline`.
        """
        endpoint = self.endpoints.holder(session.endpoint)
        stays = self.settings.spec.sessions.on_loss == "fail"
        if endpoint is None or endpoint.lost or endpoint in tried:
            if stays and (endpoint is None or endpoint.health.silences.since is None or self.picker.candidates):
                raise SessionGone(f"the session's endpoint {session.endpoint} is gone")
            return await self.move(session, tried, deadline)
        if stays or endpoint.available or endpoint in self.picker.candidates or not self.picker.candidates:
            return endpoint
        # The endpoint leaves, or answers badly: a write could fail there. A session that cannot move still has a
        # chance.
        try:
            return await self.move(session, tried, deadline)
        except AttemptFailed:
            return endpoint

    async def learn(self, session: Session) -> bool:
        """Take over the session's data of other gateways. False if its client has ended it at one of them."""
        shared = self.sessions.shared
        found = await shared.find(session.token) if shared is not None else None
        if found is None:
            return True
        session.take(found)
        return not found.ended

    async def knows(self, session: Session, endpoint: Endpoint) -> bool:
        """Whether `endpoint` still knows the session, although a proxy in between, or a passing fault, has said
        otherwise."""
        timeout = self.settings.spec.health_check.timeout
        try:
            async with (
                within(timeout),
                open_probe(
                    endpoint, timeout, query=session.query, extra=session.extra, on_behalf=session.on_behalf
                ) as probe,
            ):
                return await check_legacy(probe, LegacySession(session.upstream_id or None, session.claims.version))
        except (AttemptFailed, ProbeFailed, TimeoutError):
            return False

    async def recovers(
        self,
        session: Session,
        endpoint: Endpoint,
        home: tuple[str, str],
        rejected: SessionRejected,
        tried: tuple[Endpoint, ...],
        deadline: float,
    ) -> bool:
        """The endpoint does not know the session: whether it has a new home now. False is the honest answer if the
        process has not restarted: then the session was ended there, or has expired (design §1.7).

        `home` is the endpoint where the session lived when the call was sent: another call, or another gateway, may
        have moved it since. Raises AttemptFailed if no endpoint takes it now, RequestRejected if the server knows it
        after all.
        """
        if rejected.over or self.settings.spec.sessions.on_loss == "fail":
            return False
        if session.home != home:
            return True
        if not await self.learn(session):
            return False
        if session.home != home:
            return True
        if not rejected.lost and await self.probers.survived(endpoint, session.homed_at):
            if await self.knows(session, endpoint):
                raise RequestRejected(rejected)
            return False
        if session.home != home:
            return True
        try:
            await self.move(session, tried, deadline)
        except SessionGone:
            return False
        return True

    async def move(self, session: Session, tried: tuple[Endpoint, ...], deadline: float = NEVER) -> Endpoint:
        """Give the session a new home besides `tried`, another gateway's if there is one.

        All its calls wait for the one move in progress, each until its own `deadline`. Raises SessionGone if it was
        ended or cannot move, NoEndpoint if no endpoint takes it, DeadlineExceeded if the move takes too long for this
        call.
        """
        if session.claims.capabilities is None:
            raise SessionGone("the client's capabilities were too large to be kept in the id of its session")
        if session.moving is None:
            session.moving = asyncio.create_task(self._move(session, tried), name="session move")
            session.moving.add_done_callback(lambda _: _moved(session))
            self.background.adopt(session.moving)
        try:
            async with within(deadline - monotonic()):
                return await asyncio.shield(session.moving)
        except TimeoutError:
            raise DeadlineExceeded("its session found no new endpoint before the call's deadline") from None

    async def _move(self, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint:
        old = session.place
        if not await self.learn(session):
            raise SessionGone("its client has ended it at another gateway")
        if session.place != old and (taken := self._at_home(session, tried)) is not None:
            return taken
        left = session.place  # another call may learn of a new home meanwhile: leave only the old one
        endpoint, opened, tried = await self._open_somewhere(session, tried)
        return await self._settle(session, left, endpoint, opened, tried)

    async def _open_somewhere(
        self, session: Session, tried: tuple[Endpoint, ...]
    ) -> tuple[Endpoint, LegacySession, tuple[Endpoint, ...]]:
        """Open a session at an endpoint besides `tried`; return it and all endpoints tried by then.

        If an endpoint is slow, another one is asked as well after a while: the first to answer gets the session.
        Sessions that others open later are ended. Raises NoEndpoint.
        """
        patience = self.settings.spec.health_check.timeout + self.settings.spec.connection_pool.connection_timeout
        opening: dict[asyncio.Task[LegacySession], Endpoint] = {}
        try:
            while True:
                if candidates := self.picker.others((*tried, *opening.values())):
                    endpoint = self.picker.pick(candidates, monotonic())
                    opening[asyncio.create_task(self._open_at(session, endpoint), name="session move")] = endpoint
                elif not opening:
                    raise self.outage.failure()
                wait = patience if candidates else self.settings.spec.health_check.startup_timeout
                done, _ = await asyncio.wait(opening, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    endpoint = opening[task]
                    failure = task.exception()
                    if failure is None:
                        del opening[task]
                        return endpoint, task.result(), tried
                    if not isinstance(failure, (AttemptFailed, ProbeFailed, TimeoutError)):
                        raise failure
                    del opening[task]
                    log.event(
                        "session_move_failed",
                        pool=self.settings.name,
                        endpoint=endpoint.key,
                        cause=str(failure) or "too slow",
                    )
                    tried = (*tried, endpoint)
                if not done and not candidates:
                    raise DeadlineExceeded(
                        "no other server opened a session for it within health_check.startup_timeout"
                    )
        finally:
            for task, endpoint in opening.items():
                self.background.run(self._end_late(session, endpoint, task))

    async def _end_late(self, session: Session, endpoint: Endpoint, opening: asyncio.Task[LegacySession]) -> None:
        """End a session that is still opening and has no waiting call."""
        try:
            opened = await opening
        except (AttemptFailed, ProbeFailed, TimeoutError):
            return
        await self._end_at(session, endpoint, opened)

    def _at_home(self, session: Session, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        """The session's endpoint according to another gateway, if it can be used here."""
        endpoint = self.endpoints.holder(session.endpoint)
        if endpoint is None or endpoint.lost or endpoint in tried:
            return None
        log.event("session_taken_over", pool=self.settings.name, endpoint=endpoint.key)
        return endpoint

    async def _settle(
        self,
        session: Session,
        left: Home,
        endpoint: Endpoint,
        opened: LegacySession,
        tried: tuple[Endpoint, ...],
    ) -> Endpoint:
        """Live in the new session instead of in `left`, unless another gateway was faster and its home can be used
        here."""
        shared, old = self.sessions.shared, session.endpoint
        new = (endpoint.key, opened.id or "", time.time())
        for _ in range(MAX_CONTESTS if shared is not None else 0):
            assert shared is not None
            found = await shared.move(session.token, left, new, session.log_level, tuple(session.subscriptions))
            if found is None or found.home == new:
                session.told = monotonic()
                break
            session.take(found)
            left = session.place
            other = None if found.ended else self._at_home(session, tried)
            if found.ended or other is not None:
                await self._end_at(session, endpoint, opened)
            if found.ended:
                raise SessionGone("its client has ended it at another gateway")
            if other is not None:
                return other
        session.settle(*new)
        log.event("session_moved", pool=self.settings.name, old=old, endpoint=endpoint.key)
        return endpoint

    def _probe(self, session: Session, endpoint: Endpoint) -> AbstractAsyncContextManager[Probe]:
        """A conversation on behalf of the session's client, with the headers and query of its requests."""
        timeout = self.settings.spec.connection_pool.connection_timeout
        return open_probe(endpoint, timeout, query=session.query, extra=session.extra, on_behalf=session.on_behalf)

    async def _end_at(self, session: Session, endpoint: Endpoint, opened: LegacySession) -> None:
        """End a session that is not needed."""
        with contextlib.suppress(AttemptFailed, ProbeFailed, TimeoutError):
            async with (
                within(self.settings.spec.health_check.timeout),
                self._probe(session, endpoint) as probe,
            ):
                await probe.end(opened)

    async def _open_at(self, session: Session, endpoint: Endpoint) -> LegacySession:
        """The handshake with the client's own parameters, and the state of the old session."""
        claims = session.claims
        await self.probers.witness(endpoint)
        async with within(MAX_HANDSHAKE), self._probe(session, endpoint) as probe:
            opened = await open_legacy(
                probe,
                version=claims.version,
                capabilities=msgspec.Raw(inflated(claims.capabilities) if claims.capabilities is not None else b"{}"),
                client=msgspec.Raw(claims.client),
            )
            try:
                if session.log_level is not None:
                    await probe.legacy(opened, "logging/setLevel", level=session.log_level)
                for uri in list(session.subscriptions):
                    await probe.legacy(opened, "resources/subscribe", uri=uri)
            except (AttemptFailed, ProbeFailed, TimeoutError):
                await self._end_at(session, endpoint, opened)
                raise
        return opened


def _moved(session: Session) -> None:
    task, session.moving = session.moving, None
    if task is not None and not task.cancelled():
        task.exception()  # the waiters have it; without waiters it is not needed
