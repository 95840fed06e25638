"""A pool at work: its endpoints, who of them may be chosen, its catalog, its counters."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from mcppool.cache.redis_link import RedisLink
from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.admission.limits import make_limits
from mcppool.pipeline.admission.notifications import NotificationAdmission
from mcppool.pipeline.caching.step import make_caching
from mcppool.pipeline.pool.catalog import PoolCatalog, merge
from mcppool.pipeline.pool.housekeeping import SWEEP, WARN_AFTER, keep_time, tell_of_headers
from mcppool.pipeline.pool.redis import make_redis, same_redis
from mcppool.pipeline.routing.hash_policy import hash_key
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.routing.tool_overrides import ToolPolicies
from mcppool.pipeline.routing.waiting_room import WaitingRoom
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.subscriptions.filter import TOOLS_CHANGED
from mcppool.pipeline.subscriptions.hub import SubscriptionHub
from mcppool.policy.adaptive_retry import AdaptiveRetry
from mcppool.policy.backoff import short_of_endpoints
from mcppool.policy.cache_rules import Rule, method_rules
from mcppool.policy.call_record import CallRecord
from mcppool.policy.circuit_breaker import BreakerLimits
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.outlier_detection import OutlierLimits
from mcppool.policy.refusal_budget import RefusalBudget
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.policy.retry_budget import RetryBudget
from mcppool.policy.wait_for_endpoint import STARTING_HOLD
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.supervision import guard, supervise
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.upstream.probing.prober import Prober
from mcppool.wire.sealing import KeyRing

if TYPE_CHECKING:
    from mcppool.upstream.stdio.servers import StdioServers
    from mcppool.upstream.stdio.slot import SlotState

log = get_logger("pool")


class ServerPool:
    """All replicas of one MCP server. `choice` is who of them gets a call; `zone` is our own; `memory` is the budget of
    the process, which the library has none of."""

    def __init__(
        self,
        spec: PoolSpec,
        metrics: PoolMetrics,
        ring: KeyRing,
        rng: random.Random | None = None,
        zone: str | None = None,
        memory: MemoryBudget | None = None,
        *,
        sole_client: Mapping[str, str] | None = None,
    ) -> None:
        self.name = spec.name
        self.metrics = metrics
        self.memory = memory or MemoryBudget()
        self._sole_client = sole_client  # what the program that runs us says of itself, where it is the only client
        self.recent = RecentEvents()
        self.calls = CallRecord()
        self.log = LimitedLog(get_logger("call"), spec.name)  # of what may come with every call
        self.plight = (-inf, "", "")  # when it was last found why nobody takes a call, and the words for log and client
        self.not_started: dict[str, str] = {}  # endpoints whose program does not start, and why
        self.sessions = Sessions(
            spec.name,
            ring,
            time.time,
            spec.sessions,
            self.memory.account("sessions"),
        )
        self.memory.add_reclaimer(self.sessions.give_way, last=True)
        self.endpoints: dict[str, Endpoint] = {}
        self.pins = Pins(spec.name, ring)
        self.listeners = SubscriptionHub(self)
        self.catalog = PoolCatalog()
        self.probed = asyncio.Event()  # each endpoint has been looked at once, or one has answered
        self.warm = asyncio.Event()  # there is a catalog
        self._leaving: dict[Endpoint, float] = {}
        self._probers: dict[Endpoint, Prober] = {}
        self._unprobed: set[Endpoint] = set()
        self._loop = asyncio.get_running_loop()
        self.rng = rng or random.Random()
        self._sweeper: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._afterwards: set[asyncio.Task[Any]] = set()
        self.warn_at = inf  # when to say that no server has answered yet
        self._looked = -inf  # when a call that found nobody last had us look
        self.spec = spec
        self.rests: RetryAfterTable[Endpoint] = RetryAfterTable()
        self.choice = Picker(self, zone)
        self.room = WaitingRoom()
        self._started = monotonic()
        self.tools = ToolPolicies(spec, self.catalog)
        self._ring = ring
        self.redis = make_redis(spec, ring, metrics.redis_errors)
        self.sessions.share(self._session_link())
        self.caching = make_caching(self, spec)
        self.kept_methods = _kept_methods(spec)
        self.limits = make_limits(self, spec)
        self.unanswered = NotificationAdmission(self)
        self._tls = UpstreamTls(spec.tls)
        self.attendance = Attendance() if spec.command and sole_client is None else None
        self._stdio = self._start_servers(spec) if spec.command else None
        self.budget = RetryBudget(spec.retry_policy.budget_percent, spec.retry_policy.budget_min_per_second)
        self.refusals = RefusalBudget(spec.retry_policy.budget_min_per_second)
        self.adaptive = AdaptiveRetry()
        self.outlier_limits = _outlier_limits(spec)
        self.breaker_limits = _breaker_limits(spec)
        self.hash_key = hash_key(spec.load_balancer, lambda: self.catalog.tools)
        self.forwarded = _forwarded(spec)
        self.headers_due = 0.0  # when files with values of headers are looked at again
        for endpoint in self._stdio.endpoints if self._stdio is not None else spec.endpoints:
            self._add(endpoint)
        self.renew_candidates()
        if not self.endpoints:
            self.probed.set()

    # --- its endpoints -------------------------------------------------------------------------------------------

    def holder(self, key: str) -> Endpoint | None:
        """The endpoint `key`, as long as it answers calls: also while it leaves."""
        return self.endpoints.get(key) or next((e for e in self._leaving if e.key == key), None)

    async def witness(self, endpoint: Endpoint) -> None:
        """See to it that the prober has a session of its own at `endpoint`, older than the client's."""
        prober = self._probers.get(endpoint)
        if prober is not None:
            await prober.ensure_witness()

    async def survived(self, endpoint: Endpoint, since: float) -> bool:
        """Whether the process behind `endpoint` is certainly the one that it was at `since` (wall-clock seconds)."""
        prober = self._probers.get(endpoint)
        return prober is not None and await prober.survived(since)

    # --- configuration -------------------------------------------------------------------------------------------

    def can_become(self, spec: PoolSpec) -> bool:
        """Whether `configure` can take `spec` over; local servers that are started otherwise need a new pool."""
        return _starts(spec) == _starts(self.spec)

    def configure(self, spec: PoolSpec) -> None:
        """Take over a new specification: new endpoints are added, missing ones drain, policies are swapped."""
        self.choice.configure(spec)
        self.hash_key = hash_key(spec.load_balancer, lambda: self.catalog.tools)
        self.forwarded = _forwarded(spec)
        if (spec.retry_policy, spec.tools) != (self.spec.retry_policy, self.spec.tools):
            self.adaptive = AdaptiveRetry()  # what was learned is about other waits
        former = self.redis
        if not same_redis(self.redis, spec):
            self.redis = make_redis(spec, self._ring, self.metrics.redis_errors)
        limited = (spec.limits, spec.rate_limit, spec.tools)
        if limited != (self.spec.limits, self.spec.rate_limit, self.spec.tools) or self.redis is not former:
            self.limits = make_limits(self, spec)  # who is inside the old ones leaves them there
        if spec.tls != self.spec.tls:
            self._tls = UpstreamTls(spec.tls)
            for key in list(self.endpoints):  # none of their connections may outlive what it was trusted by
                self._remove(self.endpoints.pop(key))
        self.spec = spec
        if self.caching is None or self.redis is not former or not self.caching.configure(spec.cache):
            if self.caching is not None:
                self._end(self.caching.close())
            self.caching = make_caching(self, spec)
        if self.redis is not former:
            self.sessions.share(self._session_link())
            if former is not None:
                self._end(former.close())
        self.kept_methods = _kept_methods(spec)
        self.budget.configure(spec.retry_policy.budget_percent, spec.retry_policy.budget_min_per_second)
        self.refusals.configure(spec.retry_policy.budget_min_per_second)
        self.outlier_limits = _outlier_limits(spec)
        self.breaker_limits = _breaker_limits(spec)
        self.sessions.configure(spec.sessions)
        if self._stdio is not None:
            self._stdio.configure(spec)
        wanted = {e.key: e for e in (self._stdio.endpoints if self._stdio is not None else spec.endpoints)}
        for key in [k for k, e in self.endpoints.items() if k not in wanted or wanted[k].host != e.spec.host]:
            self._remove(self.endpoints.pop(key))  # another `host` is another server at the same address
        for key, endpoint_spec in wanted.items():
            endpoint = self.endpoints.get(key)
            if endpoint is None:
                self._add(endpoint_spec, joining=bool(self.choice.candidates))
            else:
                endpoint.reconfigure(endpoint_spec, spec)
                if endpoint in self._probers:
                    self._probers[endpoint].spec = spec
        self.renew_candidates()
        self._renew_catalog()
        self.tools = ToolPolicies(spec, self.catalog)

    def renew_ring(self, ring: KeyRing) -> None:
        """Take over changed sealing keys."""
        self._ring = ring
        self.sessions.renew_ring(ring)
        self.pins.renew_ring(ring)
        if self.redis is not None:
            self.redis.renew_ring(ring)

    def start(self) -> None:
        """Begin to probe and to sweep."""
        self.warn_at = monotonic() + WARN_AFTER
        self._sweeper = supervise("sweep", partial(keep_time, self), about=self.name)
        if self._stdio is None:  # local servers are watched once they have begun
            for endpoint in self.endpoints.values():
                self._watch(endpoint)

    async def drain(self) -> None:
        """Let what is in flight finish, for at most the drain time; new calls come no more."""
        deadline = monotonic() + self.spec.timeouts.drain
        while monotonic() < deadline and any(e.active for e in self.endpoints.values()):  # noqa: ASYNC110 (many ends)
            await asyncio.sleep(SWEEP)

    async def stop(self) -> None:
        """End everything: probers, sweeps, connections. A step that fails is reported and skips no other."""
        for step in (self._close_stores, self._end_tasks, self._close_connections):
            await guard("shutdown", step(), about=self.name)
        if self._stdio is not None:
            await guard("shutdown", self._stdio.stop(), about=self.name)

    async def _close_stores(self) -> None:
        if self.caching is not None:
            await guard("shutdown", self.caching.close(), about=f"{self.name} cache")
        if self.redis is not None:
            await guard("shutdown", self.redis.close(), about=f"{self.name} redis")

    async def _end_tasks(self) -> None:
        ending = [guard("shutdown", prober.stop(), about=e.key) for e, prober in self._probers.items()]
        self._probers.clear()
        self._unprobed.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            ending.append(self._sweeper)
        while self._afterwards:  # a move that is ended leaves what it has begun to be ended, too
            running = tuple(self._afterwards)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*ending, *self._stopping, return_exceptions=True)
        self.listeners.close()

    async def _close_connections(self) -> None:
        for endpoint in [*self.endpoints.values(), *self._leaving]:
            await guard("shutdown", _abort(endpoint), about=endpoint.key)
        self.memory.remove_reclaimer(self.sessions.give_way)
        self.sessions.close()

    @property
    def starting(self) -> float:
        """For how many seconds a call is held because the servers may still be starting: none has ever answered, or
        one accepts connections and has not answered yet; 0 where that is not so. Programs are started by us, and take
        as long as they take: a call waits for one as long as it may, or until it is known that none of them starts."""
        if not self.spec.command and any(e.contacted for e in self.endpoints.values()):
            return self.spec.health_check.startup_timeout
        unknown = [key for key in self.endpoints if key not in self.not_started]
        if not unknown or any(e.stats.answered for e in self.endpoints.values()):
            return 0.0
        if self.spec.command:
            return inf
        return STARTING_HOLD if monotonic() < self._started + self.spec.health_check.startup_timeout else 0.0

    @property
    def stands_still(self) -> bool:
        """Whether an endpoint accepts connections and answers nothing, so that it may go on at any moment."""
        return any(e.silences.since is not None for e in self.endpoints.values())

    @property
    def leaving(self) -> tuple[Endpoint, ...]:
        """Endpoints that were removed and still answer calls."""
        return tuple(self._leaving)

    # --- inside --------------------------------------------------------------------------------------------------

    def _add(self, spec: EndpointSpec, *, joining: bool = False) -> None:
        endpoint = Endpoint(
            spec,
            self.spec,
            tls=self._tls,
            path=self._stdio.path(spec.url) if self._stdio is not None else None,
            trouble=self._stdio.trouble(spec.url) if self._stdio is not None else None,
            joining=joining or self._stdio is not None,
            on_change=self._changed,
            on_state=self._count_state,
            loop=self._loop,
            rng=self.rng,
        )
        self.endpoints[endpoint.key] = endpoint
        self.pins.add(endpoint)
        self._unprobed.add(endpoint)
        log.event("endpoint_added", pool=self.name, endpoint=endpoint.key)
        tell_of_headers(self.name, endpoint)
        if self._sweeper is not None:
            self._watch(endpoint)

    def _session_link(self) -> RedisLink | None:
        return self.redis.link if self.redis is not None and self.spec.sessions.store == "redis" else None

    def _watch(self, endpoint: Endpoint) -> None:
        endpoint.connections.warm_up()
        self._probers[endpoint] = Prober(
            endpoint, self.spec, on_round=self._round_done, longest_wait=self._longest_wait, rng=self.rng
        )

    def _remove(self, endpoint: Endpoint) -> None:
        endpoint.drain()
        self.pins.remove(endpoint)
        self.rests.forget(endpoint)
        self._leaving[endpoint] = monotonic() + self.spec.timeouts.drain
        self._unprobed.discard(endpoint)
        prober = self._probers.pop(endpoint, None)
        if prober is not None:
            self._end(prober.stop())
        log.event("endpoint_removed", pool=self.name, endpoint=endpoint.key, in_flight=endpoint.active)

    def later(self, running: Coroutine[Any, Any, None]) -> None:
        """Let something run by itself; where it is not over, `stop` ends it."""
        self.end_with(guard("afterwards", running, about=self.name))

    def end_with(self, task: asyncio.Task[Any]) -> None:
        """Have `stop` end a task that is not over by then."""
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        """Let something end by itself; `stop` waits for it."""
        task = guard("shutdown", ending, about=self.name)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _changed(self, endpoint: Endpoint, why: str) -> None:
        self.log.event("endpoint_state", endpoint=endpoint.key, state=endpoint.state, why=why)
        if endpoint.lost is not None:
            self.rests.forget(endpoint)  # whoever comes back there is somebody else
        if not endpoint.draining:  # that is somebody's will
            self.recent.add(endpoint.key, endpoint.state, why, datetime.now(UTC))
        self.renew_candidates()
        if not endpoint.available and self._longest_wait() < inf:
            for other in self.endpoints.values():
                if other.lost is not None:
                    other.wake_prober()  # it may be in the middle of a long wait

    def _longest_wait(self) -> float:
        """Seconds after which an endpoint that is out is checked again, at the latest: soon, while fewer than half are
        available."""
        return short_of_endpoints(sum(e.available for e in self.endpoints.values()), len(self.endpoints))

    def _start_servers(self, spec: PoolSpec) -> StdioServers:
        from mcppool.upstream.stdio.servers import StdioServers  # here, because few pools need what it loads

        servers = StdioServers(
            spec,
            self._stdio_event,
            sole_client=self._sole_client,
            # A program that runs us is there as long as we are.
            attended=self.attendance.__contains__ if self.attendance is not None else lambda _id: True,
            account=self.memory.account("local"),
        )
        for name in servers.missing:
            log.event("variable_missing", pool=self.name, variable=name, detail="env_from names it, and it is not set")
        return servers

    def local_state(self, endpoint: Endpoint) -> SlotState | None:
        """What is to be seen of the processes of a local server's replica."""
        return self._stdio.state(endpoint.key) if self._stdio is not None else None

    def hangs(self, endpoint: Endpoint) -> None:
        """It has answered nothing for too long. A program of ours is ended and started again; that its clients have
        processes of their own, which go on, is no reason to leave it out."""
        if self._stdio is None or self._stdio.restart(endpoint.key):
            endpoint.lose("hung")

    def _stdio_event(self, key: str, what: str, detail: str) -> None:
        log.event(f"server_{what}", pool=self.name, endpoint=key, detail=detail)
        if what in ("ended", "failed", "unreadable", "refused"):
            self.recent.add(key, what, detail, datetime.now(UTC))
        if what == "failed":
            self.not_started[key] = detail
        elif what == "started":
            self.not_started.pop(key, None)
        endpoint = self.endpoints.get(key)
        if endpoint is None or what not in ("started", "failed"):
            return
        if endpoint in self._unprobed and endpoint not in self._probers:
            self._watch(endpoint)
        elif what == "started":
            endpoint.silences.begin_anew(monotonic())
            endpoint.wake_prober()

    def _count_state(self, state: str, seconds: float) -> None:
        self.metrics.connections[state] += 1
        if state == "connected":
            self.metrics.connection_duration.observe(seconds)

    def renew_candidates(self) -> None:
        """An endpoint's availability, its weight or the specification has changed."""
        self.choice.renew()
        if self.choice.candidates:
            self.room.open()
        self.listeners.follow()
        self.unanswered.endpoints_changed()
        if self.limits is not None:
            self.limits.endpoints_changed()

    def _round_done(self, endpoint: Endpoint) -> None:
        self._unprobed.discard(endpoint)
        self._renew_catalog()
        if not self._unprobed or not self.catalog.cold:
            self.probed.set()

    def _renew_catalog(self) -> None:
        catalog = merge(self.endpoints.values(), self.catalog)
        if catalog != self.catalog:
            self.catalog = catalog
            self.tools = ToolPolicies(self.spec, catalog)
            self.metrics.known_tools = frozenset(catalog.tools)
            self.warm.set()
            if self.caching is not None:
                self.caching.watching.changed(TOOLS_CHANGED, None)

    def look_again(self) -> None:
        """A call has found nobody: whoever is lost is checked now, however long its back-off has become by then.

        At most once in `reconnect_backoff`: that is how often a server may be asked whether it is back.
        """
        now = monotonic()
        if now - self._looked < self.spec.connection_pool.reconnect_backoff:
            return
        self._looked = now
        for endpoint in self.endpoints.values():
            if endpoint.lost is not None:
                endpoint.wake_prober()

    def suspect(self, endpoint: Endpoint) -> None:
        """A call waits unusually long there: have a look at once."""
        prober = self._probers.get(endpoint)
        if prober is not None:
            prober.suspect()

    def let_go(self, now: float) -> None:
        """Close what has left and is idle, or has had its drain time."""
        for endpoint, until in list(self._leaving.items()):
            if endpoint.active == 0 or now >= until:
                del self._leaving[endpoint]
                endpoint.connections.abort()
                log.event("endpoint_gone", pool=self.name, endpoint=endpoint.key, in_flight=endpoint.active)


def _starts(spec: PoolSpec) -> tuple[object, ...]:
    """What a local server's processes are started with."""
    return (spec.command, spec.replicas, spec.env, spec.env_from, bool(spec.command) and spec.sessions.stateless)


def _forwarded(spec: PoolSpec) -> frozenset[str]:
    """Headers of clients that the servers get beside the protocol's, in lower case. Compared by identity on each call:
    a new set for each configuration."""
    return frozenset([name.lower() for name in spec.headers.forward])


async def _abort(endpoint: Endpoint) -> None:
    endpoint.connections.abort()


def _outlier_limits(spec: PoolSpec) -> OutlierLimits:
    section = spec.outlier_detection
    return OutlierLimits(
        consecutive_failures=section.consecutive_failures,
        base_ejection_time=section.base_ejection_time,
        max_ejection_time=section.max_ejection_time,
        max_ejection_percent=section.max_ejection_percent,
    )


def _kept_methods(spec: PoolSpec) -> dict[str, Rule]:
    return method_rules(spec.cache, spec.catalog, spec.connection_pool.health_check_interval)


def _breaker_limits(spec: PoolSpec) -> BreakerLimits:
    section = spec.circuit_breaker
    return BreakerLimits(section.failure_threshold, section.open_duration, section.success_threshold)
