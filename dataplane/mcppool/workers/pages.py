"""The admin port's pages for all workers together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import mcppool
from mcppool.built import BUILD
from mcppool.observe.history.history import History
from mcppool.observe.status_json import Body, config_body, health_body, health_times, rfc3339
from mcppool.observe.views import ComponentHealth, ConfigView, Status
from mcppool.workers.merged_metrics import as_metrics
from mcppool.workers.merged_status import (
    merged_config,
    merged_health,
    merged_load,
    merged_ready,
    merged_status,
    merged_workload,
)
from mcppool.workers.supervisor import Supervisor

PATIENCE: Final = 2.0
"""Seconds that a worker has for its part of a page."""
STANDSTILL: Final = 5.0
"""Seconds without an answer after which `/livez` takes a worker for hung."""
NO_WORKER: Final = "no worker serves"


class AllPages:
    """See `AdminPages`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def has_metrics(self) -> bool:
        """See `AdminPages`."""
        return self._supervisor.snapshot.metrics.prometheus_enabled

    def start(self) -> None:
        """See `AdminPages`."""

    def stop(self) -> None:
        """See `AdminPages`."""

    async def lag(self) -> float:
        """See `AdminPages`."""
        serving = len(self._supervisor.workers)
        answers = [lag for _, lag in await self._supervisor.ask("lag", STANDSTILL)]
        return inf if len(answers) < min(serving, len(self._supervisor.workers)) else max(answers, default=0.0)

    async def ready(self) -> Mapping[str, str]:
        """See `AdminPages`."""
        pages = await self._pages("ready")
        return merged_ready(pages) if pages else {pool.name: NO_WORKER for pool in self._supervisor.snapshot.pools}

    async def answering(self) -> Mapping[str, str]:
        """See `AdminPages`."""
        pages: list[dict[str, str]] = await self._pages("answering")
        return pages[0] if pages else {}

    async def health(self) -> Mapping[str, ComponentHealth]:
        """See `AdminPages`."""
        answers = await self._supervisor.ask("health", PATIENCE)
        parts = [(worker, {name: _health(*part) for name, part in page.items()}) for worker, page in answers]
        return {**merged_health(parts), "workers": self._health_of_workers(len(parts))}

    async def config(self) -> Body:
        """See `AdminPages`."""
        pages = await self._pages("config")
        return merged_config(pages) if pages else config_body(ConfigView())

    async def settings(self) -> Mapping[str, object]:
        """See `AdminPages`."""
        pages: list[dict[str, object]] = await self._pages("settings")
        return pages[0] if pages else {}

    async def public_keys(self) -> Sequence[Mapping[str, object]]:
        """See `AdminPages`."""
        found = {key["kid"]: key for keys in await self._pages("keys") for key in keys}
        return list(found.values())

    async def load(self) -> Body:
        """See `AdminPages`."""
        return merged_load(await self._pages("load"))

    async def status(self, components: Mapping[str, ComponentHealth]) -> Body:
        """See `AdminPages`."""
        pages = await self._pages("status")
        own = {"health": health_body(components), "healthSince": health_times(components)}
        if pages:
            return {**merged_status(pages), **own}
        return {
            "version": mcppool.__version__,
            "build": BUILD,
            "at": rfc3339(datetime.now(UTC)),
            "startedAt": rfc3339(self._supervisor.started_at),
            "zone": None,
            **own,
            "notReady": dict(await self.ready()),
            "config": config_body(ConfigView()),
            "pools": [],
        }

    @property
    def past(self) -> History:
        """See `AdminPages`."""
        return self._supervisor.history

    async def config_changes(self) -> list[Body]:
        """See `AdminPages`."""
        pages: list[list[Body]] = await self._pages("configurations")
        return pages[0] if pages else []

    async def workload(self) -> Body:
        """See `AdminPages`."""
        return merged_workload(await self._pages("workload"))

    async def families(self) -> Iterable[Metric] | None:
        """See `AdminPages`."""
        if not self.has_metrics:
            return None
        return [*as_metrics(await self._supervisor.metrics(PATIENCE)), *self._own()]

    def _own(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("mcppool_workers", "Processes that serve clients.", value=len(self._supervisor.workers))
        yield CounterMetricFamily(
            "mcppool_worker_ends_total",
            "Processes that ended by themselves, or hung and were killed.",
            value=self._supervisor.ended_by_themselves,
        )

    def _health_of_workers(self, answering: int) -> ComponentHealth:
        supervisor = self._supervisor
        missing = [f"worker {number} does not serve: {why}" for number, why in supervisor.missing()]
        serving = len(supervisor.workers)
        if not serving:
            return ComponentHealth("unhealthy", missing[0] if missing else NO_WORKER)
        if missing:
            return ComponentHealth("degraded", "; ".join(missing[:3]))
        if answering < serving:
            return ComponentHealth("degraded", f"{serving - answering} of {serving} workers do not answer")
        return ComponentHealth("healthy", f"{serving} processes serve")

    async def _pages(self, name: str) -> list[Any]:
        return [page for _, page in await self._supervisor.ask(name, PATIENCE)]


def _health(status: Status, message: str, since: str | None) -> ComponentHealth:
    """A component as a worker has sent it."""
    return ComponentHealth(status, message, None if since is None else datetime.fromisoformat(since))
