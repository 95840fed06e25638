"""The content of the admin port: of this process, or of several processes together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from mcppool.observe.history.history import History
from mcppool.observe.history.history_json import history_body
from mcppool.observe.loop_lag import LoopLag
from mcppool.observe.status_json import Body, config_body, config_changes_body, load_body, status_body
from mcppool.observe.views import ComponentHealth, ConfigChangeView, ConfigView, PoolView

PIECES: Final = 20
"""Pieces of the history that are rendered in one turn of the loop."""


class AdminSource(Protocol):
    """The gateway, as the admin port sees it. No method may block."""

    def ready(self) -> Mapping[str, str]:
        """Pools that are not ready, with the reasons. Empty: ready."""
        ...

    def answering(self) -> Mapping[str, str]:
        """For each pool, whether its servers answer, for people."""
        ...

    def health(self) -> Mapping[str, ComponentHealth]:
        """The health of each component, by its name."""
        ...

    def config(self) -> ConfigView:
        """The configuration in force, and the newest refused one."""
        ...

    def settings(self) -> Mapping[str, object]:
        """Every setting in force and its origin, without secrets: of the process, and of each pool."""
        ...

    def zone(self) -> str | None:
        """The zone of this process."""
        ...

    def config_changes(self) -> Sequence[ConfigChangeView]:
        """The configurations that were in force, and the refused ones, the newest first."""
        ...

    def public_keys(self) -> Sequence[Mapping[str, object]]:
        """The public keys of identity headers, as JWKs, for the servers that verify them."""
        ...

    def pool_views(self) -> Sequence[PoolView]:
        """The current state of each pool."""
        ...

    @property
    def history(self) -> History:
        """The last ten minutes."""
        ...

    def workload(self) -> Body:
        """By pool, facts about its tools and its sampled calls, for advice."""
        ...


class AdminPages(Protocol):
    """The content of the pages. The methods are those of `AdminSource`, and may ask other processes."""

    @property
    def has_metrics(self) -> bool:
        """Whether there is a page `/metrics`."""
        ...

    def start(self) -> None:
        """The pages are served from now on."""
        ...

    def stop(self) -> None:
        """They are served no more."""
        ...

    async def lag(self) -> float:
        """Seconds that the event loop is late; of several processes, the latest one."""
        ...

    async def ready(self) -> Mapping[str, str]:
        """See `AdminSource`."""
        ...

    async def answering(self) -> Mapping[str, str]:
        """See `AdminSource`."""
        ...

    async def health(self) -> Mapping[str, ComponentHealth]:
        """See `AdminSource`."""
        ...

    async def config(self) -> Body:
        """The configuration in force, and the newest refused one."""
        ...

    async def settings(self) -> Mapping[str, object]:
        """See `AdminSource`."""
        ...

    async def public_keys(self) -> Sequence[Mapping[str, object]]:
        """See `AdminSource`."""
        ...

    async def load(self) -> Body:
        """The load of each endpoint."""
        ...

    async def status(self, components: Mapping[str, ComponentHealth]) -> Body:
        """Everything on the status page, with the health of these components."""
        ...

    @property
    def past(self) -> History:
        """The last ten minutes."""
        ...

    async def config_changes(self) -> list[Body]:
        """The configurations that were in force, and the refused ones."""
        ...

    async def workload(self) -> Body:
        """See `AdminSource`."""
        ...

    async def families(self) -> Iterable[Metric] | None:
        """The metrics; None if there are none."""
        ...


class OwnPages:
    """The pages of this process.

    `registry` is the content of `/metrics`; with None there is no `/metrics`, and the rest is still served. It may be
    set while the pages are served.
    """

    def __init__(self, source: AdminSource, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry
        self._lag = LoopLag()
        self._source = source
        self._started = datetime.now(UTC)

    @property
    def has_metrics(self) -> bool:
        """See `AdminPages`."""
        return self.registry is not None

    def start(self) -> None:
        """See `AdminPages`."""
        self._lag.start()

    def stop(self) -> None:
        """See `AdminPages`."""
        self._lag.stop()

    async def lag(self) -> float:
        """See `AdminPages`."""
        return self._lag.seconds

    async def ready(self) -> Mapping[str, str]:
        """See `AdminPages`."""
        return self._source.ready()

    async def answering(self) -> Mapping[str, str]:
        """See `AdminPages`."""
        return self._source.answering()

    async def health(self) -> Mapping[str, ComponentHealth]:
        """See `AdminPages`."""
        return self._source.health()

    async def config(self) -> Body:
        """See `AdminPages`."""
        return config_body(self._source.config())

    async def settings(self) -> Mapping[str, object]:
        """See `AdminPages`."""
        return self._source.settings()

    async def public_keys(self) -> Sequence[Mapping[str, object]]:
        """See `AdminPages`."""
        return self._source.public_keys()

    async def load(self) -> Body:
        """See `AdminPages`."""
        return load_body(self._source.pool_views())

    async def status(self, components: Mapping[str, ComponentHealth]) -> Body:
        """See `AdminPages`."""
        source = self._source
        return status_body(
            source.pool_views(), components, source.config(), source.ready(), self._started, source.zone()
        )

    @property
    def past(self) -> History:
        """See `AdminPages`."""
        return self._source.history

    async def config_changes(self) -> list[Body]:
        """See `AdminPages`."""
        return config_changes_body(self._source.config_changes())

    async def workload(self) -> Body:
        """See `AdminPages`."""
        return self._source.workload()

    async def families(self) -> Iterable[Metric] | None:
        """See `AdminPages`."""
        return None if self.registry is None else self.registry.collect()


async def told(history: History, after: int | None, series: bool, configurations: list[Body]) -> Body:
    """The history as JSON; calls go on meanwhile."""
    pieces = history_body(history, after, series=series)
    for number in count(1):
        body = next(pieces)
        if body is not None:
            return {**body, "configurations": configurations}
        if number % PIECES == 0:
            await asyncio.sleep(0)
    raise AssertionError  # the last piece is the body
