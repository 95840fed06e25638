"""The era of the server at one endpoint, and its checks.

The prober asks a new server `server/discover`. A result makes it a modern server, a clear refusal a legacy one.
Silence, a broken connection, a 5xx or garbage decide nothing: the prober tries `initialize` in the same round, so that
legacy clients are served, and asks `server/discover` a few more times before it takes the server for a legacy one. A
finding that rests on such answers is revised as soon as the server answers `server/discover` after all.

Servers that authenticate the clients themselves (`auth.inbound.type = "passthrough"`) refuse checks, which carry no
credentials. There, HTTP 401 and 403 are passed checks; the era stays unknown. A server that refuses `server/discover`
in this way is a legacy one only if it answers other checks.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mcppool.spec import PoolSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ConnectFailed
from mcppool.upstream.probing.check_times import CheckTimes
from mcppool.upstream.probing.failures import ChecksRefused, HandshakeRefused, NotModern, ProbeFailed, wants_more
from mcppool.upstream.probing.legacy_check import check_legacy
from mcppool.upstream.probing.modern_check import check_modern
from mcppool.upstream.probing.probe import LegacySession, open_probe
from mcppool.upstream.probing.prober_session import CHECKS, ProberSession
from mcppool.upstream.timeouts import within

PATIENCE = 3  # unclear answers to `server/discover` before a server is taken for a legacy one
MODERN_PATIENCE = 10  # the same for a server that has been modern: a passing fault must not change its era
REVISIT = 20  # checks of a legacy server before it is asked `server/discover` again
CHALLENGES = (401, 403)  # statuses of a server that authenticates clients and works


class EraFinder:
    """The facts about the server at `endpoint`. `modern` is None until the era is settled."""

    def __init__(self, endpoint: Endpoint, spec: PoolSpec) -> None:
        self.endpoint = endpoint
        self.modern: bool | None = None
        self._times = CheckTimes(endpoint, spec)
        self._session = ProberSession(endpoint, self._times)
        self._unclear = 0  # unclear answers to `server/discover` in a row
        self._checks = 0  # checks of a legacy server since it was last asked `server/discover`
        self._guarded = False  # the last check was refused by a server that authenticates the clients itself

    @property
    def spec(self) -> PoolSpec:
        """The specification in force."""
        return self._times.spec

    @spec.setter
    def spec(self, spec: PoolSpec) -> None:
        self._times.spec = spec

    @property
    def session(self) -> LegacySession | None:
        """The prober's own session at the server."""
        return self._session.current

    @property
    def patience(self) -> float:
        """Seconds that a check may take now."""
        return self._times.patience

    @property
    def unsettled(self) -> bool:
        """Whether `server/discover` should be asked again soon."""
        return (self.modern is None or self._unclear > 0) and not self._guarded

    @property
    def proven(self) -> bool:
        """Whether this server has answered some check before: only then does its silence mean anything."""
        return bool(self.modern) or self._guarded or self._session.proven

    def gone(self) -> None:
        """The address has no listener now: the next one may be another server."""
        self._session.gone()
        self._times.gone()
        self.modern = None
        self._unclear = 0
        self._guarded = False

    async def check(self) -> bytes | None:
        """One check. Returns the `server/discover` result, None from a legacy server or while the era is not settled.

        Raises AttemptFailed, ProbeFailed or TimeoutError if the check failed.
        """
        try:
            discover = await self._check()
        except ProbeFailed as failure:
            if not self._challenges(failure):
                raise
            self._guarded, discover = True, None
        self._times.first = False
        return discover

    async def answers_slowly(self) -> bool:
        """After a check that took too long: whether the server passes a check within `health_check.startup_timeout`.
        Its pace is remembered."""
        try:
            async with within(self.spec.health_check.startup_timeout):
                if self._guarded:
                    await self.ask()
                elif self.modern:
                    await self._discover()
                elif not await self._session.passes_check():
                    return False
        except (AttemptFailed, ProbeFailed, TimeoutError):
            return False
        self._times.pace.believe()
        return True

    async def _check(self) -> bytes | None:
        if self._guarded:
            try:
                async with within(self.patience):
                    await self._discover()
            except ProbeFailed as failure:
                if self._challenges(failure):
                    raise
            self._guarded = False  # this server, or the next one at the address, lets checks in
        if self.modern:
            return await self._check_modern()
        if self.session is not None:
            if await self._session.check():
                self._checks += 1
                if not self.unsettled and self._checks < REVISIT:
                    return None
            else:
                await self._session.forget()
        return await self._find()

    def _challenges(self, failure: ProbeFailed) -> bool:
        """Whether a check failed only because the server authenticates the clients itself."""
        return self.spec.auth.inbound.type == "passthrough" and failure.status in CHALLENGES

    async def ask(self) -> None:
        """Ask for what the server has answered before (`proven`); returns with its answer, whatever its content and
        however long it takes. Raises AttemptFailed."""
        async with open_probe(self.endpoint, self._times.connect_timeout) as probe:
            with suppress(ProbeFailed):  # an answer, too
                if self.modern or self.session is None:
                    await check_modern(probe)
                else:
                    await check_legacy(probe, self.session, self._session.asks or CHECKS[0])

    async def prove(self) -> None:
        """Find a check that a legacy server answers, so that its silence can be told from its ignorance. A server that
        took long for its first check is asked once more, because it may only have been starting."""
        if self.modern and self._times.pace.uncertain(self.spec.health_check.timeout):
            await self.answers_slowly()
        if self.session is not None and not self.modern and self._session.asks is None:
            with suppress(AttemptFailed, ProbeFailed, TimeoutError):
                await self._session.check()

    async def ensure_session(self) -> None:
        """Open a session of the prober there, if that works within `health_check.timeout`."""
        await self._session.ensure()

    async def keep_session(self) -> None:
        """Use the prober's session on a modern server, so that it does not expire there; open a new one where it
        has."""
        session = self.session
        if self.modern and session is not None and not await self._session.ask(session, CHECKS[0]):
            if self.session is session:
                await self._session.forget()
            await self._session.ensure()

    async def survived(self, since: float) -> bool:
        """Whether the server still knows the prober's session, opened no later than `since` (wall-clock seconds)."""
        own, session = self._session, self.session
        if session is None or session.id is None or own.since > since:
            return False
        try:
            if await own.ask(session, own.asks if own.asks is not None and own.proven else CHECKS[0]):
                return True
        except (AttemptFailed, ProbeFailed, TimeoutError):
            return False
        if self.session is session and self.modern:
            own.current = None
        return False

    async def stop(self) -> None:
        """End the prober's session, because a server keeps sessions that nobody ends."""
        await self._session.stop()

    # --- inside --------------------------------------------------------------------------------------------------

    async def _discover(self) -> bytes:
        async with open_probe(self.endpoint, self._times.connect_timeout) as probe:
            self.endpoint.health.contact(True)
            with self._times.timed():
                return await check_modern(probe)

    async def _check_modern(self) -> bytes | None:
        try:
            async with within(self.patience):
                discover = await self._discover()
        except NotModern:
            self.modern = None
            return await self._find()
        except (ConnectFailed, TimeoutError):
            raise
        except (AttemptFailed, ProbeFailed):
            self._unclear += 1
            if self._unclear < MODERN_PATIENCE:
                raise
            return await self._find()
        self._unclear = 0
        return discover

    async def _find(self) -> bytes | None:
        """Ask `server/discover`, and open a session if that gives no result."""
        catalog = self.endpoint.catalog
        returns = self.session is None and catalog is not None and not catalog.modern  # a legacy server that was away
        asking = asyncio.create_task(self._discover())
        try:
            await asyncio.wait({asking}, timeout=0 if returns else self.spec.health_check.timeout)
            refused = asking.done() and isinstance(asking.exception(), ConnectFailed)
            if self.session is None and not refused and not _succeeded(asking):
                await self._meet(asking)
            await self._demand_admission(asking)
            return self._conclude(asking)
        finally:
            asking.cancel()
            await asyncio.wait({asking})
            if not asking.cancelled():
                asking.exception()  # retrieved

    async def _meet(self, asking: asyncio.Task[bytes]) -> None:
        """Open a session, unless `server/discover` gives a result meanwhile."""
        opening = self._session.handshake()
        async with within(self.spec.health_check.startup_timeout):
            while not _succeeded(asking):
                if opening.done() and (self.session is not None or asking.done()):
                    break
                pending = {task for task in (asking, opening) if not task.done()}
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if self.session is None and not _succeeded(asking):
            failure = opening.exception() if opening.done() and not opening.cancelled() else None
            if isinstance(failure, ConnectFailed):
                raise failure
            refusal = asking.exception()
            if isinstance(failure, ProbeFailed) and wants_more(failure.status) and _wants_more(refusal):
                raise ChecksRefused(f"checks are refused with HTTP {failure.status}", failure.status)
            if isinstance(failure, HandshakeRefused):
                raise failure
            raise ProbeFailed(f"no MCP server: {refusal}; {failure or 'initialize was not answered'}")

    async def _demand_admission(self, asking: asyncio.Task[bytes]) -> None:
        """Raises ChecksRefused if the server opens sessions for everyone, and refuses all else without a credential:
        its 401 to `server/discover` says nothing about its era."""
        refusal = asking.exception() if asking.done() else None
        if self.session is None or not isinstance(refusal, NotModern) or refusal.status not in CHALLENGES:
            return
        if self._session.asks is None and not await self._session.check():
            await self._session.forget()
            raise ChecksRefused(f"checks are refused with HTTP {refusal.status}", refusal.status)

    def _conclude(self, asking: asyncio.Task[bytes]) -> bytes | None:
        """Conclude the era from the answer to `server/discover`, or from the lack of one."""
        self._checks = 0
        if _succeeded(asking):
            self._unclear = 0
            self.modern = True
            return asking.result()
        failure = asking.exception() if asking.done() else None
        if isinstance(failure, ConnectFailed):
            raise failure
        if isinstance(failure, NotModern):
            self._unclear = 0
            self.modern = False
            return None
        # Silence of a server that answers `initialize` says more than an error, which may be a passing fault.
        self._unclear = max(self._unclear + 1, PATIENCE if failure is None else 0)
        if self._unclear >= (MODERN_PATIENCE if self.modern else PATIENCE):
            self.modern = False
        return None


def _wants_more(failure: BaseException | None) -> bool:
    return isinstance(failure, ProbeFailed) and wants_more(failure.status)


def _succeeded(asking: asyncio.Task[bytes]) -> bool:
    return asking.done() and not asking.cancelled() and asking.exception() is None
