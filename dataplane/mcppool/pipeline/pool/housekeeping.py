"""What time alone brings to a pool: time-outs, probation, suspicion, the ramp of slow start, the end of what leaves.

One coarse sweep looks at all of it, so that no call has a timer of its own (design §9.2).
"""

from __future__ import annotations

import asyncio
import traceback
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.observe.logs import get_logger
from mcppool.pipeline.routing import breakers
from mcppool.pipeline.routing.no_endpoint import whats_wrong
from mcppool.policy.hang_detection import QUICK, may_work_long
from mcppool.policy.health_score import renew_scores
from mcppool.policy.slow_start import scaled_weight
from mcppool.policy.standstill import Standstill

if TYPE_CHECKING:
    from mcppool.pipeline.pool.pool import ServerPool
    from mcppool.upstream.endpoint import Endpoint

SWEEP = 0.1  # seconds between two looks: the error of every time-out
WARN_AFTER = 3.0  # seconds in which a server may answer before we warn that none has
WARN_EVERY = 60.0
READ_HEADERS = 2.0  # seconds between two looks at files with values of headers
SUSPECT_MIN = 1.0  # `suspect_after = "auto"`: the larger of this and four times the endpoint's usual (design §3.7)
SUSPECT_FACTOR = 4.0

log = get_logger("pool")


async def keep_time(pool: ServerPool) -> None:
    """Sweep until cancelled. A defect in one look must not end all time-outs: it is logged, and the next look comes."""
    standstill = Standstill(SWEEP, monotonic())
    while True:
        await asyncio.sleep(SWEEP)
        now = monotonic()
        if standstill.spares(now):
            continue
        try:
            sweep(pool, now)
        except Exception as error:
            log.error("defect", pool=pool.name, exception="".join(traceback.format_exception(error)))


def sweep(pool: ServerPool, now: float) -> None:
    """Look once at everything that has a time."""
    for endpoint in (*pool.endpoints.values(), *pool.leaving):
        endpoint.connections.sweep(now)
    changed = [_watch(pool, endpoint, now) for endpoint in pool.endpoints.values()]
    if any(changed):
        pool.renew_candidates()  # a new tuple, on which strategies prepare anew what depends on weights
    pool.rests.sweep(now)
    pool.log.sweep()
    _miss_servers(pool, now)
    renew_scores(pool.endpoints.values(), now)
    pool.sessions.sweep(now)
    if pool.caching is not None:
        pool.caching.sweep(now)
    pool.let_go(now)
    if now >= pool.headers_due:
        pool.headers_due = now + READ_HEADERS
        for endpoint in pool.endpoints.values():
            if endpoint.head.renew():
                tell_of_headers(pool.name, endpoint)


def tell_of_headers(pool: str, endpoint: Endpoint) -> None:
    """Say which headers of the endpoint's have a file or a variable that cannot be read."""
    for problem in endpoint.head.sent.problems:
        log.error("header_unreadable", pool=pool, endpoint=endpoint.key, why=problem)


def _miss_servers(pool: ServerPool, now: float) -> None:
    """Warn where no server of the pool has ever answered: some seconds after its start, and each minute from then
    on."""
    if now < pool.warn_at or not pool.catalog.cold:
        return
    pool.warn_at = now + WARN_EVERY
    log.warning("no_server", pool=pool.name, why=whats_wrong(pool))


def _watch(pool: ServerPool, endpoint: Endpoint, now: float) -> bool:
    """One endpoint; returns whether its weight has changed."""
    outlier = endpoint.outlier
    outlier.due(now)
    if outlier.probation and not endpoint.active and endpoint not in pool.choice.probation:
        pool.choice.probation.append(endpoint)  # whatever became of the call that was to try it
    if endpoint.breakers:
        breakers.sweep(endpoint, now, pool.breaker_limits)
    if endpoint.busy or endpoint.lost == "hung":
        _while_silent(pool, endpoint, now)
    elif endpoint.active and not endpoint.suspected:
        since = max(endpoint.connections.waiting_since(), endpoint.looked)
        if now - since > _suspect_after(pool, endpoint):
            pool.suspect(endpoint)
    if endpoint.since is None:
        return False
    window = pool.spec.load_balancer.slow_start
    endpoint.weight = scaled_weight(endpoint.full_weight, endpoint.since, window, now)
    if now - endpoint.since >= window:
        endpoint.since = None
    return True


def _while_silent(pool: ServerPool, endpoint: Endpoint, now: float) -> None:
    """It answers nothing: calls that may go elsewhere do; those of its sessions only once it has hung."""
    if endpoint.busy and endpoint.silences.too_long(_explained(pool, endpoint), now):
        pool.hangs(endpoint)
    candidates = pool.choice.candidates
    if endpoint.active and candidates and endpoint not in candidates:
        endpoint.connections.move_waiting(sessions=endpoint.lost is not None)


def _explained(pool: ServerPool, endpoint: Endpoint) -> float:
    """For how many seconds the calls that a silent endpoint holds may keep it busy; 0 where none of them explains it.

    A program of ours that hangs is ended with all that it knows, so there nothing but time says that it does.
    """
    if endpoint.target.path is None and not any(_may_work_long(pool, t) for t in endpoint.connections.tools_at_work()):
        return 0.0
    # What its sessions ask must still have time to be answered elsewhere.
    return min(pool.spec.outlier_detection.hung_after, pool.spec.timeouts.request / 2)


def _may_work_long(pool: ServerPool, tool: str) -> bool:
    stats = pool.metrics.tool(tool)
    kept = sum(cache.hits.get(tool, 0) for cache in pool.metrics.caches.values())  # no server answered those
    return may_work_long(stats.answers - kept, stats.answered_within(QUICK) - kept)


def _suspect_after(pool: ServerPool, endpoint: Endpoint) -> float:
    """Seconds without a first byte after which we look whether the endpoint hangs."""
    configured = pool.spec.outlier_detection.suspect_after
    return configured if configured is not None else max(SUSPECT_MIN, SUSPECT_FACTOR * endpoint.latency.measured)
