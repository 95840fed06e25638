"""Active health checks: decides when a row of results changes an endpoint's state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class HealthState:
    """The state of one endpoint by its active checks: healthy until `unhealthy_threshold` checks in a row have failed,
    then unhealthy until `healthy_threshold` in a row have passed."""

    healthy: bool = True
    failures: int = 0
    successes: int = 0

    def record(self, passed: bool, *, unhealthy_threshold: int, healthy_threshold: int) -> bool:
        """Count one check; returns whether that changed `healthy`."""
        if passed:
            self.successes += 1
            self.failures = 0
            if not self.healthy and self.successes >= healthy_threshold:
                self.healthy = True
                return True
        else:
            self.failures += 1
            self.successes = 0
            if self.healthy and self.failures >= unhealthy_threshold:
                self.healthy = False
                return True
        return False
