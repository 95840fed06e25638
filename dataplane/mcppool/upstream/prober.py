"""Watches one endpoint: health checks, the catalog that it reads along with them, and suspicions.

Each check is one conversation on a new connection. A modern server is asked `server/discover`; one that does not know
it is asked to `initialize`, and from then on our own session there is pinged, which also tells whether its process is
still the one that it was. A server that only fails to answer is asked again: one bad moment makes no legacy server of
it. An endpoint that is lost is tried again after `reconnect_backoff`, growing and with full jitter; so is one whose
checks fail.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.spec import PoolSpec
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ConnectFailed
from mcppool.upstream.probe import (
    LegacySession,
    NotModern,
    Probe,
    ProbeFailed,
    check_legacy,
    check_modern,
    open_legacy,
    open_probe,
    read_catalog,
)

INTERVAL_JITTER = 0.1  # checks of many gateways must not fall on the same moment
MIN_RETRY_WAIT = 0.05  # full jitter may give none; a refused connection costs nothing, a busy loop does
PATIENCE = 3  # rounds in which a server may fail to say whether it is modern before `initialize` is tried
FAREWELL = 1.0  # seconds to end our sessions when the endpoint, or the gateway, goes
CATALOG_TIMEOUT = 10.0  # seconds for all pages; a server that answers its check and is slow with its lists is healthy


class Prober:
    """The task that checks one endpoint until it is stopped."""

    def __init__(
        self,
        endpoint: Endpoint,
        spec: PoolSpec,
        *,
        on_round: Callable[[Endpoint], None],
        rng: random.Random | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.spec = spec
        self._on_round = on_round
        self._rng = rng or random.Random()
        self._wake = asyncio.Event()
        self._session: LegacySession | None = None
        self._witness: LegacySession | None = None  # on a server that speaks both eras; `_session` is one by itself
        self._witness_since = 0.0
        self._unclear = 0  # rounds on end that did not tell whether the server is modern
        self._opening: asyncio.Lock = asyncio.Lock()
        self._tries = 0
        self._suspicion: asyncio.Task[None] | None = None
        endpoint.wake_prober = self._wake.set
        self._task = asyncio.create_task(self._run(), name=f"prober {endpoint.key}")

    async def stop(self) -> None:
        """End the tasks, and our sessions there: a server keeps what nobody ends."""
        tasks = [self._task] if self._suspicion is None else [self._task, self._suspicion]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.endpoint.lost is None:
            sessions = [s for s in (self._session, self._witness) if s is not None and s.id is not None]
            await asyncio.gather(*(self._end_session(session) for session in sessions))

    async def _end_session(self, session: LegacySession) -> None:
        try:
            async with asyncio.timeout(FAREWELL), open_probe(self.endpoint, FAREWELL) as probe:
                await probe.end(session)
        except (AttemptFailed, TimeoutError):
            pass  # it expires by itself

    async def ensure_witness(self) -> None:
        """Have a session of our own there, from before a client's, so that `restarted` can tell; best effort."""
        async with self._opening:
            if self._witness is not None or self._session is not None:
                return
            timeout = self.spec.health_check.timeout
            try:
                async with asyncio.timeout(timeout), open_probe(self.endpoint, timeout) as probe:
                    self._witness = await open_legacy(probe)
                    self._witness_since = time.time()
            except (AttemptFailed, ProbeFailed, TimeoutError):
                pass

    async def survived(self, since: float) -> bool:
        """Whether a session of ours that is not younger than `since` (wall-clock seconds) is still known there.

        Then the process has not restarted since, and a client's session that is unknown was ended or has expired.
        """
        witness = self._witness or self._session
        if witness is None or witness.id is None or self._witness_since > since:
            return False
        timeout = self.spec.health_check.timeout
        try:
            async with asyncio.timeout(timeout), open_probe(self.endpoint, timeout) as probe:
                if await check_legacy(probe, witness):
                    return True
        except (AttemptFailed, ProbeFailed, TimeoutError):
            return False
        if self._witness is witness:
            self._witness = None
        return False

    def suspect(self) -> None:
        """A call waits unusually long: look at once whether the endpoint answers anything (DESIGN §5)."""
        if not self.endpoint.suspected:
            self.endpoint.suspected = True
            self._suspicion = asyncio.create_task(self._look(), name=f"suspicion {self.endpoint.key}")

    async def _run(self) -> None:
        while True:
            await self._round()
            self._on_round(self.endpoint)
            self._wake.clear()
            try:
                async with asyncio.timeout(self._wait()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _wait(self) -> float:
        """Seconds until the next round."""
        pool = self.spec.connection_pool
        interval = pool.health_check_interval
        if self.endpoint.lost is not None or self.endpoint.health.failures or not self.endpoint.health.healthy:
            self._tries += 1
            wait = exponential(self._tries, pool.reconnect_backoff, min(pool.max_reconnect_backoff, interval))
            return max(full_jitter(wait, self._rng), MIN_RETRY_WAIT)
        self._tries = 0
        return interval * (1 + INTERVAL_JITTER * (2 * self._rng.random() - 1))

    async def _round(self) -> None:
        """One check, and the catalog after a good one."""
        endpoint, spec = self.endpoint, self.spec
        timeout = spec.health_check.timeout
        try:
            async with open_probe(endpoint, min(timeout, spec.connection_pool.connection_timeout)) as probe:
                async with asyncio.timeout(timeout):
                    discover = await self._check(probe)
                endpoint.checked(True, spec)
                await self._read_catalog(probe, discover)
        except ConnectFailed as failure:
            endpoint.unreached(failure)
            if not failure.ours:
                endpoint.checked(False, spec, failure.detail)
        except AttemptFailed as failure:
            endpoint.checked(False, spec, failure.detail)
        except ProbeFailed as failure:
            endpoint.checked(False, spec, str(failure))
        except TimeoutError:
            endpoint.checked(False, spec, f"a check was not answered within {timeout:g} s")

    async def _check(self, probe: Probe) -> bytes | None:
        """The `server/discover` result, None from a legacy server. Raises where nobody there speaks MCP."""
        if self._session is not None and not await check_legacy(probe, self._session):
            self._session = None  # the process was restarted, or it has ended our session: look afresh
        if self._session is not None and not self._unclear:
            return None
        try:
            discover = await check_modern(probe)
        except NotModern as refusal:
            self._unclear = 0
            modern: ProbeFailed = refusal
        except ProbeFailed as failure:
            self._unclear += 1
            if self._unclear < PATIENCE or (self.endpoint.catalog is not None and self.endpoint.catalog.modern):
                raise
            modern = failure
        else:
            self._unclear = 0
            self._witness, self._session = self._witness or self._session, None
            return discover
        if self._session is None:
            try:
                self._session = await open_legacy(probe)
                self._witness_since = time.time()
            except ProbeFailed as legacy:
                raise ProbeFailed(f"no MCP server: {modern}; {legacy}") from legacy
        return None

    async def _keep_witness(self, probe: Probe) -> None:
        """Use the witness, so that the server does not let it expire."""
        if self._witness is not None and not await check_legacy(probe, self._witness):
            self._witness = None
            await self.ensure_witness()

    async def _read_catalog(self, probe: Probe, discover: bytes | None) -> None:
        try:
            async with asyncio.timeout(CATALOG_TIMEOUT):
                self.endpoint.catalog = await read_catalog(probe, self._session, discover)
                await self._keep_witness(probe)
        except (AttemptFailed, ProbeFailed, TimeoutError) as error:
            self.endpoint.stats.last_fault = f"its catalog could not be read: {error or 'not in time'}"
            if self.endpoint.catalog is None:  # it answers its checks, and what it has but tools can be used
                self.endpoint.catalog = EndpointCatalog(self._session is None, discover)

    async def _look(self) -> None:
        """Whether the endpoint answers a check within `health_check.timeout`: if not, it hangs."""
        endpoint, timeout = self.endpoint, self.spec.health_check.timeout
        try:
            async with asyncio.timeout(timeout), open_probe(endpoint, timeout) as probe:
                if self._session is None:
                    await check_modern(probe)
                else:
                    await check_legacy(probe, self._session)
        except TimeoutError:
            endpoint.stats.last_fault = f"a call waits and a check was not answered within {timeout:g} s"
            endpoint.lose("hung")
        except ConnectFailed as failure:
            endpoint.unreached(failure)
        except (AttemptFailed, ProbeFailed):
            pass  # it answers something, so it does not hang
        finally:
            endpoint.suspected = False
