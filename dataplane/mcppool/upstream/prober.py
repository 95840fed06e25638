"""Watches one endpoint: health checks, and the catalog that it reads along with them.

Each round is one conversation on a new connection. A modern server is asked `server/discover`; one that does not know it
is asked to `initialize`, and from then on our own session there is pinged, which also tells whether its process is still
the one that it was. An endpoint that is unreachable is tried again after `reconnect_backoff`, growing and with full jitter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.spec import PoolSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ConnectFailed
from mcppool.upstream.probe import (
    LegacySession,
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
        self.rounds = 0
        self._on_round = on_round
        self._rng = rng or random.Random()
        self._wake = asyncio.Event()
        self._session: LegacySession | None = None
        self._tries = 0
        endpoint.wake_prober = self._wake.set
        self._task = asyncio.create_task(self._run(), name=f"prober {endpoint.key}")

    async def stop(self) -> None:
        """End the task."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._round()
            self.rounds += 1
            self._on_round(self.endpoint)
            self._wake.clear()
            try:
                async with asyncio.timeout(self._wait()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _wait(self) -> float:
        """Seconds until the next round."""
        if self.endpoint.unreachable:
            self._tries += 1
            pool = self.spec.connection_pool
            wait = exponential(self._tries, pool.reconnect_backoff, pool.max_reconnect_backoff)
            return max(full_jitter(wait, self._rng), MIN_RETRY_WAIT)
        self._tries = 0
        interval = self.spec.connection_pool.health_check_interval
        return interval * (1 + INTERVAL_JITTER * (2 * self._rng.random() - 1))

    async def _round(self) -> None:
        endpoint, spec = self.endpoint, self.spec
        try:
            async with open_probe(
                endpoint, spec.health_check.timeout, spec.connection_pool.connection_timeout
            ) as probe:
                await self._converse(probe)
        except ConnectFailed as failure:
            endpoint.refused()
            endpoint.checked(False, spec, failure.detail)
        except AttemptFailed as failure:
            endpoint.checked(False, spec, failure.detail)
        except ProbeFailed as failure:
            endpoint.checked(False, spec, str(failure))
        else:
            endpoint.checked(True, spec)

    async def _converse(self, probe: Probe) -> None:
        discover: bytes | None = None
        if self._session is None:
            try:
                discover = await check_modern(probe)
            except ProbeFailed as modern:
                try:
                    self._session = await open_legacy(probe)
                except ProbeFailed as legacy:
                    raise ProbeFailed(f"no MCP server: {modern}; {legacy}") from legacy
        elif not await check_legacy(probe, self._session):
            self._session = None  # the process was restarted, or it has ended our session: look afresh
            await self._converse(probe)
            return
        self.endpoint.catalog = await read_catalog(probe, self._session, discover)
