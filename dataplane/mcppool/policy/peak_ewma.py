"""Latency for balancing: a moving average that jumps up and comes down slowly (tower and Linkerd's Peak-EWMA).

On a sample `rtt` after `dt` seconds: `e = exp(-dt / DECAY)`, and `estimate = rtt` if that is larger (the peak), else
`estimate * e + rtt * (1 - e)`. Failed attempts are recorded as `max(rtt, 15 s)`, or a server that fails fast would
attract all calls (design §3.3). As in tower, the estimate decays without samples: a slow endpoint, which is not chosen
for its slowness, is tried again after a while.
"""

from __future__ import annotations

from math import exp
from typing import Final

DECAY: Final = 10.0  # seconds
SHARE: Final = 0.1  # of a sample in the moving average
GRAIN: Final = 0.1  # seconds after a sample in which a lower one changes almost nothing: saves an exponential


class PeakEwma:
    """The estimate of one endpoint, in seconds; 0 before the first sample.

    `measured` is a plain moving average of the round trips only, for people: without the penalties for failures.
    """

    __slots__ = ("_at", "estimate", "measured")

    def __init__(self) -> None:
        self.estimate = 0.0
        self.measured = 0.0
        self._at = 0.0

    def observe(self, rtt: float, now: float) -> None:
        """Record a round trip of `rtt` seconds."""
        measured = self.measured
        self.measured = measured + (rtt - measured) * SHARE if measured else rtt
        if rtt >= self.estimate:
            self.estimate = rtt
        elif now - self._at < GRAIN:
            return
        else:
            e = exp((self._at - now) / DECAY)
            self.estimate = self.estimate * e + rtt * (1.0 - e)
        self._at = now

    def penalise(self, rtt: float, now: float) -> None:
        """Balance as if a round trip had taken `rtt` seconds."""
        measured = self.measured
        self.observe(rtt, now)
        self.measured = measured

    def at(self, now: float) -> float:
        """The estimate, decayed until `now`; 0 if there is none."""
        return self.estimate * exp((self._at - now) / DECAY) if self.estimate else 0.0
