"""The probers of a pool's endpoints, for the steps of a call."""

from __future__ import annotations

from math import inf
from time import monotonic

from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.settings import Settings
from mcppool.policy.backoff import endpoint_shortage
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.prober import Prober


class Probers(dict[Endpoint, Prober]):
    """One prober for each watched endpoint."""

    def __init__(self, settings: Settings, endpoints: Endpoints) -> None:
        super().__init__()
        self._settings = settings
        self._endpoints = endpoints
        self._looked = -inf

    async def witness(self, endpoint: Endpoint) -> None:
        """Open the prober's own session at `endpoint`, so that it is older than the client's."""
        prober = self.get(endpoint)
        if prober is not None:
            await prober.ensure_witness()

    async def survived(self, endpoint: Endpoint, since: float) -> bool:
        """Whether the process behind `endpoint` is certainly the same as at `since` (wall-clock seconds)."""
        prober = self.get(endpoint)
        return prober is not None and await prober.survived(since)

    def suspect(self, endpoint: Endpoint) -> None:
        """Check an endpoint at once: a call waits unusually long there."""
        prober = self.get(endpoint)
        if prober is not None:
            prober.suspect()

    def check_lost(self) -> None:
        """Check lost endpoints now, however long their back-off has become, because a call has found no endpoint.

        At most once in `reconnect_backoff`, to limit the load on a server.
        """
        now = monotonic()
        if now - self._looked < self._settings.spec.connection_pool.reconnect_backoff:
            return
        self._looked = now
        self.wake_lost()

    def longest_wait(self) -> float:
        """Upper bound in seconds on the wait before the next check of an unavailable endpoint: short while fewer than
        half of all are available."""
        endpoints = self._endpoints.values()
        return endpoint_shortage(sum(e.available for e in endpoints), len(endpoints))

    def wake_lost(self) -> None:
        """Check lost endpoints now."""
        for endpoint in self._endpoints.values():
            if endpoint.lost:
                endpoint.wake_prober()
