"""Fills the history of this process: once for each slot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final

from mcppool.observe.history.slot_maker import SlotMaker
from mcppool.observe.history.slots import SLOT_SECONDS, GatewaySlot
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import PoolView

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the health of the components."""


class HistoryKeeper:
    """Gives `keep` each slot when it ends. Calls `look` each `LOOK_EVERY` seconds, so that the time at which a status
    changes is known while nobody looks at the pages."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        views: Callable[[], Sequence[PoolView]],
        keep: Callable[[GatewaySlot], None],
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._metrics = metrics
        self._views = views
        self._keep = keep
        self._look = look
        self._started = time() - monotonic()  # the clock of the machine may be set meanwhile
        self._maker = SlotMaker(self._now())

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            left = SLOT_SECONDS - self._now() % SLOT_SECONDS
            await asyncio.sleep(min(left, LOOK_EVERY))
            self._look()
            if left <= LOOK_EVERY:
                self.take()

    def take(self, *, early: bool = False) -> None:
        """End the present slot; `early` if the process ends."""
        pools = [(self._metrics.pool(view.name), view) for view in self._views()]
        self._keep(self._maker.take(pools, self._now(), early=early))

    def _now(self) -> float:
        return self._started + monotonic()
