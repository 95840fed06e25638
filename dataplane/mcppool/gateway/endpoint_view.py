"""The state of an endpoint as the admin pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import log

from mcppool.observe.views import EndpointView, ProcessesView
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.health_score import HALF_LIFE
from mcppool.spec.plural import counted
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.stdio.slot_state import SlotState

QUIET = 0.05
"""Weighted attempts below which shares are meaningless."""


def expected_shares(pool: ServerPool) -> dict[Endpoint, float]:
    """The share of calls that each endpoint would have if only weights decided; empty if balancing has no choice."""
    chosen = pool.picker.candidates
    evenly = pool.spec.load_balancer.strategy == "round_robin"  # the one strategy that ignores weights
    weights = {endpoint: 1.0 if evenly else max(0.0, endpoint.weight) for endpoint in chosen}
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(chosen, 1 / len(chosen)) if chosen else {}
    return {endpoint: weight / whole for endpoint, weight in weights.items()}


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
