"""`circuit_breaker`: one breaker for each (endpoint, tool), for `tools/call` only (design §3.10).

closed → open after `failure_threshold` consecutive failures; open for `open_duration`; then half-open, which admits one
call at a time until `success_threshold` of them succeed in a row; a failure opens it again. A tool's own `isError` and
JSON-RPC errors are no failures: a client's mistakes must not open it.

Nor must one client's arguments, if the server answers HTTP 500 to them. If a client's own failures in the row reach the
threshold, the breaker opens for that client alone. It opens for all clients if the row has failures of more than one
client (`ConsecutiveFailures.shared`), or of several that may be one and it persists. A success of any client ends the
row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mcppool.policy.consecutive_failures import ClientKey, ConsecutiveFailures


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
    """One breaker. `admits` tells whether a client's call may go; each call ends in `succeeded`, `failed` or
    `abandoned`.

    `only` is the client for whom it is not closed, None for all clients. `trial`: a trial call is in flight.
    """

    __slots__ = ("_row", "_successes", "only", "opened_at", "state", "trial")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.opened_at = 0.0
        self.only: ClientKey | None = None
        self._row = ConsecutiveFailures()
        self._successes = 0
        self.trial = False

    @property
    def idle(self) -> bool:
        """Whether it is closed without remembered failures, so that it may be dropped."""
        return self.state is BreakerState.CLOSED and not self._row

    def admits(self, client: ClientKey, now: float, limits: BreakerLimits) -> bool:
        """Whether a call of `client` may go now; changes nothing."""
        if not self.concerns(client):
            return True
        if self.state is BreakerState.OPEN:
            return now >= self.opened_at + limits.open_duration
        return not self.trial

    def admit(self, client: ClientKey, now: float, limits: BreakerLimits) -> None:
        """A call goes. If the breaker's time is over it becomes half-open, and this call its trial. A call that goes
        earlier, because it is repeatable and the breaker is open everywhere, changes nothing unless it succeeds."""
        if not self.concerns(client):
            return
        if self.state is BreakerState.OPEN and now >= self.opened_at + limits.open_duration:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        if self.state is BreakerState.HALF_OPEN:
            self.trial = True

    def succeeded(self, client: ClientKey, limits: BreakerLimits) -> None:
        """A call of `client` was answered."""
        self._row.end()
        if not self.concerns(client):
            return
        self.trial = False
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        self._successes += 1
        if self._successes >= limits.success_threshold:
            self.state = BreakerState.CLOSED
            self.only = None

    def failed(self, client: ClientKey, now: float, limits: BreakerLimits, *, trial: bool = False) -> None:
        """A call of `client` failed; a call admitted before the breaker opened for it changes nothing. `trial`: it was
        the trial that another process made while the breaker is still open here."""
        concerned = self.concerns(client)
        if concerned:
            self.trial = False
            if self.state is BreakerState.OPEN:
                if trial:
                    self.opened_at = now
                return
        row = self._row
        row.add(client, now)
        if concerned:
            self._open(self.only, now)
        elif row.length >= limits.failure_threshold:
            if row.shared or (row.mixed and row.persists(now)):
                self._open(None, now)
            elif row.of(client) >= limits.failure_threshold:
                self._open(client, now)

    def abandoned(self, client: ClientKey) -> None:
        """A call of `client` ended without a verdict on the server, for example because its client left."""
        if self.concerns(client):
            self.trial = False

    def forgettable(self, now: float, limits: BreakerLimits) -> bool:
        """Whether it concerns one client alone and its open time is over: that client's next failures start a new
        row."""
        return self.only is not None and now >= self.opened_at + 2 * limits.open_duration

    def retry_after(self, now: float, limits: BreakerLimits) -> float:
        """Seconds until a call may be admitted."""
        return max(0.0, self.opened_at + limits.open_duration - now) if self.state is BreakerState.OPEN else 0.0

    def concerns(self, client: ClientKey) -> bool:
        """Whether it is not closed for this client: then a call that it admits is a trial."""
        return self.state is not BreakerState.CLOSED and (self.only is None or client.key == self.only.key)

    def _open(self, only: ClientKey | None, now: float) -> None:
        self.state = BreakerState.OPEN
        self.opened_at = now
        self.only = only
        self.trial = False
        if only is None:
            self._row.end()
