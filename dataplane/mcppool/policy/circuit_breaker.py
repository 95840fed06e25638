"""`circuit_breaker`: one breaker for each (endpoint, tool), for `tools/call` alone (policies.md §4.6).

closed → open after `failure_threshold` consecutive failures; open for `open_duration`; then half-open, which admits
one call at a time until `success_threshold` of them succeed in a row; a failure opens it again. A tool's own
`isError` and JSON-RPC errors are no failures: a client's mistakes must not open it.

Nor may one client's arguments, for which the server answers HTTP 500. Failures in a row that are all of one client
open the breaker for that client alone. The first failure of another one, with no success of another in between, opens
it for everybody. A client is any value that tells clients apart: a principal, a session, a connection.
"""

from __future__ import annotations

from collections.abc import Hashable
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
    """One breaker. `admits` says whether a client's call may go; one that goes ends in `succeeded`, `failed` or
    `abandoned`.

    `only` is the client for whom it is not closed, None where that is everybody.
    """

    __slots__ = ("_client", "_failures", "_shared", "_successes", "_trial", "only", "opened_at", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.opened_at = 0.0
        self.only: Hashable | None = None
        self._failures = 0  # in a row
        self._client: Hashable | None = None  # whose the first of them was
        self._shared = False  # not all of them are that client's
        self._successes = 0
        self._trial = False

    @property
    def idle(self) -> bool:
        """Whether it is closed and has nothing to remember, so that it may be forgotten."""
        return self.state is BreakerState.CLOSED and not self._failures

    def admits(self, client: Hashable, now: float, limits: BreakerLimits) -> bool:
        """Whether a call of `client` may go now; asking takes nothing."""
        if not self._concerns(client):
            return True
        if self.state is BreakerState.OPEN:
            return now >= self.opened_at + limits.open_duration
        return not self._trial

    def admit(self, client: Hashable, now: float, limits: BreakerLimits) -> None:
        """A call goes. Where the breaker's time is over it becomes half-open, and this call its trial; one that goes
        before, because it may be repeated and the breaker is open everywhere, changes nothing unless it succeeds."""
        if not self._concerns(client):
            return
        if self.state is BreakerState.OPEN and now >= self.opened_at + limits.open_duration:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        if self.state is BreakerState.HALF_OPEN:
            self._trial = True

    def succeeded(self, client: Hashable, limits: BreakerLimits) -> None:
        """A call of `client` was answered."""
        self._failures = 0
        if not self._concerns(client):
            return
        self._trial = False
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
        self._successes += 1
        if self._successes >= limits.success_threshold:
            self.state = BreakerState.CLOSED
            self.only = None

    def failed(self, client: Hashable, now: float, limits: BreakerLimits) -> None:
        """A call of `client` failed; one that was admitted before the breaker opened for it changes nothing."""
        concerned = self._concerns(client)
        if concerned:
            self._trial = False
            if self.state is BreakerState.OPEN:
                return
        if not self._failures:
            self._client, self._shared = client, False
        elif client != self._client:
            self._shared = True
        self._failures += 1
        for_all = self._shared and (self.only is not None or self._failures >= limits.failure_threshold)
        if for_all or concerned or self._failures >= limits.failure_threshold:
            self._open(None if for_all or (concerned and self.only is None) else client, now)

    def abandoned(self, client: Hashable) -> None:
        """A call of `client` ended without saying anything of the server, as when its client went away."""
        if self._concerns(client):
            self._trial = False

    def forgettable(self, now: float, limits: BreakerLimits) -> bool:
        """Whether it concerns one client alone and stays open no longer: with that client's next failures it begins
        anew."""
        return self.only is not None and now >= self.opened_at + 2 * limits.open_duration

    def retry_after(self, now: float, limits: BreakerLimits) -> float:
        """Seconds until a call may be admitted."""
        return max(0.0, self.opened_at + limits.open_duration - now) if self.state is BreakerState.OPEN else 0.0

    def _concerns(self, client: Hashable) -> bool:
        """Whether it is not closed for this client."""
        return self.state is not BreakerState.CLOSED and (self.only is None or client == self.only)

    def _open(self, only: Hashable | None, now: float) -> None:
        self.state = BreakerState.OPEN
        self.opened_at = now
        self.only = only
        self._trial = False
        if only is None:
            self._failures = 0
