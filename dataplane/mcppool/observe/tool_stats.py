"""The executions of one tool, by result, with their durations and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mcppool.observe.histogram import Histogram

if TYPE_CHECKING:
    from mcppool.observe.tracing.durations import UsualDurations

DURATION_BOUNDS: Final[tuple[float, ...]] = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of duration buckets, in seconds."""

SIZE_BOUNDS: Final = tuple(float(4**power) for power in range(4, 13))
"""Upper bounds of size buckets, in bytes: powers of four from 256 B to 16 MiB."""


class ToolStats:
    """Executions of one tool of one pool, by result.

    `success` and `tool_error` (the tool's own `isError`) are answers; `error` is a fault of a server or of the gateway;
    `rejected` was refused by the gateway before it reached an endpoint. `reasons` counts these two by reason; `retries`
    are attempts after the first. `duration` is in seconds, `size` in bytes of the answer. `usual` has the series of
    OpenTelemetry's durations that successes count in, by version of the protocol; a pool without tracing has none.
    """

    __slots__ = ("duration", "error", "reasons", "rejected", "retries", "size", "success", "tool_error", "usual")

    def __init__(self) -> None:
        self.success = 0
        self.tool_error = 0
        self.error = 0
        self.rejected = 0
        self.retries = 0
        self.reasons: dict[str, int] = {}
        self.duration = Histogram(DURATION_BOUNDS)
        self.size = Histogram(SIZE_BOUNDS)
        self.usual: dict[str | None, UsualDurations] = {}

    def fail(self, reason: str) -> None:
        """Count the reason why one was failed or refused; `reason` must come from a fixed set."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    @property
    def answers(self) -> int:
        """Number of answers."""
        return self.success + self.tool_error

    def answered_within(self, seconds: float) -> int:
        """Lower bound on the answers within `seconds`, which must be a bound of the buckets: failures count as if all
        of them had been as quick."""
        within = sum(self.duration.counts[: self.duration.bounds.index(seconds) + 1])
        return max(0, within - self.error - self.rejected)
