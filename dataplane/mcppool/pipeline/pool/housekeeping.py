"""The effects of time on a pool: time-outs, probation, suspicion, slow start, the end of leaving endpoints.

One coarse sweep handles all of it, so that no call has a timer of its own (design §9.2).
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.routing.breakers import Breakers
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.trials import Trials
from mcppool.pipeline.serve import Pipeline
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.usual_latencies import UsualLatencies
from mcppool.policy.endpoint_health import EndpointState
from mcppool.policy.hang_detection import QUICK, may_work_long
from mcppool.policy.health_score import renew_scores
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.policy.standstill import Standstill
from mcppool.upstream.endpoint import Endpoint

SWEEP = 0.1  # seconds between two sweeps: the error of every time-out
SCORE_EVERY = 1.0  # seconds between two looks at all health scores, which change over tens of seconds
WARN_AFTER = 3.0  # seconds in which a server may answer before a warning that none has
WARN_EVERY = 60.0
READ_HEADERS = 2.0  # seconds between two looks at files with header values
AVAILABLE = EndpointState.AVAILABLE
HANGING = (EndpointState.HUNG, EndpointState.STUCK)

log = get_logger("pool")


@dataclass(slots=True)
class Housekeeping:
    """Sweeps one pool."""

    settings: Settings
    endpoints: Endpoints
    picker: Picker
    breakers: Breakers
    trials: Trials
    rests: RetryAfterTable[Endpoint]
    outage: Outage
    sessions: Sessions
    probers: Probers
    limited_log: LimitedLog
    pipeline: Pipeline
    metrics: PoolMetrics
    background: BackgroundTasks
    usual: UsualLatencies
    renew_candidates: Callable[[], None]
    renew_catalog: Callable[[], None]
    refresh_outbound: Callable[[], None]
    hangs: Callable[[Endpoint], None]
    _warn_at: float = field(default=inf, init=False)  # when to warn that no server has answered yet
    _scores_due: float = field(default=0.0, init=False)
    _headers_due: float = field(default=0.0, init=False)  # when to look at files with header values again

    def begin(self, now: float) -> None:
        """Start to expect answers of servers."""
        self._warn_at = now + WARN_AFTER

    async def run(self) -> None:
        """Sweep until cancelled. A defect in one sweep is logged, and must not stop all time-outs."""
        standstill = Standstill(SWEEP, monotonic())
        while True:
            await asyncio.sleep(SWEEP)
            now = monotonic()
            if standstill.spares(now):
                continue
            try:
                self.sweep(now)
            except Exception as error:
                log.error("defect", pool=self.settings.name, exception="".join(traceback.format_exception(error)))

    def sweep(self, now: float) -> None:
        """Handle everything that is due."""
        self.usual.sweep(now)
        self._sweep_endpoints(now)
        self.rests.sweep(now)
        self.trials.sweep(now)
        self.limited_log.sweep()
        self._miss_servers(now)
        if now >= self._scores_due:
            self._scores_due = now + SCORE_EVERY
            renew_scores(self.endpoints.values(), now)
        self.sessions.sweep(now)
        self.pipeline.workload.refill(now)
        if self.pipeline.caching is not None:
            self.pipeline.caching.sweep(now)
        self._let_go(now)
        if now >= self._headers_due:
            self._headers_due = now + READ_HEADERS
            for endpoint in self.endpoints.values():
                if endpoint.head.renew():
                    report_headers(self.settings.name, endpoint)
            self.refresh_outbound()
            pinned = self.settings.pinned_tools
            if pinned is not None and pinned.read_again():
                self.renew_catalog()

    def _sweep_endpoints(self, now: float) -> None:
        """Handle the endpoints, ten times a second: so one without calls, streams and news costs a few comparisons."""
        for endpoint in self.endpoints.leaving:
            endpoint.connections.sweep(now)
        changed = False
        for endpoint in self.endpoints.values():
            connections, health, active = endpoint.connections, endpoint.health, endpoint.active
            if active or connections.streams or now >= connections.stale_from:
                connections.sweep(now)
            if active or health.state is not AVAILABLE or health.available_since is not None or endpoint.breakers:
                changed = self._watch(endpoint, now) or changed
        if changed:
            self.renew_candidates()  # a new tuple, for which strategies prepare anew what depends on weights

    def _miss_servers(self, now: float) -> None:
        """Warn if no server of the pool has ever answered: some seconds after its start, and each minute from then
        on."""
        if now < self._warn_at or not self.settings.catalog.cold:
            return
        if any(endpoint.stats.answered for endpoint in self.endpoints.values()):
            return  # they authenticate clients themselves, and give the gateway no catalog
        self._warn_at = now + WARN_EVERY
        log.warning("no_server", pool=self.settings.name, cause=self.outage.describe())

    def _watch(self, endpoint: Endpoint, now: float) -> bool:
        """Handle one endpoint; returns whether its weight has changed."""
        health = endpoint.health
        health.tick(now)
        if self.trials.held and not endpoint.active:
            self.trials.end(endpoint)
        if endpoint.breakers:
            self.breakers.sweep(endpoint, now)
        if health.busy or health.state in HANGING:
            self._while_silent(endpoint, now)
        elif endpoint.active and not health.suspected:
            since = max(endpoint.connections.waiting_since(), health.looked)
            if now - since > self._suspect_after(endpoint):
                self.probers.suspect(endpoint)
        return endpoint.ramp(self.settings.spec.load_balancer.slow_start, now)

    def _while_silent(self, endpoint: Endpoint, now: float) -> None:
        """It is silent: calls that may go elsewhere do; those of its sessions only once it hangs."""
        # The answer to a call may come before the answer to the check that waits behind it.
        quiet = now - endpoint.stats.answered_at > self.settings.spec.health_check.timeout
        if endpoint.busy and quiet and endpoint.health.silences.too_long(self._explained(endpoint), now):
            self.hangs(endpoint)
        candidates = self.picker.candidates
        if endpoint.active and candidates and endpoint not in candidates:
            endpoint.connections.move_waiting(sessions=endpoint.lost)

    def _explained(self, endpoint: Endpoint) -> float:
        """Seconds that the calls at a silent endpoint may keep it busy; 0 if none of them explains the silence.

        A local program that hangs is ended with all its state, so only time decides there.
        """
        at_work = endpoint.connections.tools_at_work()
        if endpoint.target.path is None and not any(self._may_work_long(tool) for tool in at_work):
            return 0.0
        # Calls of its sessions must still have time to be answered elsewhere.
        spec = self.settings.spec
        return min(spec.outlier_detection.hung_after, spec.timeouts.request / 2)

    def _may_work_long(self, tool: str) -> bool:
        stats = self.metrics.tool(tool)
        kept = sum(cache.hits.get(tool, 0) for cache in self.metrics.caches.values())  # no server answered those
        return may_work_long(stats.answers - kept, stats.answered_within(QUICK) - kept)

    def _suspect_after(self, endpoint: Endpoint) -> float:
        """Seconds without a first byte after which the endpoint is checked."""
        configured = self.settings.spec.outlier_detection.suspect_after
        return configured if configured is not None else self.usual.suspect_after(endpoint)

    def _let_go(self, now: float) -> None:
        """Close draining endpoints that are idle, or whose drain time is over."""
        for endpoint, until in list(self.endpoints.leaving.items()):
            if endpoint.active == 0 or now >= until:
                del self.endpoints.leaving[endpoint]
                self.background.close(endpoint.connections.aclose())
                log.event("endpoint_gone", pool=self.settings.name, endpoint=endpoint.key, in_flight=endpoint.active)


def report_headers(pool: str, endpoint: Endpoint) -> None:
    """Report headers of the endpoint whose file or variable cannot be read."""
    for problem in endpoint.head.sent.problems:
        log.error("header_unreadable", pool=pool, endpoint=endpoint.key, cause=problem)
