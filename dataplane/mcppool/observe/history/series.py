"""Arrays of fixed size that hold the slots of one pool, tool or endpoint."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import add, sub
from typing import Final

from mcppool.observe.history.slots import POOL_WIDTH, TOOL_WIDTH, EndpointSlot, PoolSlot, ToolSlot
from mcppool.observe.views import WORST_STATES

MAX_CELL: Final = (1 << 32) - 1
UNKNOWN: Final = 255
"""The rank of a state in a slot without data."""


class Counts:
    """`width` counts for each of `slots` slots, and their sums over all slots. Four bytes a count."""

    __slots__ = ("_cells", "_width", "sums")

    def __init__(self, slots: int, width: int) -> None:
        self._width = width
        self._cells = array("I", bytes(4 * slots * width))
        self.sums = [0] * width

    @property
    def size(self) -> int:
        """Bytes of the counts."""
        return len(self._cells) * self._cells.itemsize

    def row(self, at: int) -> Sequence[int]:
        """The counts of the slot at this place."""
        return self._cells[at * self._width : (at + 1) * self._width]

    def add(self, at: int, counts: Sequence[int]) -> None:
        """Add to the counts of the slot at this place."""
        before = self.row(at)
        after = array("I", (min(count, MAX_CELL) for count in map(add, before, counts)))
        self._put(at, before, after)

    def clear(self, at: int) -> None:
        """Forget the slot at this place."""
        before = self.row(at)
        if any(before):
            self._put(at, before, array("I", bytes(4 * self._width)))

    def _put(self, at: int, before: Sequence[int], after: array[int]) -> None:
        self._cells[at * self._width : (at + 1) * self._width] = after
        self.sums = list(map(add, self.sums, map(sub, after, before)))


class ToolSeries:
    """The slots of one tool."""

    __slots__ = ("breakers", "counts", "reasons")

    def __init__(self, slots: int) -> None:
        self.counts = Counts(slots, TOOL_WIDTH)
        self.breakers = bytearray(slots)
        self.reasons: dict[str, Counts] = {}  # few: by a reason of ours

    def add(self, at: int, slot: ToolSlot) -> None:
        """Add what one process counted."""
        self.counts.add(at, slot.counts)
        self.breakers[at] = max(self.breakers[at], slot.breaker)
        for reason, count in slot.reasons.items():
            if reason not in self.reasons:
                self.reasons[reason] = Counts(len(self.breakers), 1)
            self.reasons[reason].add(at, [count])

    def clear(self, at: int) -> None:
        """Forget the slot at this place."""
        self.counts.clear(at)
        self.breakers[at] = 0
        for counts in self.reasons.values():
            counts.clear(at)
        if self.reasons:
            self.reasons = {reason: counts for reason, counts in self.reasons.items() if counts.sums[0]}

    def slot(self, at: int) -> ToolSlot:
        """The slot at this place."""
        reasons = {reason: count for reason, counts in self.reasons.items() if (count := counts.row(at)[0])}
        return ToolSlot(list(self.counts.row(at)), self.breakers[at], reasons)

    @property
    def idle(self) -> bool:
        """Whether no slot has anything to tell."""
        return not (any(self.counts.sums) or any(self.breakers) or self.reasons)


class EndpointSeries:
    """The slots of one endpoint."""

    __slots__ = ("_latencies", "_states", "counts")

    def __init__(self, slots: int) -> None:
        self.counts = Counts(slots, 2)
        self._states = bytearray([UNKNOWN]) * slots
        self._latencies = array("f", bytes(4 * slots))

    def add(self, at: int, slot: EndpointSlot) -> None:
        """Add what one process counted: the worst state counts, and the mean latency of the attempts."""
        before = self.counts.row(at)[0]
        self.counts.add(at, (slot.attempts, slot.failures))
        self._states[at] = min(self._states[at], _rank(slot.state))
        if slot.latency:
            weight = max(1, slot.attempts)
            whole = weight + (before if self._latencies[at] else 0)
            self._latencies[at] += (slot.latency - self._latencies[at]) * weight / whole

    def clear(self, at: int) -> None:
        """Forget the slot at this place."""
        self.counts.clear(at)
        self._states[at] = UNKNOWN
        self._latencies[at] = 0.0

    def slot(self, at: int) -> EndpointSlot | None:
        """The slot at this place; None if it was not there."""
        state = self.state(at)
        attempts, failures = self.counts.row(at)
        return None if state is None else EndpointSlot(state, attempts, failures, self._latencies[at])

    def state(self, at: int) -> str | None:
        """Its state in the slot; None if it was not there."""
        rank = self._states[at]
        return None if rank == UNKNOWN else WORST_STATES[rank]

    def latency(self, at: int) -> float | None:
        """Its latency in seconds; None if it is unknown."""
        return self._latencies[at] or None

    @property
    def idle(self) -> bool:
        """Whether it was in no slot."""
        return all(rank == UNKNOWN for rank in self._states)


class PoolSeries:
    """The slots of one pool, of its tools and of its endpoints."""

    __slots__ = ("counts", "endpoints", "seen", "tools")

    def __init__(self, slots: int) -> None:
        self.counts = Counts(slots, POOL_WIDTH)
        self.seen = bytearray(slots)
        """1 for each slot in which the pool was there."""
        self.tools: dict[str, ToolSeries] = {}
        self.endpoints: dict[str, EndpointSeries] = {}

    def add(self, at: int, slot: PoolSlot) -> None:
        """Add what one process counted of the pool as a whole."""
        self.counts.add(at, slot.counts)
        self.seen[at] = 1

    def slot(self, at: int) -> PoolSlot:
        """The slot at this place."""
        tools = {name: slot for name, tool in self.tools.items() if not (slot := tool.slot(at)).empty}
        there = ((url, endpoint.slot(at)) for url, endpoint in self.endpoints.items())
        endpoints = {url: found for url, found in there if found is not None}
        return PoolSlot(list(self.counts.row(at)), tools, endpoints)

    def clear(self, at: int) -> None:
        """Forget the slot at this place, and whatever has no other."""
        self.counts.clear(at)
        self.seen[at] = 0
        for tool in self.tools.values():
            tool.clear(at)
        for endpoint in self.endpoints.values():
            endpoint.clear(at)
        self.tools = {name: tool for name, tool in self.tools.items() if not tool.idle}
        self.endpoints = {url: endpoint for url, endpoint in self.endpoints.items() if not endpoint.idle}

    @property
    def idle(self) -> bool:
        """Whether it was in no slot."""
        return not any(self.seen)


def _rank(state: str) -> int:
    return WORST_STATES.index(state) if state in WORST_STATES else UNKNOWN
