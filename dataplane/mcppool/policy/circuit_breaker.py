"""`circuit_breaker`: one breaker for each (endpoint, tool), for `tools/call` alone (policies.md §4.6).

closed → open after `failure_threshold` consecutive failures; open for `open_duration`; then half-open, which admits
one call at a time until `success_threshold` of them succeed in a row; a failure opens it again. A tool's own
`isError` and JSON-RPC errors are no failures: a client's mistakes must not open it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class BreakerState(IntEnum):
    """Values of the metric `mcp_circuit_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """The section's values; `open_duration` in seconds."""

    failure_threshold: int
    open_duration: float
    success_threshold: int


class CircuitBreaker:
    """One breaker. `admits` says whether a call may go; one that goes ends in `succeeded`, `failed` or `abandoned`."""

    __slots__ = ("_failures", "_successes", "_trial", "opened_at", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.opened_at = 0.0
        self._failures = 0
        self._successes = 0
        self._trial = False

    @property
    def idle(self) -> bool:
        """Whether it is closed and has nothing to remember, so that it may be forgotten."""
        return self.state is BreakerState.CLOSED and not self._failures

    def admits(self, now: float, limits: BreakerLimits) -> bool:
        """Whether a call may go now; asking takes nothing."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return now >= self.opened_at + limits.open_duration
        return not self._trial

    def admit(self, now: float, limits: BreakerLimits) -> None:
        """A call goes: an open breaker whose time is over becomes half-open, and this call its trial."""
        if self.state is BreakerState.OPEN and now >= self.opened_at + limits.open_duration:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        if self.state is BreakerState.HALF_OPEN:
            self._trial = True

    def force_trial(self) -> None:
        """A call goes although the breaker is open: it is open everywhere, and this one may be repeated."""
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        self._trial = True

    def succeeded(self, limits: BreakerLimits) -> None:
        """An admitted call was answered."""
        self._failures = 0
        self._trial = False
        if self.state is BreakerState.HALF_OPEN:
            self._successes += 1
            if self._successes >= limits.success_threshold:
                self.state = BreakerState.CLOSED

    def failed(self, now: float, limits: BreakerLimits) -> None:
        """An admitted call failed; one that was admitted before the breaker opened changes nothing any more."""
        self._trial = False
        if self.state is BreakerState.OPEN:
            return
        self._failures += 1
        if self.state is BreakerState.HALF_OPEN or self._failures >= limits.failure_threshold:
            self.state = BreakerState.OPEN
            self.opened_at = now
            self._failures = 0

    def abandoned(self) -> None:
        """An admitted call ended without saying anything of the server, as when its client went away."""
        self._trial = False

    def retry_after(self, now: float, limits: BreakerLimits) -> float:
        """Seconds until a call may be admitted."""
        return max(0.0, self.opened_at + limits.open_duration - now) if self.state is BreakerState.OPEN else 0.0
