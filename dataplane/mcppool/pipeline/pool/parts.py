"""The parts of a pool, and how they are put together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import SharedSessions
from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.access.control import AccessControl
from mcppool.pipeline.access_log import AccessLog
from mcppool.pipeline.admission.limits import Admission, has_limits
from mcppool.pipeline.admission.notifications import NotificationAdmission
from mcppool.pipeline.attempt import ResponseContext
from mcppool.pipeline.attempts import Attempts
from mcppool.pipeline.audit import AuditTrail
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.caching.step import Caching
from mcppool.pipeline.catalog import merge
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.feedback import Feedback
from mcppool.pipeline.hedging import Hedging
from mcppool.pipeline.local_reply.discover import LocalReplies
from mcppool.pipeline.peers import Peers
from mcppool.pipeline.pool.housekeeping import Housekeeping
from mcppool.pipeline.pool.local_servers import LocalServers, Watch
from mcppool.pipeline.pool.membership import Membership
from mcppool.pipeline.pool.outbound import Outbound
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.redis import make_redis
from mcppool.pipeline.response.cancellation import Cancellations
from mcppool.pipeline.response.server_requests import ClientAnswers
from mcppool.pipeline.retries import RetryResources
from mcppool.pipeline.routing.breakers import Breakers
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.routing.trials import Trials
from mcppool.pipeline.routing.waiting_room import WaitingRoom
from mcppool.pipeline.serve import Pipeline
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.pipeline.sessions.failover import Failover
from mcppool.pipeline.sessions.get_stream import GetStreams
from mcppool.pipeline.sessions.resumption import Resumptions
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.shared_checks import SharedChecks
from mcppool.pipeline.sql import make_sql
from mcppool.pipeline.subscriptions.filter import TOOLS_CHANGED
from mcppool.pipeline.subscriptions.hub import SubscriptionHub
from mcppool.pipeline.tool_pins import PinnedTools
from mcppool.pipeline.usual_latencies import UsualLatencies
from mcppool.pipeline.workload import WorkloadSample
from mcppool.policy.call_record import CallRecord
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.refusal_budget import RefusalBudget
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.policy.retry_budget import RetryBudget
from mcppool.spec import PoolSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.sealing import KeyRing


class PoolParts:
    """The parts of one pool.

    `zone` is that of this process; `memory` is the budget of the process, None in the library. `sole_client` is the
    `clientInfo` of the program that runs the pool, if that is the only client. `local` starts the programs that are the
    servers; None if they are elsewhere. `peers` are the other processes of the gateway, None if it has one process.
    """

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
        peers: Peers | None = None,
    ) -> None:
        self.name = spec.name
        self.ring = ring
        self.peers = peers
        self.metrics = metrics
        self.memory = memory = memory or MemoryBudget()
        self.rng = rng = rng or random.Random()
        self.warm = asyncio.Event()  # set once there is a catalog
        self.settings = settings = Settings(spec)
        self.endpoints = endpoints = Endpoints()
        self.background = BackgroundTasks(spec.name)
        self.probers = Probers(settings, endpoints)
        self.redis = make_redis(spec, ring, metrics.redis_errors)
        self.sql = make_sql(spec, ring, metrics.sql_errors)
        self._observing()
        self._routing(zone)
        self._state(spec, ring)
        self._steps(spec, sole_client)
        self._pin_tools()
        self.outbound = Outbound(spec, endpoints, self.background)
        self.pipeline.on_behalf = self.outbound.on_behalf
        self.membership = Membership(
            settings, endpoints, self.probers, self.pins, self.rests, self.recent, self.log, metrics, self.background,
            self.outbound, SharedChecks(peers, endpoints, self.probers), rng,
            on_availability=self.renew_candidates, on_catalog=self.renew_catalog,
        )  # fmt: skip
        self.housekeeping = Housekeeping(
            settings, endpoints, self.picker, self.breakers, self.trials, self.rests, self.outage, self.sessions,
            self.probers, self.log, self.pipeline, self.metrics, self.background, UsualLatencies(self.metrics),
            renew_candidates=self.renew_candidates, renew_catalog=self.renew_catalog, hangs=self.membership.hangs,
            refresh_outbound=self.outbound.refresh,
        )  # fmt: skip
        self.local = self.membership.local = self._start_servers(sole_client) if spec.command else None
        self._assembled()

    def _assembled(self) -> None:
        """All parts are there: the pool gets its endpoints."""
        raise NotImplementedError

    def _observing(self) -> None:
        self.recent = RecentEvents()
        self.calls = CallRecord()
        self.log = LimitedLog(get_logger("call"), self.name)  # for events that every call may cause
        self.access_log = AccessLog(self.name, self.metrics, self.calls, self.log, self.recent)
        self.access = AccessControl(self.settings, self.metrics, self.log)
        self._keep_audit()

    def _keep_audit(self) -> None:
        """Open the audit log, or another one, or close it."""
        spec, former = self.spec.audit, self.access_log.audit
        if former is not None and former.spec == spec:
            return
        self.access_log.audit = AuditTrail(self.settings, self.metrics, spec) if spec.type != "none" else None
        if former is not None:
            former.close(wait=False)

    def _routing(self, zone: str | None) -> None:
        settings, endpoints = self.settings, self.endpoints
        self.rests: RetryAfterTable[Endpoint] = RetryAfterTable()
        self.outage = Outage(settings, endpoints)
        self.trials = trials = Trials(self.peers)
        self.breakers = Breakers(settings, self.metrics, self.log, trials)
        self.picker = Picker(settings, endpoints, self.breakers, trials, self.rests, self.outage, self.rng, zone)
        self.waiting_room = WaitingRoom(settings, self.picker, self.outage, self.probers)
        self.feedback = Feedback(
            settings, endpoints, self.picker, self.breakers, trials, self.rests, self.log, self.recent
        )
        if self.peers is not None:
            self.feedback.listen_to(self.peers)

    def _state(self, spec: PoolSpec, ring: KeyRing) -> None:
        """The state kept for clients."""
        settings, streams = self.settings, self.memory.account("streams")
        self.pins = Pins(spec.name, ring)
        self.sessions = Sessions(spec.name, ring, time.time, spec.sessions, self.memory.account("sessions"))
        self.memory.add_reclaimer(self.sessions.give_way, last=True)
        self._share_sessions()
        self.failover = Failover(
            settings, self.endpoints, self.picker, self.outage, self.sessions, self.probers, self.background
        )
        self.hub = SubscriptionHub(settings, self.endpoints, self.pins, self.outage, streams, self.background, self.rng)

    def _steps(self, spec: PoolSpec, sole_client: Mapping[str, str] | None) -> None:
        """The steps of a call."""
        settings, picker = self.settings, self.picker
        self.attendance = Attendance() if spec.command and sole_client is None else None
        self.notifications = NotificationAdmission(settings, self.endpoints)
        retry = spec.retry_policy
        self.budget = RetryBudget(retry.budget_percent, retry.budget_min_per_second, retry.budget_percent_per_principal)
        self.refusals = RefusalBudget(retry.budget_min_per_second)
        self.retry = RetryResources(
            settings, picker, self.outage, self.feedback, self.budget, self.refusals, self.rests, self.rng
        )
        context = ResponseContext(settings, self.sessions, self.pins, self.recent, self.memory.account("upstream"))
        self.exchange = exchange = Exchange(settings, self.metrics, self.attendance)
        self.hedging = hedging = Hedging(settings, picker, self.budget, exchange, self.feedback, self.metrics)
        self.attempts = Attempts(
            settings, picker, self.waiting_room, self.failover, self.probers, self.notifications, exchange, hedging,
            self.feedback, self.retry, context, self.metrics, self._make_admission(),
        )  # fmt: skip
        get_streams = GetStreams(
            settings, self.endpoints, picker, self.outage, self.failover, Resumptions(self.sessions, self.peers),
            self.probers, self.memory.account("streams"), self.rng,
        )  # fmt: skip
        cancellations = Cancellations(settings, self.sessions, self.peers)
        client_answers = ClientAnswers(self.sessions, self.peers)
        self.workload = WorkloadSample(settings)
        self.pipeline = Pipeline(
            settings, self.pins, self.sessions, self.failover,
            LocalReplies(settings, picker, self.outage, self.warm),
            get_streams, cancellations, client_answers, self.hub, self.notifications, self.attempts, self.access,
            self.access_log, self.workload, self._make_caching(),
        )  # fmt: skip

    def _start_servers(self, sole_client: Mapping[str, str] | None) -> LocalServers:
        watch = Watch(self.membership.unwatched, self.membership.watch)
        return LocalServers(
            self.spec, self.endpoints, self.recent, watch, self.memory.account("local"),
            sole_client=sole_client, attendance=self.attendance, peers=self.peers,
        )  # fmt: skip

    def _pin_tools(self) -> None:
        catalog = self.spec.catalog
        self.settings.pinned_tools = (
            PinnedTools(catalog, self.metrics, self.log, self.access_log.tell) if catalog.pin != "off" else None
        )

    def _make_admission(self) -> Admission | None:
        if not has_limits(self.spec):
            return None
        link = self._redis_link if self.spec.rate_limit.store == "redis" else None
        rates = SharedRates(link) if link is not None else self.peers
        return Admission(self.settings, self.endpoints, self.picker, rates, self.peers)

    def _make_caching(self) -> Caching | None:
        if self.spec.cache.type == "none":
            return None
        return Caching(self.settings, self.metrics, self.memory, self.hub, self.redis, self.sql)

    def _share_sessions(self) -> None:
        link = self._redis_link if self.spec.sessions.store == "redis" else None
        if link is not None:
            self.sessions.share(SharedSessions(link, self.spec.sessions.idle_timeout))
        else:
            self.sessions.share(self.peers.sessions() if self.peers is not None else None)

    @property
    def _redis_link(self) -> RedisLink | None:
        """The connection to the pool's Redis; None if it has none, or none could be made."""
        return self.redis.link if self.redis is not None else None

    @property
    def spec(self) -> PoolSpec:
        """The specification in force."""
        return self.settings.spec

    @property
    def caching(self) -> Caching | None:
        """The cache; None if the pool has none."""
        return self.pipeline.caching

    @property
    def admission(self) -> Admission | None:
        """The limits; None if the pool has none."""
        return self.attempts.admission

    # --- what follows from changes of endpoints -------------------------------------------------------------------

    def renew_candidates(self) -> None:
        """An endpoint's availability, its weight or the specification has changed."""
        self.picker.renew()
        if self.picker.candidates:
            self.waiting_room.open()
        self.hub.follow()
        self.notifications.endpoints_changed()
        if self.admission is not None:
            self.admission.endpoints_changed()

    def renew_catalog(self) -> None:
        """The catalog of an endpoint has changed, or an endpoint has come or gone."""
        catalog = merge(self.endpoints.values(), self.settings.catalog)
        pinned = self.settings.pinned_tools
        pins_changed = pinned is not None and pinned.observe(self.endpoints.values())
        if catalog != self.settings.catalog or pins_changed:
            first = self.settings.catalog.cold
            self.settings.learn(catalog)
            self.metrics.known_tools = frozenset(catalog.tools)
            self.warm.set()
            # The first catalog is no change: what earlier and other processes have stored stays, and is found if the
            # tools are the same.
            if self.caching is not None and (pins_changed or not first):
                self.caching.watching.changed(TOOLS_CHANGED, None)
