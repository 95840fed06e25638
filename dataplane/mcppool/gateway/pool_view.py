"""The state of a pool as the admin pages show it."""

from __future__ import annotations

from collections import Counter
from time import monotonic

from mcppool.cache.memory import MemoryStore
from mcppool.cache.sql import SqlStore
from mcppool.gateway.endpoint_view import endpoint_view, expected_shares
from mcppool.gateway.pool_warnings import changed_tools, pool_warnings
from mcppool.observe.views import CacheView, LearnedView, LossView, PoolView, RedisView
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.breakers import worst_states
from mcppool.policy.adaptive_retry import HELPFUL, WORTHWHILE

MAX_LEARNED = 50
"""Upper bound on the lines about learned retries of a pool: those with the most trials are shown."""

MAX_CHANGED = 100
"""Upper bound on the changed tools of a pool that are named."""


def pool_view(pool: ServerPool) -> PoolView:
    """The current state of one pool."""
    now = monotonic()
    endpoints = [*pool.endpoints.values(), *pool.endpoints.leaving]
    trials = sum(endpoint.success.trials(now) for endpoint in endpoints)
    outcomes: Counter[str] = Counter()
    sessions = pool.sessions.count_by_endpoint()
    expected = expected_shares(pool)
    for (_, outcome), count in pool.metrics.requests.items():
        outcomes[outcome] += count
    return PoolView(
        name=pool.name,
        endpoints=tuple(endpoint_view(pool, endpoint, now, trials, sessions, expected) for endpoint in endpoints),
        waiting=pool.waiting_room.waiting
        + sum(e.connections.waiting for e in endpoints)
        + (pool.admission.waiting if pool.admission is not None else 0),
        sessions=pool.sessions.remembered,
        catalog_tools=len(pool.settings.catalog.tools),
        cache=cache_view(pool),
        redis=RedisView(pool.redis.uses, pool.redis.trouble) if pool.redis is not None else None,
        breakers=worst_states(pool.endpoints),
        strategy=pool.spec.load_balancer.strategy,
        authentication=pool.spec.auth.inbound.type,
        panic=pool.picker.panic,
        outcomes=outcomes,
        retries=dict(pool.metrics.retries),
        hedges=pool.metrics.hedges,
        losses=losses_view(pool),
        events=pool.recent.newest_first(),
        warnings=pool_warnings(pool),
        changed_tools=changed_tools(pool)[:MAX_CHANGED],
        learned=learned_view(pool, now),
        budget_empty=pool.budget.empty,
        rate=pool.calls.per_second(now),
        calls=pool.calls.count,
        failed_calls=pool.calls.failures,
        last_failure=pool.calls.why,
        tool_differences=pool.settings.catalog.differences,
    )


def losses_view(pool: ServerPool) -> tuple[LossView, ...]:
    """The calls that no server answered, the latest reason first."""
    found = pool.metrics.losses.by_reason.items()
    return tuple(
        LossView(reason, loss.since, loss.last, loss.count, loss.total, loss.name, loss.endpoint, loss.detail)
        for reason, loss in sorted(found, key=lambda line: line[1].last, reverse=True)
    )


def cache_view(pool: ServerPool) -> CacheView | None:
    """The current state of a pool's cache."""
    caching = pool.caching
    if caching is None:
        return None
    store = caching.store
    counted = store if isinstance(store, MemoryStore | SqlStore) else None
    counters = pool.metrics.cache(caching.spec.type)
    return CacheView(
        type=caching.spec.type,
        entries=len(counted) if counted is not None else None,
        bytes=counted.size if counted is not None else None,
        trouble=store.trouble,
        hits=sum(counters.hits.values()),
        misses=sum(counters.misses.values()),
        coalesced=counters.coalesced,
        stale=counters.stale,
    )


def learned_view(pool: ServerPool, now: float) -> tuple[LearnedView, ...] | None:
    """The state of adaptive retry; None if no tool uses it."""
    policies = [pool.spec.retry_policy, *(pool.settings.tools.of(name).retry for name in pool.settings.catalog.tools)]
    if not any(policy.strategy == "adaptive" for policy in policies):
        return None
    lines = sorted(pool.retry.adaptive.snapshot(now), key=lambda line: -line.trials)[:MAX_LEARNED]
    found = []
    for line in sorted(lines, key=lambda line: (line.name, line.error_class, line.attempt is None)):
        policy = pool.settings.tools.of(line.name).retry
        wait = min(policy.base_delay * 2.0**line.bucket, policy.max_delay) if line.bucket is not None else None
        used = line.rate >= (WORTHWHILE if wait is None else HELPFUL)
        found.append(LearnedView(line.name, str(line.error_class), line.attempt, wait, line.rate, line.trials, used))
    return tuple(found)
