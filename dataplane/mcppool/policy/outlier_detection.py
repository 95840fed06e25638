"""`outlier_detection`: ejection of endpoints that answer real calls badly (design §3.9).

An endpoint is ejected after `consecutive_failures` failed attempts in a row, for `base_ejection_time` times the number
of its ejections, at most `max_ejection_time`; that number falls by one for each such time without a new ejection. No
more than `max_ejection_percent` of a pool's endpoints are ejected at once.

The row must be the fault of the endpoint and not of one client's requests. It is if one of these holds:

* the row has failures of more than one client (`ConsecutiveFailures.shared`);
* another endpoint answered a call in it when it was repeated;
* it persists: only failures for `consecutive_failures.PERSISTENT` seconds.

An endpoint ejected for its answers stays out for its time, because a check does not show that fault; then one call
tries it (probation). An endpoint that cannot be reached or does not answer is left out and brought back by the prober
(design §3.9).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mcppool.policy.consecutive_failures import ClientKey, ConsecutiveFailures

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class OutlierLimits:
    """The section's values, times in seconds."""

    consecutive_failures: int
    base_ejection_time: float
    max_ejection_time: float
    max_ejection_percent: int


@dataclass(slots=True)
class OutlierState:
    """State of one endpoint."""

    row: ConsecutiveFailures = field(default_factory=ConsecutiveFailures)
    ejections: int = 0
    """Its recent ejections: the multiplier of its next ejection time."""
    ejected_until: float | None = None
    probation: bool = False
    """Its ejection time is over; one call is to try it."""
    well_since: float = NEVER

    @property
    def clean(self) -> bool:
        """Whether an answer would change nothing here."""
        return not self.row.length and not self.ejections and self.ejected_until is None

    @property
    def failures(self) -> int:
        """Failed attempts in a row."""
        return self.row.length

    @property
    def ejected(self) -> bool:
        """Whether it is ejected (its probation included, during which only the trial may go there)."""
        return self.ejected_until is not None

    def succeeded(self, now: float, limits: OutlierLimits, *, trial: bool = False) -> bool:
        """A valid answer came; returns whether that ended an ejection. `trial`: the answer was to the trial of another
        process, whose probation may have begun a moment earlier."""
        self.row.end()
        if self.ejected_until is None:
            if self.ejections and now - self.well_since >= limits.base_ejection_time:
                self.ejections -= 1
                self.well_since = now
            return False
        if not (self.probation or trial):
            return False  # an answer to a call from before the ejection
        self.ejected_until = None
        self.probation = False
        self.well_since = now
        return True

    def failed(
        self, client: ClientKey, now: float, limits: OutlierLimits, *, may_eject: bool, trial: bool = False
    ) -> bool:
        """An attempt of `client` failed; returns whether that ejects the endpoint. `may_eject`: the share allows it.
        `trial`: as in `succeeded`."""
        self.row.add(client, now)
        if self.ejected_until is not None:
            if self.probation or trial:
                self._eject(now, limits)
            return False
        return may_eject and self._judge(now, limits)

    def answered_elsewhere(self, now: float, limits: OutlierLimits, *, may_eject: bool) -> bool:
        """A call that failed here was answered at another endpoint; returns whether that ejects this endpoint."""
        if not self.row:
            return False
        self.row.shared = True
        return may_eject and self.ejected_until is None and self._judge(now, limits)

    def due(self, now: float) -> bool:
        """Compare with the time: returns whether the ejection time has just ended and probation begins."""
        if self.ejected_until is not None and not self.probation and now >= self.ejected_until:
            self.probation = True
            return True
        return False

    def _judge(self, now: float, limits: OutlierLimits) -> bool:
        """Eject if the row is long enough and the endpoint's fault."""
        if self.row.length < limits.consecutive_failures or not (self.row.shared or self.row.persists(now)):
            return False
        self._eject(now, limits)
        return True

    def _eject(self, now: float, limits: OutlierLimits) -> None:
        self.ejections += 1
        self.probation = False
        self.ejected_until = now + min(limits.base_ejection_time * self.ejections, limits.max_ejection_time)


def may_eject_another(ejected: int, endpoints: int, max_percent: int) -> bool:
    """Whether one more ejection stays within the share. The share is not rounded up, so a pool of one never ejects
    (Envoy's `always_eject_one_host: false`)."""
    return (ejected + 1) * 100 <= max_percent * endpoints
