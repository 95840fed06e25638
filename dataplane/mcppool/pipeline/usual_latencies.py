"""The latencies that are usual for the tools of a pool, from the histograms of its metrics: a call costs nothing."""

from __future__ import annotations

from typing import Final

from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tool_stats import DURATION_BOUNDS
from mcppool.policy.suspicion import RecentLatencies, suspect_after
from mcppool.upstream.endpoint import Endpoint

EVERY: Final = 10.0
"""Seconds between two looks at the histograms."""


class UsualLatencies:
    """Of one pool."""

    def __init__(self, metrics: PoolMetrics) -> None:
        self._metrics = metrics
        self._recent: dict[str, RecentLatencies] = {}
        self._high: dict[str, float | None] = {}
        self._due = 0.0

    def sweep(self, now: float) -> None:
        """Look at the histograms, if that is due."""
        if now < self._due:
            return
        self._due = now + EVERY
        recent = {}
        for name, stats in self._metrics.tools():
            recent[name] = latencies = self._recent.get(name) or RecentLatencies(DURATION_BOUNDS)
            latencies.take(stats.duration.counts)
        self._recent = recent
        self._high = {name: latencies.high() for name, latencies in recent.items()}

    def suspect_after(self, endpoint: Endpoint) -> float:
        """Seconds without a first byte after which an endpoint is checked."""
        at_work = endpoint.connections.tools_at_work()
        return suspect_after([self._high.get(tool) for tool in at_work], endpoint.latency.measured)
