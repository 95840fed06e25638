"""The delay before a hedge, from observed latencies: the 95th percentile of the last calls of the same method.

About one call in twenty is slower, so about one in twenty is hedged. Source: Dean and Barroso, "The Tail at Scale"
(2013), which defers the second request until the first has been outstanding for longer than the 95th-percentile
latency. A hedged call counts with its whole duration, which is longer than the delay: so hedges that help do not lower
the percentile.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES: Final = 200
"""Calls that are remembered: the delay follows a change within so many calls."""
ENOUGH: Final = 20
"""Calls before which nothing is hedged."""
EVERY: Final = 10
"""Calls between two computations."""
QUANTILE: Final = 0.95
LEAST: Final = 0.005
"""Lower bound of the delay, in seconds: a hedge against less would cost more than it gains."""


class HedgeDelay:
    """The delay for one method."""

    __slots__ = ("_calls", "_samples", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        """The delay; None while too little is known to hedge."""
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._calls = 0

    def observe(self, seconds: float) -> None:
        """A call was answered after so many seconds."""
        samples = self._samples
        samples.append(seconds)
        self._calls += 1
        if len(samples) >= ENOUGH and self._calls % EVERY == 0:
            self.seconds = max(LEAST, sorted(samples)[int(QUANTILE * len(samples))])
