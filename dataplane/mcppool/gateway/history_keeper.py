"""Fills the history of this process: once for each slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, time

from mcppool.observe.history.slot_maker import SlotMaker
from mcppool.observe.history.slots import SLOT_SECONDS, GatewaySlot
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import PoolView


class HistoryKeeper:
    """Gives `keep` each slot when it ends."""

    def __init__(
        self, metrics: GatewayMetrics, views: Callable[[], Sequence[PoolView]], keep: Callable[[GatewaySlot], None]
    ) -> None:
        self._metrics = metrics
        self._views = views
        self._keep = keep
        self._started = time() - monotonic()  # the clock of the machine may be set meanwhile
        self._maker = SlotMaker(self._now())

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await asyncio.sleep(SLOT_SECONDS - self._now() % SLOT_SECONDS)
            self.take()

    def take(self, *, early: bool = False) -> None:
        """End the present slot; `early` if the process ends."""
        pools = [(self._metrics.pool(view.name), view) for view in self._views()]
        self._keep(self._maker.take(pools, self._now(), early=early))

    def _now(self) -> float:
        return self._started + monotonic()
