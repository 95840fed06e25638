"""A pool at work: its configuration, start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.pipeline.pool.changes import Changes, can_become, compare
from mcppool.pipeline.pool.housekeeping import SWEEP
from mcppool.pipeline.pool.parts import PoolParts
from mcppool.pipeline.redis import make_redis
from mcppool.pipeline.sql import make_sql
from mcppool.policy.adaptive_retry import AdaptiveRetry
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.supervision import guard, supervise
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.wire.sealing import KeyRing

if TYPE_CHECKING:
    from mcppool.pipeline.tracing.calls import Begin, Serve
    from mcppool.pipeline.tracing.pool_tracing import PoolTracing


class ServerPool(PoolParts):
    """All replicas of one MCP server. `serve` answers one call; `begin` begins one without a task, if it
    can. The arguments are those of `PoolParts`."""

    def _assembled(self) -> None:
        self._sweeper: asyncio.Task[None] | None = None
        self.tracing: PoolTracing | None = None
        self.serve: Serve = self.pipeline.serve
        self.begin: Begin = self.pipeline.begin
        self._keep_tracing()
        for endpoint in self._configured(self.spec):
            self.membership.add(endpoint)
        self.renew_candidates()
        self.membership.settle()

    @property
    def probed(self) -> asyncio.Event:
        """Set once each endpoint was checked, or one has answered."""
        return self.membership.probed

    # --- configuration -------------------------------------------------------------------------------------------

    def can_become(self, spec: PoolSpec) -> bool:
        """Whether `configure` can apply `spec`; local servers with another start need a new pool."""
        return can_become(self.spec, spec)

    def configure(self, spec: PoolSpec) -> None:
        """Apply a new specification: add new endpoints, drain missing ones, replace policies."""
        if self.local is not None:
            self.local.configure(spec)
        present = {key: endpoint.spec for key, endpoint in self.endpoints.items()}
        wanted = {endpoint.key: endpoint for endpoint in self._configured(spec)}
        changes = compare(self.spec, spec, present, wanted)
        self.settings.configure(spec)
        if changes.pins:
            self._pin_tools()
        self.picker.configure()
        self._keep_audit()
        self._keep_tracing()
        retry = spec.retry_policy
        self.budget.configure(retry.budget_percent, retry.budget_min_per_second, retry.budget_percent_per_principal)
        self.refusals.configure(retry.budget_min_per_second)
        self.sessions.configure(spec.sessions)
        if changes.adaptive:
            self.retry.adaptive = AdaptiveRetry()  # the learned rates are about other waits
        if changes.tls:
            self.membership.tls = UpstreamTls(spec.tls)
        if changes.outbound:
            self.outbound.configure(spec)
            self.pipeline.on_behalf = self.outbound.on_behalf
        self._configure_stores(changes)
        self._configure_endpoints(changes, wanted)

    def _configure_stores(self, changes: Changes) -> None:
        former, former_sql = self.redis, self.sql
        if changes.sql:
            self.sql = make_sql(self.spec, self.ring, self.metrics.sql_errors)
        if changes.redis:
            self.redis = make_redis(self.spec, self.ring, self.metrics.redis_errors)
            self._share_sessions()
        if changes.admission:
            self.attempts.admission = self._make_admission()  # calls inside the old one leave it there
        caching = self.caching
        if caching is not None and not changes.cache:
            caching.configure(self.spec.cache)
        else:
            if caching is not None:
                self.background.close(caching.close())
            self.pipeline.caching = self._make_caching()
        if changes.redis and former is not None:
            self.background.close(former.close())
        if changes.sql and former_sql is not None:
            self.background.close(former_sql.close())

    def _configure_endpoints(self, changes: Changes, wanted: Mapping[str, EndpointSpec]) -> None:
        for key in changes.removed:
            self.membership.remove(self.endpoints.pop(key))
        for key, endpoint in self.endpoints.items():
            endpoint.reconfigure(wanted[key], self.spec, self.outbound.credentials)
            if endpoint in self.probers:
                self.probers[endpoint].spec = self.spec
        for endpoint_spec in changes.added:
            self.membership.add(endpoint_spec, joining=bool(self.picker.candidates))
        self.renew_candidates()
        self.renew_catalog()

    def renew_ring(self, ring: KeyRing) -> None:
        """Apply changed sealing keys."""
        self.ring = ring
        self.sessions.renew_ring(ring)
        self.pins.renew_ring(ring)
        if self.redis is not None:
            self.redis.renew_ring(ring)
        if self.sql is not None:
            self.sql.renew_ring(ring)

    # --- start and stop ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start to probe and to sweep."""
        self.housekeeping.begin(monotonic())
        self.outbound.start()
        self._sweeper = supervise("sweep", partial(self.housekeeping.run), about=self.name)
        self.membership.start()

    async def drain(self) -> None:
        """Take no new calls, and let calls in flight finish, for at most the drain time."""
        deadline = monotonic() + self.spec.timeouts.drain
        while monotonic() < deadline and any(e.active for e in self.endpoints.values()):  # noqa: ASYNC110 (many ends)
            await asyncio.sleep(SWEEP)

    async def stop(self) -> None:
        """End probers, sweeps and connections, and wait until no descriptor of them is open. A step that fails is
        reported and skips no other."""
        for step in (self._close_stores, self._end_tasks, self._close_connections):
            await guard("shutdown", step(), about=self.name)
        if self.local is not None:
            await guard("shutdown", self.local.stop(), about=self.name)

    def _keep_tracing(self) -> None:
        """Trace the calls from now on, or trace them otherwise, or no more. Calls in flight go on as they began."""
        spec, former = self.spec.tracing, self.tracing
        if former is not None and former.spec == spec:
            return
        self.tracing = None
        if spec.enabled:
            from mcppool.pipeline.tracing.pool_tracing import PoolTracing  # other pools do without

            self.tracing = PoolTracing(spec, self.metrics, self.pipeline.begin, self.pipeline.serve, self.exchange)
        elif former is None:
            return
        traced = self.tracing
        self.serve = self.pipeline.serve if traced is None else traced.calls.serve
        self.begin = self.pipeline.begin if traced is None else traced.calls.begin
        self.attempts.traced = None if traced is None else traced.exchange
        self.hedging.exchange = self.exchange if traced is None else traced.exchange
        self.attempts.durations = self.access_log.durations = None if traced is None else traced.call_durations
        self.sessions.on_end = None if traced is None else traced.session_over
        if former is not None:
            former.close(wait=False)

    async def _close_stores(self) -> None:
        self.trials.close()
        if self.peers is not None:
            self.peers.close()
        if self.caching is not None:
            await guard("shutdown", self.caching.close(), about=f"{self.name} cache")
        if self.redis is not None:
            await guard("shutdown", self.redis.close(), about=f"{self.name} redis")
        if self.sql is not None:
            await guard("shutdown", self.sql.close(), about=f"{self.name} database")

    async def _end_tasks(self) -> None:
        ending = [guard("shutdown", prober.stop(), about=e.key) for e, prober in self.probers.items()]
        ending.append(guard("shutdown", self.outbound.stop(), about=self.name))
        self.probers.clear()
        self.membership.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            ending.append(self._sweeper)
        await asyncio.gather(*ending, return_exceptions=True)
        self.hub.close()
        await self.background.stop()

    async def _close_connections(self) -> None:
        endpoints = [*self.endpoints.values(), *self.endpoints.leaving]
        await asyncio.gather(*(guard("shutdown", e.connections.aclose(), about=e.key) for e in endpoints))
        self.memory.remove_reclaimer(self.sessions.give_way)
        self.sessions.close()
        if self.access_log.audit is not None:
            await asyncio.to_thread(self.access_log.audit.close)
            self.access_log.audit = None
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
            self.tracing = None

    def _configured(self, spec: PoolSpec) -> tuple[EndpointSpec, ...]:
        return tuple(self.local.endpoints if self.local is not None else spec.endpoints)
