"""The endpoints of a pool: they come, are checked, change and go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from time import monotonic

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.recent_events import RecentEvents
from mcppool.observe.tracing.span import current
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.pool.housekeeping import report_headers
from mcppool.pipeline.pool.local_servers import LocalServers
from mcppool.pipeline.pool.outbound import Outbound
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.shared_checks import SharedChecks
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.spec import EndpointSpec
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.upstream.probing.prober import Prober

log = get_logger("pool")


@dataclass(slots=True)
class Membership:
    """Adds, checks and removes the endpoints of one pool.

    `on_availability` is called when an endpoint's availability has changed, `on_catalog` when its catalog has. `local`
    starts the programs that are the endpoints, if they are programs. `probed` is set once each endpoint was checked, or
    one has answered.
    """

    settings: Settings
    endpoints: Endpoints
    probers: Probers
    pins: Pins
    rests: RetryAfterTable[Endpoint]
    recent: RecentEvents
    limited_log: LimitedLog
    metrics: PoolMetrics
    background: BackgroundTasks
    outbound: Outbound
    checks: SharedChecks
    rng: random.Random
    on_availability: Callable[[], None]
    on_catalog: Callable[[], None]
    local: LocalServers | None = field(default=None, init=False)
    tls: UpstreamTls = field(init=False)
    probed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, init=False)
    _catalogs: dict[Endpoint, EndpointCatalog] = field(default_factory=dict, init=False)
    _unprobed: set[Endpoint] = field(default_factory=set, init=False)
    _started: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.tls = UpstreamTls(self.settings.spec.tls)

    def start(self) -> None:
        """Start to check the endpoints; local servers are checked once they have started."""
        self._started = True
        if self.local is None:
            for endpoint in self.endpoints.values():
                self.watch(endpoint)

    def stop(self) -> None:
        """Start no more checks."""
        self._started = False
        self._unprobed.clear()

    def add(self, spec: EndpointSpec, *, joining: bool = False) -> None:
        """Add an endpoint. `joining`: calls go to others until it is checked."""
        local = self.local
        endpoint = Endpoint(
            spec,
            self.settings.spec,
            tls=self.tls,
            credentials=self.outbound.credentials,
            path=local.path(spec.url) if local is not None else None,
            trouble=local.trouble(spec.url) if local is not None else None,
            joining=joining or local is not None,
            probation=self.endpoints.probation,
            on_change=self._changed,
            on_state=self._count_state,
            loop=self._loop,
            rng=self.rng,
        )
        self.endpoints[endpoint.key] = endpoint
        self.pins.add(endpoint)
        self._unprobed.add(endpoint)
        log.event("endpoint_added", pool=self.settings.name, endpoint=endpoint.key)
        report_headers(self.settings.name, endpoint)
        if self._started:
            self.watch(endpoint)

    def watch(self, endpoint: Endpoint) -> None:
        """Open connections to an endpoint, and check it from now on."""
        endpoint.connections.warm_up()
        self.probers[endpoint] = Prober(
            endpoint,
            self.settings.spec,
            on_round=self._checked,
            on_passed=self.checks.passed,
            longest_wait=self.probers.longest_wait,
            rng=self.rng,
        )

    def unwatched(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint has never been checked."""
        return endpoint in self._unprobed and endpoint not in self.probers

    def remove(self, endpoint: Endpoint) -> None:
        """Let an endpoint go, which is no longer in `endpoints`, once its calls are over or its drain time is."""
        endpoint.drain()
        self.pins.remove(endpoint)
        self.rests.forget(endpoint)
        self.endpoints.leaving[endpoint] = monotonic() + self.settings.spec.timeouts.drain
        self._unprobed.discard(endpoint)
        self._catalogs.pop(endpoint, None)
        prober = self.probers.pop(endpoint, None)
        if prober is not None:
            self.background.close(prober.stop())
        log.event("endpoint_removed", pool=self.settings.name, endpoint=endpoint.key, in_flight=endpoint.active)

    def hangs(self, endpoint: Endpoint) -> None:
        """An endpoint has been silent for too long. A local program is ended and started again; its clients may have
        processes of their own, which go on, so the endpoint is not left out."""
        if self.local is None or self.local.restart(endpoint):
            endpoint.health.hangs()

    def settle(self) -> None:
        """Set `probed` if no endpoint still waits for its first check, or one has answered."""
        if not self._unprobed or not self.settings.catalog.cold:
            self.probed.set()

    def _checked(self, endpoint: Endpoint) -> None:
        self._unprobed.discard(endpoint)
        catalog = endpoint.catalog
        if catalog is not None and catalog is not self._catalogs.get(endpoint):
            self._catalogs[endpoint] = catalog
            self.on_catalog()  # O(n): with a thousand endpoints a check should not cost that
        self.settle()

    def _changed(self, endpoint: Endpoint, why: str) -> None:
        self.limited_log.event("endpoint_state", endpoint=endpoint.key, state=endpoint.state, cause=why)
        if endpoint.lost:
            self.rests.forget(endpoint)  # the next process there is another one
        if not endpoint.draining:  # an operator wants that
            self.recent.add(endpoint.key, endpoint.state, why, datetime.now(UTC))
        self.on_availability()
        self.checks.changed(endpoint)
        if not endpoint.available and self.probers.longest_wait() < inf:
            # Others may be in the middle of a long wait.
            self.probers.wake_lost()

    def _count_state(self, state: str, seconds: float) -> None:
        self.metrics.connections[state] += 1
        if state == "connected":
            self.metrics.connection_duration.observe(seconds)
            if (span := current.get()) is not None:  # of the call that the connection was opened for
                self.metrics.connection_duration.exemplify(seconds, span.trace_id, span.span_id)
