"""Conditions of pools as metrics: one series for each condition, with its current status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcppool_operator import metrics
from mcppool_operator.triggers import split_key

Labels = tuple[str, str, str, str]


class ConditionMetrics:
    """Keeps the series of each pool in step with its status, and ends them with the pool."""

    def __init__(self) -> None:
        self._series: dict[str, frozenset[Labels]] = {}
        self._ready: dict[str, str] = {}

    def show(self, key: str, status: Mapping[str, Any]) -> None:
        """Show the conditions of a pool."""
        namespace, name = split_key(key)
        found = {str(c["type"]): str(c["status"]) for c in status.get("conditions") or ()}
        series = frozenset((namespace, name, kind, value) for kind, value in found.items())
        for labels in self._series.get(key, frozenset()) - series:
            metrics.POOL_CONDITION.remove(*labels)
        for labels in series:
            metrics.POOL_CONDITION.labels(*labels).set(1)
        self._series[key] = series
        self._count(key, found.get("Ready", "Unknown"))

    def forget(self, key: str) -> None:
        """Drop a pool that is deleted, or that another installation owns."""
        for labels in self._series.pop(key, frozenset()):
            metrics.POOL_CONDITION.remove(*labels)
        self._count(key, None)

    def _count(self, key: str, ready: str | None) -> None:
        before = self._ready.pop(key, None)
        if before is not None:
            metrics.POOLS.labels(before).dec()
        if ready is not None:
            self._ready[key] = ready
            metrics.POOLS.labels(ready).inc()
