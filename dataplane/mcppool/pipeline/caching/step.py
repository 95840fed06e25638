"""The step before the attempts: a cached answer, or one that an equal call is fetching now (design §9.5).

`policy.cache_rules` decides which answers are cached, for which principals and under which keys. A cached answer is the
raw result, and the client gets it under its own id. If the call has to be made, it is made like any other; its answer
is examined in passing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from mcppool.cache.memory import MemoryStore
from mcppool.cache.redis import RedisStore
from mcppool.cache.single_flight import SingleFlight
from mcppool.cache.sql import SqlStore
from mcppool.cache.store import BrokenStore, CachedAnswer, CacheHit, CacheStore
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.caching.invalidation import CacheInvalidation
from mcppool.pipeline.caching.shared_flights import SharedFlights
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.local_reply.faults import answer_fault
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.redis import PoolRedis
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.sql import PoolSql
from mcppool.pipeline.subscriptions.hub import SubscriptionHub
from mcppool.policy.cache_rules import TOOL, Rule, key_of, subject_of, verdict
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.retry_class import RetryClass
from mcppool.spec import CacheSpec
from mcppool.upstream.failures import DeadlineExceeded, LimitReached
from mcppool.upstream.timeouts import within
from mcppool.wire.bulk import BULK, outline_of
from mcppool.wire.era import Era
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.media_types import JSON_HEADERS
from mcppool.wire.places import place_of, raw_at
from mcppool.wire.rpc_response import RpcResponse

Fetch = Callable[[], Awaitable[None]]
"""Makes the call and answers it."""

MAX_KEPT = 8 << 20
"""Upper bound in bytes on a cached answer: it is copied each time that it is given."""

log = get_logger("cache")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The look-up of a call.

    `own` is the key for its principal, `common` the one for all principals, if the answer may be shared. `label` names
    it in metrics.
    """

    rule: Rule
    own: bytes
    common: bytes | None
    tag: str
    label: str


class Caching:
    """The cached answers of one pool, under one specification of its cache. `in_sessions` has the labels in
    metrics of the tools whose calls it did not answer because they came in a session of a server."""

    def __init__(
        self,
        settings: Settings,
        metrics: PoolMetrics,
        memory: MemoryBudget,
        hub: SubscriptionHub,
        redis: PoolRedis | None,
        sql: PoolSql | None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._memory = memory
        self.spec = spec = settings.spec.cache
        self.counters = metrics.cache(spec.type)
        self.store = self._make_store(redis, sql)
        if isinstance(self.store, MemoryStore):
            memory.add_reclaimer(self.store.give_way)
        self.watching = CacheInvalidation(settings, hub, self.store.invalidate)
        self._flights: SingleFlight[CacheHit] = SingleFlight()
        self._shared = SharedFlights(self.store) if isinstance(self.store, SqlStore) else None
        # Labels whose last answer could not be cached: no call waits for such an answer.
        self._fruitless: set[str] = set()
        self.in_sessions: set[str] = set()

    def _make_store(self, redis: PoolRedis | None, sql: PoolSql | None) -> CacheStore:
        spec = self.spec
        if spec.type == "memory":
            account = self._memory.account("cache")
            return MemoryStore(spec.max_size, spec.max_bytes, self.counters.evictions, account=account)
        if spec.type == "sql":
            assert sql is not None
            if sql.link is None:
                return BrokenStore(sql.trouble or "")
            return SqlStore(sql.link, spec.max_size, spec.max_bytes, self.counters.evictions)
        assert redis is not None
        return RedisStore(redis.link) if redis.link is not None else BrokenStore(redis.trouble or "")

    def configure(self, spec: CacheSpec) -> None:
        """Apply changed settings, with the same store."""
        self.spec = spec
        if isinstance(self.store, MemoryStore | SqlStore):
            self.store.configure(spec.max_size, spec.max_bytes)

    def sweep(self, now: float) -> None:
        """Periodic work: expire answers, and listen for changes of the cached ones."""
        self.store.sweep(now)
        self.watching.sweep(now)

    async def close(self) -> None:
        """Remove everything."""
        self.watching.close()
        if isinstance(self.store, MemoryStore):
            self._memory.remove_reclaimer(self.store.give_way)
        await self.store.close()

    # --- a call --------------------------------------------------------------------------------------------------

    async def serve(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome, fetch: Fetch) -> None:
        """Answer `call` from the cache, or make it."""
        asked = self._asked(call, plan)
        if asked is None:
            await fetch()
            return
        found = await self._look(asked)
        if found.kept is not None:
            if _usable(found, asked):
                self.counters.hit(asked.label)
                _give(call, plan, reply, outcome, found.kept.aged(found.age))
                return
            outcome.fallback = _body(call, plan, found.kept.aged(found.age))
        if plan.retry_class is RetryClass.UNSAFE or asked.label in self._fruitless:
            self.counters.miss(asked.label)
            outcome.taker = lambda status, message, body: self._take(asked, call, found.mark, status, message, body)
            await fetch()
        else:
            await self._fly(asked, found, call, plan, reply, outcome, fetch)
        if outcome.fell_back:
            self.counters.stale += 1

    async def _fly(
        self, asked: _Asked, found: CacheHit, call: Call, plan: Plan, reply: Reply, outcome: Outcome, fetch: Fetch
    ) -> None:
        """Make the call for all equal calls, or wait for the one in flight."""
        # A call that was made before a change has the answer from before: it is not equal.
        key = asked.own + repr(found.mark).encode()
        try:
            if self._flights.busy(key):
                async with within(plan.deadline - monotonic()):
                    flight, leads = await self._flights.join(key)
            else:
                flight, leads = await self._flights.join(key)
        except TimeoutError:
            answer_fault(
                call, reply, DeadlineExceeded("the equal call that it waited for did not end in time"), outcome
            )
            return
        if flight.result is not None:
            if self._memory.full:  # all waiters are answered at once, each with a copy
                answer_fault(call, reply, LimitReached("no memory for an answer (limits.memory)"), outcome)
                return
            self.counters.coalesced += 1
            _give(call, plan, reply, outcome, _aged(flight.result))
            return
        if not leads:
            self.counters.miss(asked.label)
            await fetch()
            return

        def taker(status: int, message: RpcResponse, body: bytes) -> None:
            # Now, and not at the end of the call: its client may read slowly.
            kept = self._take(asked, call, found.mark, status, message, body)
            self._flights.land(flight, CacheHit(kept, 0.0, None) if kept is not None else None)

        outcome.taker = taker
        try:
            elsewhere = await self._elsewhere(asked, found, plan)
            if elsewhere is None:
                self.counters.miss(asked.label)
                await fetch()
            else:
                self.counters.coalesced += 1
                _give(call, plan, reply, outcome, _aged(elsewhere))
            self._flights.land(flight, elsewhere)
        finally:
            self._flights.leave(flight)
            if self._shared is not None:
                self._shared.leave(asked.own)

    async def _elsewhere(self, asked: _Asked, found: CacheHit, plan: Plan) -> CacheHit | None:
        """The answer to an equal call that another gateway makes now; None if this one has to make it."""
        if self._shared is None or found.mark is None:
            return None

        async def look() -> CacheHit | None:
            again = await self._look(asked)
            return again if _usable(again, asked) else None

        return await self._shared.lead(asked.own, look, (plan.deadline - monotonic()) / 2)

    def _asked(self, call: Call, plan: Plan) -> _Asked | None:
        """The look-up of the call; None if its answer cannot be cached, or if comparing its parameters would take
        long."""
        if len(call.body) > BULK:
            return None
        rule = plan.kept
        assert rule is not None
        request, session = call.request, call.session
        version = request.protocol_version
        if call.era is Era.LEGACY:
            # Without hints; and with sessions, because a server may answer by their state, unless it keeps none.
            if rule.ttl == 0 or request.cursor is not None:
                return None
            if session is not None:
                version = session.claims.version
                if session.upstream_id and rule.method == TOOL and not self._settings.spec.sessions.stateless:
                    if plan.tool is not None:
                        self.in_sessions.add(self._metrics.cache_label(plan.tool))
                    return None
        tools = self._settings.tools_fingerprint
        subject = subject_of(call.body, rule, call.era, version, call.query, tools=tools)
        if subject is None:
            return None
        forward = b"" if rule.shared == "always" else call.forward
        common = key_of(subject, None, forward) if rule.shared != "never" else None
        own = common if common is not None and rule.shared == "always" else None
        return _Asked(
            rule,
            own or key_of(subject, call.principal.key, forward),
            common,
            subject.tag,
            self._metrics.cache_label(plan.tool) if plan.tool is not None else rule.method,
        )

    async def _look(self, asked: _Asked) -> CacheHit:
        """The answer for all principals, if there may be one, else the principal's own."""
        if asked.common is not None and asked.common != asked.own:
            found = await self.store.get(asked.common, asked.tag)
            if found.fresh:
                return found
        return await self.store.get(asked.own, asked.tag)

    def _take(
        self, asked: _Asked, call: Call, mark: object, status: int, message: RpcResponse, body: bytes
    ) -> CachedAnswer | None:
        """Examine an answer in passing, and cache it if that is allowed."""
        kept, shared = _kept(asked.rule, call, status, message, body)
        if kept is None:
            self._fruitless.add(asked.label)
            return None
        self._fruitless.discard(asked.label)
        key = asked.common if shared and asked.common is not None else asked.own
        self.store.put(key, asked.tag, kept, mark)
        self.watching.kept(asked.tag)
        return kept


def _kept(rule: Rule, call: Call, status: int, message: RpcResponse, body: bytes) -> tuple[CachedAnswer | None, bool]:
    """The part of an answer that may be cached, and whether all principals may have it."""
    if status != 200 or message.is_error or message.tool_error or message.result_type not in (None, "complete"):
        return None, False
    if message.request_state is not None or message.task_id is not None:
        return None, False
    if call.era is Era.LEGACY and message.next_cursor is not None:  # only its session's endpoint knows a cursor
        return None, False
    try:
        place = place_of(body, ("result",)) if len(body) <= MAX_KEPT else None
        if place is None:
            return None, False
        result = bytes(body[place[0] : place[1]])
        # The outline of a large result has its few short members.
        decision = verdict(rule, raw_at(outline_of(body).text, ("result",)) or b"" if len(body) > BULK else result)
        hint = place_of(body, ("result", "ttlMs")) if decision is not None else None
    except BadEnvelope:
        return None, False
    if decision is None:
        return None, False
    if hint is not None:
        hint = hint[0] - place[0], hint[1] - place[0]
    if hint is not None and not result[hint[0] : hint[1]].isdigit():
        hint = None
    return CachedAnswer(result, decision.ttl, decision.stale, hint), decision.shared


def _usable(found: CacheHit, asked: _Asked) -> bool:
    """Whether the answer may be given without asking a server."""
    return found.kept is not None and found.age < min(found.kept.ttl, max(asked.rule.ttl, asked.rule.cap))


def _aged(found: CacheHit) -> bytes:
    assert found.kept is not None
    return found.kept.aged(found.age)


def _body(call: Call, plan: Plan, result: bytes) -> bytes:
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (call.request.id or b"null", result)
    return body if plan.conceal is None else plan.conceal(body)


def _give(call: Call, plan: Plan, reply: Reply, outcome: Outcome, result: bytes) -> None:
    body = _body(call, plan, result)
    outcome.status = "success"
    outcome.size = len(body)
    reply.whole(200, JSON_HEADERS, body)
