"""The history of a gateway: the slots of the last ten minutes, for each pool, tool and endpoint.

Its memory is bounded, whatever clients and servers do: arrays of fixed size, and upper bounds on their number. Slots
are added up, so several processes may add the same one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from mcppool.observe.history.series import EndpointSeries, PoolSeries, ToolSeries
from mcppool.observe.history.slots import GatewaySlot
from mcppool.observe.labels import OTHER

SLOTS: Final = 60
"""Slots that are kept: ten minutes."""

MAX_TOOLS: Final = 1000
"""Upper bound on the tools with a row of their own, of all pools together: some 5 KB each, at most 12 KB. The others
share the row `other` of their pool."""

MAX_ENDPOINTS: Final = 2000
"""Upper bound on the endpoints with a row of their own, of all pools together: some 1.5 KB each."""


class History:
    """The newest `SLOTS` slots. `newest` is the number of the newest one, None before the first."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.pools: dict[str, PoolSeries] = {}
        self._seconds = array("f", bytes(4 * SLOTS))

    def add(self, slot: GatewaySlot) -> None:
        """Add what one process counted; a slot that is too old is left out."""
        if self.newest is None or slot.number > self.newest:
            self._turn(slot.number)
        elif slot.number <= self.newest - SLOTS:
            return
        at = slot.number % SLOTS
        self._seconds[at] = max(self._seconds[at], slot.seconds)
        for name, part in slot.pools.items():
            pool = self.pools.get(name)
            if pool is None:
                pool = self.pools[name] = PoolSeries(SLOTS)
            pool.add(at, part)
            for tool, counted in part.tools.items():
                self._tool(pool, tool).add(at, counted)
            for url, endpoint in part.endpoints.items():
                row = self._endpoint(pool, url)
                if row is not None:
                    row.add(at, endpoint)

    def numbers(self, after: int | None = None) -> range:
        """The numbers of the kept slots, the oldest first; only those after this one."""
        if self.newest is None:
            return range(0)
        first = self.newest - SLOTS + 1
        return range(first if after is None else max(first, min(after, self.newest) + 1), self.newest + 1)

    def seconds(self, number: int) -> float:
        """The time that a slot covers; 0 if there is none of this number."""
        return self._seconds[number % SLOTS]

    def slots(self, after: int | None = None) -> Iterator[GatewaySlot]:
        """The kept slots, the oldest first; only those after the one of this number."""
        for number in self.numbers(after):
            at = number % SLOTS
            if self._seconds[at]:
                pools = {name: pool.slot(at) for name, pool in self.pools.items() if pool.seen[at]}
                yield GatewaySlot(number, self._seconds[at], pools)

    def _turn(self, newest: int) -> None:
        """Make room for a new slot, and for those that were left out before it."""
        gone = SLOTS if self.newest is None else min(SLOTS, newest - self.newest)
        for number in range(newest - gone + 1, newest + 1):
            at = number % SLOTS
            self._seconds[at] = 0.0
            for pool in self.pools.values():
                pool.clear(at)
        self.pools = {name: pool for name, pool in self.pools.items() if not pool.idle}
        self.newest = newest

    def _tool(self, pool: PoolSeries, name: str) -> ToolSeries:
        row = pool.tools.get(name)
        if row is None and name != OTHER and sum(len(each.tools) for each in self.pools.values()) >= MAX_TOOLS:
            name = OTHER
            row = pool.tools.get(OTHER)
        if row is None:
            row = pool.tools[name] = ToolSeries(SLOTS)
        return row

    def _endpoint(self, pool: PoolSeries, url: str) -> EndpointSeries | None:
        row = pool.endpoints.get(url)
        if row is None and sum(len(each.endpoints) for each in self.pools.values()) < MAX_ENDPOINTS:
            row = pool.endpoints[url] = EndpointSeries(SLOTS)
        return row
