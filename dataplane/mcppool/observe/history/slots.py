"""One slot: what happened in a pool during ten seconds, as one process counted it."""

from __future__ import annotations

from typing import Final

import msgspec

from mcppool.observe.tool_stats import DURATION_BOUNDS

SLOT_SECONDS: Final = 10
"""Length of a slot."""

TOOL_COUNTS: Final = ("success", "tool_error", "error", "rejected", "retries", "cache_hits", "cache_misses")
"""The first counts of a tool; the buckets of its durations follow them."""

POOL_COUNTS: Final = ("calls", "failed", "modern", "legacy", "budget_empty", "waiting", "in_flight", "peak_in_flight")
"""The first counts of a pool; the sums of its tools' counts follow them. `budget_empty` counts failed calls that the
retry budget did not let repeat. `waiting` and `in_flight` are the numbers at the end of the slot, `peak_in_flight` is
the largest number in it."""

BUCKETS: Final = len(DURATION_BOUNDS) + 1
TOOL_WIDTH: Final = len(TOOL_COUNTS) + BUCKETS
POOL_WIDTH: Final = len(POOL_COUNTS) + TOOL_WIDTH


class ToolSlot(msgspec.Struct, array_like=True):
    """One tool: `counts` are `TOOL_COUNTS` and the buckets, `breaker` is its worst breaker (0 closed, 1 half-open,
    2 open), `reasons` counts its failed and refused calls by reason."""

    counts: list[int]
    breaker: int = 0
    reasons: dict[str, int] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.breaker or self.reasons or any(self.counts))


class EndpointSlot(msgspec.Struct, array_like=True):
    """One endpoint: attempts and failed attempts in the slot; its state and its latency in seconds at the end of the
    slot (0: unknown)."""

    state: str
    attempts: int
    failures: int
    latency: float


class PoolSlot(msgspec.Struct, array_like=True):
    """One pool: `counts` are `POOL_COUNTS` and the sums of its tools. `tools` has only those with something to tell."""

    counts: list[int]
    tools: dict[str, ToolSlot]
    endpoints: dict[str, EndpointSlot]


class GatewaySlot(msgspec.Struct, array_like=True):
    """A slot of a gateway process.

    `number` is its Unix time divided by `SLOT_SECONDS`, so that the slots of different processes fit together;
    `seconds` is the time that it covers, longer than a slot if the process stood still.
    """

    number: int
    seconds: float
    pools: dict[str, PoolSlot]
