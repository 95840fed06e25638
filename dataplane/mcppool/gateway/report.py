"""Views of the pools, for metrics, readiness and health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import log
from time import monotonic

from mcppool.cache.memory import MemoryStore
from mcppool.cache.sql import SqlStore
from mcppool.gateway.pool_health import pool_health
from mcppool.observe.views import (
    CacheView,
    ComponentHealth,
    ConfigView,
    EndpointView,
    LearnedView,
    LossView,
    PoolView,
    ProcessesView,
    RedisView,
)
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.breakers import worst_states
from mcppool.policy.adaptive_retry import HELPFUL, WORTHWHILE
from mcppool.policy.circuit_breaker import BreakerState
from mcppool.policy.health_score import HALF_LIFE
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec.plural import counted
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.stdio.slot_state import SlotState

MAX_LEARNED = 50
"""Upper bound on the lines about learned retries of a pool: those with the most trials are shown."""

MAX_CHANGED = 100  # tools that are named

QUIET = 0.05
"""Weighted attempts below which shares are meaningless."""


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
        warnings=_warnings(pool),
        changed_tools=_changed(pool)[:MAX_CHANGED],
        learned=learned_view(pool, now),
        rate=pool.calls.per_second(now),
        calls=pool.calls.count,
        failed_calls=pool.calls.failures,
        last_failure=pool.calls.why,
        tool_differences=pool.settings.catalog.differences,
    )


def expected_shares(pool: ServerPool) -> dict[Endpoint, float]:
    """The share of calls that each endpoint would have if only weights decided; empty if balancing has no choice."""
    chosen = pool.picker.candidates
    evenly = pool.spec.load_balancer.strategy == "round_robin"  # the one strategy that ignores weights
    weights = {endpoint: 1.0 if evenly else max(0.0, endpoint.weight) for endpoint in chosen}
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(chosen, 1 / len(chosen)) if chosen else {}
    return {endpoint: weight / whole for endpoint, weight in weights.items()}


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


def endpoint_view(
    pool: ServerPool,
    endpoint: Endpoint,
    now: float,
    all_trials: float,
    sessions: Mapping[str, int],
    expected: Mapping[Endpoint, float],
) -> EndpointView:
    """The current state of one endpoint; `all_trials` are the current ones of its pool, `sessions` counts by endpoint,
    `expected` are shares of calls."""
    connections, stats = endpoint.connections, endpoint.stats
    local = pool.local.state(endpoint) if pool.local is not None else None
    trials = endpoint.success.trials(now)
    dialling = "reconnecting" if endpoint.lost else "connecting"
    return EndpointView(
        url=endpoint.key,
        available=endpoint.available,
        state=endpoint.state,
        reason=_why(pool, endpoint, now, local),
        since=datetime.now(UTC) - timedelta(seconds=now - endpoint.health.since),
        expected_share=expected.get(endpoint, 0.0) if expected else None,
        draining=endpoint.draining,
        weight=endpoint.spec.weight,
        zone=endpoint.zone,
        priority=endpoint.priority,
        score=endpoint.score,
        share=trials / all_trials if all_trials >= QUIET else None,
        rate=trials * log(2) / HALF_LIFE,
        active_requests=endpoint.active,
        limit=endpoint.concurrency.places if endpoint.concurrency is not None else None,
        sessions=sessions.get(endpoint.key, 0),
        connections={"connected": connections.idle + len(connections.leased), dialling: connections.dialling},
        requests=stats.requests,
        failures=stats.failures,
        ejections=stats.ejections,
        latency=endpoint.latency.measured or None,
        health_checks=stats.checks,
        health_check_failures=stats.failed_checks,
        breakers={tool: breaker.state.name.lower() for tool, breaker in endpoint.breakers.items()},
        processes=ProcessesView(local.processes, local.starts, local.unreadable, local.first_unreadable, local.last_end)
        if local is not None
        else None,
    )


def _why(pool: ServerPool, endpoint: Endpoint, now: float, local: SlotState | None) -> str | None:
    """The reason for its state, for people."""
    if local is not None and local.trouble:
        return local.trouble
    if endpoint.draining:
        return f"finishes {counted(endpoint.active, 'call')}" if endpoint.active else "takes no new calls"
    if endpoint.state == "joining":
        return "takes calls after its first passed check"
    if endpoint.state == "ejected":
        left = (endpoint.health.outlier.ejected_until or now) - now
        rest = f"for another {left:.0f} s" if left > 0 else "its next call is a trial"
        return f"{rest}: {endpoint.stats.last_fault}"
    if endpoint.busy:
        silences = endpoint.health.silences
        known = f"; it came back after {silences.longest(now):.1f} s before" if silences.longest(now) else ""
        held = counted(endpoint.active, "call")
        return f"holds {held} and has answered nothing for {now - (silences.since or now):.0f} s{known}"
    if not endpoint.available:
        return endpoint.stats.last_fault or None
    if (longest := pool.rests.longest(endpoint, now)) is not None:
        (name, _), seconds = longest
        return f"asked for a rest of {seconds:.0f} s from {name}"
    if endpoint.health.available_since is not None and endpoint.full_weight > endpoint.weight:
        return f"slow start, at {endpoint.weight / endpoint.full_weight:.0%} of its weight"
    if local is not None and local.unreadable:
        return (
            f"its output has {counted(local.unreadable, 'line')} without a message; the first: {local.first_unreadable}"
        )
    return None


def _warnings(pool: ServerPool) -> tuple[str, ...]:
    """The pool's notes: tools that are not as pinned, and local servers that do not share their state."""
    return (*_changed_tools(pool), *_split_state(pool))


def _changed(pool: ServerPool) -> tuple[str, ...]:
    pinned = pool.settings.pinned_tools
    return () if pinned is None else tuple(sorted(pinned.changed))


def _changed_tools(pool: ServerPool) -> tuple[str, ...]:
    changed = _changed(pool)
    if not changed:
        return ()
    count = counted(len(changed), "tool", ("is not", "are not"))
    then = "; clients do not get them" if pool.spec.catalog.pin == "deny" else ""
    return (
        f"{count} as pinned ({_named(changed)}){then}: see tool_changed in the log, and pin the right definitions anew",
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _split_state(pool: ServerPool) -> tuple[str, ...]:
    """A note for a local server with several processes whose tools write: the other processes do not see the writes."""
    split = (
        pool.spec.command
        and len(pool.endpoints) > 1
        and (not pool.settings.catalog.legacy or pool.spec.sessions.stateless)
    )
    writing = sorted(tool.name for tool in pool.settings.catalog.tools.values() if not tool.read_only) if split else []
    if not writing:
        return ()
    named = _named(writing)
    return (
        f"{len(pool.endpoints)} processes of this server take calls in turn, and tools that may write ({named}) change "
        "one of them only: set replicas = 1 unless the server keeps its state elsewhere",
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


def readiness(pools: Mapping[str, ServerPool]) -> dict[str, str]:
    """Pools that are not ready, with the reasons."""
    return {name: "its endpoints have not been checked yet" for name, pool in pools.items() if not pool.probed.is_set()}


def answering(pools: Mapping[str, ServerPool]) -> dict[str, str]:
    """For each pool, the number of its servers that have answered, or the reason why none has."""
    return {name: answers(pool) for name, pool in pools.items()}


def answers(pool: ServerPool) -> str:
    """The number of servers of a pool that answer; if none ever has, the reason."""
    if not any(e.stats.answered for e in pool.endpoints.values()):
        return f"no server has answered yet: {pool.outage.describe()}"
    up = sum(e.stats.answered and not e.lost for e in pool.endpoints.values())
    return counted(up, "server", ("answers", "answer"), of=len(pool.endpoints))


def component_health(pools: Mapping[str, ServerPool], config: ConfigView) -> dict[str, ComponentHealth]:
    """The founding document's report: the health of each component, with a sentence that gives the reason."""
    now = monotonic()
    return {
        **{f"pool {name}": pool_health(pool, now) for name, pool in sorted(pools.items())},
        "connection_pool": _connections(pools),
        "balancer": _balancer(pools),
        "breakers": _breakers(pools),
        "cache": _cache(pools),
        "redis": _redis(pools),
        "configuration": _configuration(config),
    }


def _connections(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    endpoints = [e for pool in pools.values() for e in pool.endpoints.values()]
    if not endpoints:
        return ComponentHealth("unhealthy", "no server is configured")
    down = [e.key for e in endpoints if e.lost]
    if len(down) == len(endpoints):
        return ComponentHealth("unhealthy", f"cannot reach {counted(len(endpoints), 'endpoint')}")
    if down:
        return ComponentHealth("degraded", f"cannot reach {len(down)} of {len(endpoints)} endpoints")
    return ComponentHealth("healthy", f"can reach {counted(len(endpoints), 'endpoint')}")


def _balancer(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    if not pools:
        return ComponentHealth("unhealthy", "no pool is configured")
    empty = sorted(name for name, pool in pools.items() if not pool.picker.candidates)
    if empty:
        return ComponentHealth(
            "unhealthy" if len(empty) == len(pools) else "degraded", f"no endpoint is available in {', '.join(empty)}"
        )
    out = sum(not e.available for pool in pools.values() for e in pool.endpoints.values())
    if out:
        return ComponentHealth("degraded", f"{counted(out, 'endpoint', ('is', 'are'))} left out")
    return ComponentHealth("healthy", "all endpoints take calls")


def _breakers(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    states = {
        (name, tool): state for name, pool in pools.items() for tool, state in worst_states(pool.endpoints).items()
    }
    broken = sorted(f"{tool} of {name}" for (name, tool), state in states.items() if state is not BreakerState.CLOSED)
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        return ComponentHealth("degraded", f"not closed for {', '.join(broken[:3])}{more}")
    return ComponentHealth("healthy", "all breakers are closed")


def _cache(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    views = {name: view for name, pool in pools.items() if (view := cache_view(pool)) is not None}
    if not views:
        return ComponentHealth("healthy", "switched off")
    away = [f"{name}: {view.type}: {view.trouble}" for name, view in sorted(views.items()) if view.trouble is not None]
    if away:  # calls go on without it
        return ComponentHealth("degraded", f"calls are not cached; {'; '.join(away)}")
    types = ", ".join(sorted({view.type for view in views.values()}))
    return ComponentHealth("healthy", f"answers are cached:  {types}")


def _redis(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    used = {name: pool.redis for name, pool in sorted(pools.items()) if pool.redis is not None}
    if not used:
        return ComponentHealth("healthy", "not used")
    away = [f"{name}: {redis.trouble}" for name, redis in used.items() if redis.trouble is not None]
    if away:
        return ComponentHealth("degraded", f"this gateway uses only its own data; {'; '.join(away)}")
    uses = ", ".join(sorted({use for redis in used.values() for use in redis.uses}))
    return ComponentHealth("healthy", f"in use for {uses}")


def _configuration(config: ConfigView) -> ComponentHealth:
    if config.rejected is not None:
        return ComponentHealth("degraded", f"the gateway refused the newest one: {config.rejected.problems[0]}")
    return ComponentHealth("healthy", f"in force: {config.hash}")


def memory_health(memory: MemoryBudget) -> ComponentHealth:
    """Whether the process has room for new work."""
    if memory.limit is None:
        return ComponentHealth("healthy", "no limit")
    text = f"{memory.used >> 20} MiB of {memory.limit >> 20} MiB in use"
    if memory.full:
        return ComponentHealth("unhealthy", f"{text}: new work is refused; limits.memory sets the limit")
    return ComponentHealth("healthy", text)
