"""Makes slots from the counters of a process: the differences to the last look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import Final

from mcppool.observe.history.slots import (
    SLOT_SECONDS,
    TOOL_COUNTS,
    TOOL_WIDTH,
    EndpointSlot,
    GatewaySlot,
    PoolSlot,
    ToolSlot,
)
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.views import EndpointView, PoolView

EARLY: Final = 0.5
"""Seconds by which a timer may be early."""


class SlotMaker:
    """Remembers the counters at the last look. `take` is called once for each slot."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._pools: dict[str, _Seen] = {}

    def take(self, pools: Iterable[tuple[PoolMetrics, PoolView]], now: float, *, early: bool = False) -> GatewaySlot:
        """The slot that ends `now` (Unix seconds). `early`: it ends before its time, because the process does."""
        seconds, self._last = now - self._last, now
        before, self._pools = self._pools, {}
        parts = {}
        for metrics, view in pools:
            seen = self._pools[view.name] = before.get(view.name) or _Seen()
            parts[view.name] = _pool_slot(seen, metrics, view)
        number = int(now // SLOT_SECONDS) if early else int((now + EARLY) // SLOT_SECONDS) - 1
        return GatewaySlot(number, max(0.0, seconds), parts)


class _Seen:
    """The counters of one pool at the last look."""

    def __init__(self) -> None:
        self.counts: Sequence[int] = ()
        self.tools: dict[str, Sequence[int]] = {}
        self.reasons: dict[str, dict[str, int]] = {}
        self.endpoints: dict[str, Sequence[int]] = {}


def _pool_slot(seen: _Seen, metrics: PoolMetrics, view: PoolView) -> PoolSlot:
    counts = (view.calls, view.failed_calls, metrics.modern, metrics.legacy, view.budget_empty)
    tools = _tools(seen, metrics, view)
    totals = [0] * TOOL_WIDTH
    for slot in tools.values():
        totals = list(map(add, totals, slot.counts))
    own = _more(counts, seen.counts)
    seen.counts = counts
    gauges = (view.waiting, sum(endpoint.active_requests for endpoint in view.endpoints), metrics.take_peak())
    return PoolSlot([*own, *gauges, *totals], tools, _endpoints(seen, view.endpoints))


def _tools(seen: _Seen, metrics: PoolMetrics, view: PoolView) -> dict[str, ToolSlot]:
    found = {}
    caches = list(metrics.caches.values())
    present = dict(metrics.tools())
    for name in present.keys() | view.breakers.keys():
        stats = present.get(name)
        counts: Sequence[int] = ()
        reasons: Mapping[str, int] = {}
        if stats is not None:
            hits, misses = (sum(getattr(cache, kind).get(name, 0) for cache in caches) for kind in ("hits", "misses"))
            counted = [getattr(stats, count) for count in TOOL_COUNTS[:-2]]
            counts = (*counted, hits, misses, *stats.duration.counts)
            reasons = stats.reasons
        before = seen.reasons.get(name, {})
        slot = ToolSlot(
            _more(counts, seen.tools.get(name, ())) if counts else [0] * TOOL_WIDTH,
            view.breakers.get(name, 0),
            {
                reason: count - before.get(reason, 0)
                for reason, count in reasons.items()
                if count > before.get(reason, 0)
            },
        )
        seen.tools[name] = counts
        seen.reasons[name] = dict(reasons)
        if not slot.empty:
            found[name] = slot
    for gone in seen.tools.keys() - present.keys() - view.breakers.keys():
        del seen.tools[gone], seen.reasons[gone]
    return found


def _endpoints(seen: _Seen, views: Iterable[EndpointView]) -> dict[str, EndpointSlot]:
    found: dict[str, EndpointSlot] = {}
    before, seen.endpoints = seen.endpoints, {}
    for view in views:
        if view.url in found and view.draining:
            continue  # an address that comes back while it still drains occurs twice
        counts = (view.requests, view.failures)
        attempts, failures = _more(counts, before.get(view.url, ()))
        seen.endpoints[view.url] = counts
        found[view.url] = EndpointSlot(view.state, attempts, failures, view.latency or 0.0)
    return found


def _more(now: Sequence[int], before: Sequence[int]) -> list[int]:
    """Return the counts since `before`; all of `now` if the counters have begun anew."""
    if not before:
        return list(now)
    found = [count - former for count, former in zip(now, before, strict=True)]
    return list(now) if any(count < 0 for count in found) else found
