"""`outlier_detection`: endpoints that answer badly are left out for a while (Envoy, gRPC A50; policies.md §4.3).

An endpoint is ejected after `consecutive_failures` failed attempts in a row, for `base_ejection_time` times the
number of its ejections, at most `max_ejection_time`; that number falls by one for each such time that it then stays
well. No more than `max_ejection_percent` of a pool's endpoints are out for this reason at once.

One ejected for what it answered stays out for its time, because a check does not show that fault; then one call tries
it (probation). One ejected because it cannot be reached or does not answer is the prober's, who ends that (DESIGN
§5).
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """What is remembered of one endpoint."""

    failures: int = 0
    ejections: int = 0
    """How often it was ejected of late: the multiplier of its next time out."""
    ejected_until: float | None = None
    probation: bool = False
    """Its time is over; one call is to try it."""
    well_since: float = NEVER

    @property
    def ejected(self) -> bool:
        """Whether it is left out (its probation included, in which only the trial may go there)."""
        return self.ejected_until is not None

    def succeeded(self, now: float, limits: OutlierLimits) -> bool:
        """A valid answer came; returns whether that ended an ejection."""
        self.failures = 0
        if self.ejected_until is None:
            if self.ejections and now - self.well_since >= limits.base_ejection_time:
                self.ejections -= 1
                self.well_since = now
            return False
        if not self.probation:
            return False  # an answer to a call from before the ejection
        self.ejected_until = None
        self.probation = False
        self.well_since = now
        return True

    def failed(self, now: float, limits: OutlierLimits, *, may_eject: bool) -> bool:
        """An attempt failed; returns whether the endpoint is ejected by that. `may_eject`: the share allows it."""
        self.failures += 1
        if self.ejected_until is not None:
            if self.probation:
                self._eject(now, limits)
            return False
        if self.failures >= limits.consecutive_failures and may_eject:
            self._eject(now, limits)
            return True
        return False

    def due(self, now: float) -> bool:
        """Look at the clock: returns whether the time out has just ended and probation begins."""
        if self.ejected_until is not None and not self.probation and now >= self.ejected_until:
            self.probation = True
            return True
        return False

    def _eject(self, now: float, limits: OutlierLimits) -> None:
        self.ejections += 1
        self.probation = False
        self.ejected_until = now + min(limits.base_ejection_time * self.ejections, limits.max_ejection_time)


def may_eject_another(ejected: int, endpoints: int, max_percent: int) -> bool:
    """Whether one more ejection keeps within the share. The share is not rounded up, so a pool of one never ejects
    (Envoy's `always_eject_one_host: false`).
    """
    return (ejected + 1) * 100 <= max_percent * endpoints
