"""The concurrency limit of an endpoint that adapts: `limits.endpoint = "auto"`.

A gradient of latencies sets the limit, as in Netflix's concurrency-limits (Gradient2): while calls take as long as they
do on an idle server, the limit grows by its square root (by half until the first sign of a queue); when they take
longer, it shrinks in proportion. Refusals and time-outs shrink it by a tenth (as AIMDLimit does). Two things differ:

* Each tool is compared with itself, and in logarithms, because the latencies of tools differ by orders of magnitude and
  have long tails: one slow call among twenty changes little.
* The latency of an idle server is learned only from calls that met few others: at most a quarter of the limit. If none
  comes for half a minute, the limit is lowered to that quarter for some calls (a probe, as Envoy's adaptive concurrency
  makes for its minimum round trip). So a long overload does not become usual.
"""

from __future__ import annotations

from math import exp, inf, log, sqrt
from typing import Final

START: Final = 20.0
LEAST: Final = 4.0
MOST: Final = 1000.0
TOLERANCE: Final = 1.5
"""Latencies up to this many times the usual ones are no sign of a queue."""
SMOOTHING: Final = 0.5
"""Share of a step that one window takes."""
SHRINK_MOST: Final = 0.5
"""Lower bound of the gradient: one window takes away at most half of the limit."""
BACK_OFF: Final = 0.9
WINDOW: Final = 20
"""Calls in a window, at least."""
FEW: Final = 0.25
"""Share of the limit in flight up to which a call shows the latency of an idle server."""
LEARN: Final = 0.02
"""Weight of one such call in the mean, after the first fifty."""
DOUBT: Final = 2.0
"""Standard errors by which a usual latency may be too low."""
PROBE_EVERY: Final = 30.0
"""Seconds without such a call after which they are provoked."""
PROBE_CALLS: Final = 20
PROBE_MOST: Final = 5.0
"""Upper bound on the seconds of a probe."""
MAX_TOOLS: Final = 250
"""Upper bound on tools with a usual latency of their own."""
SHORTEST: Final = 1e-4
"""Seconds; shorter latencies count as these."""
LOG_SHORTEST: Final = log(SHORTEST)


class _Usual:
    """The usual latency of one tool, and its calls in the present window. `mean` and `variance` are of logarithms."""

    __slots__ = ("count", "learned", "mean", "total", "variance")

    def __init__(self) -> None:
        self.mean = 0.0
        self.variance = 0.0
        self.learned = 0
        self.count = 0
        self.total = 0.0

    def learn(self, latency: float) -> None:
        """A call met few others."""
        self.learned += 1
        weight = LEARN if self.learned * LEARN >= 1.0 else 1 / self.learned
        off = latency - self.mean
        self.mean += weight * off
        self.variance = (1.0 - weight) * (self.variance + weight * off * off)

    @property
    def highest(self) -> float:
        """Upper bound on the usual latency: the calls from which it is known may have been quick ones by chance."""
        return self.mean + DOUBT * sqrt(self.variance / min(self.learned, 1 / LEARN))


class AdaptiveLimit:
    """The limit of one endpoint. `now` is in monotonic seconds."""

    __slots__ = (
        "_backed_off", "_busiest", "_learned_at", "_probe_ends", "_probed", "_ramps", "_seen", "_usual", "limit",
    )  # fmt: skip

    def __init__(self, start: float = START) -> None:
        self.limit = start
        self._usual: dict[str, _Usual] = {}
        self._seen = 0  # calls in this window
        self._busiest = 0  # most calls in flight in this window
        self._backed_off = False  # in this window
        self._ramps = True  # no sign of a queue so far
        self._learned_at = -inf
        self._probe_ends = -inf
        self._probed = 0  # calls of this probe

    @property
    def places(self) -> int:
        """Number of calls that may be in flight."""
        return max(1, int(self.limit * FEW)) if self._probe_ends > 0.0 else int(self.limit)

    def answered(self, tool: str, seconds: float, in_flight: int, now: float) -> bool:
        """A call was answered after so many seconds; `in_flight` calls, itself included, were at the endpoint when it
        was sent. Returns whether the number of places may have changed."""
        latency = log(seconds) if seconds > SHORTEST else LOG_SHORTEST
        usual = self._usual.get(tool)
        if usual is None:
            if len(self._usual) >= MAX_TOOLS:
                del self._usual[next(iter(self._usual))]
            usual = self._usual[tool] = _Usual()
        if in_flight <= self.limit * FEW or in_flight == 1:
            usual.learn(latency)
            self._learned_at = now
            self._probed += 1
        if self._probe_ends > 0.0:
            if self._probed < PROBE_CALLS and now < self._probe_ends:
                return False
            self._probe_ends = -inf
            self._begin_window()
            return True
        usual.count += 1
        usual.total += latency
        self._seen += 1
        if in_flight > self._busiest:
            self._busiest = in_flight
        if self._seen < WINDOW or self._seen < self.limit:
            return False
        self._end_window(now)
        return True

    def overloaded(self) -> None:
        """The endpoint refused a call, or did not answer it in time."""
        if not self._backed_off:
            self._backed_off, self._ramps = True, False
            self.limit = max(LEAST, self.limit * BACK_OFF)

    def _end_window(self, now: float) -> None:
        gradient = min(1.0, max(SHRINK_MOST, TOLERANCE / exp(self._slower())))
        if gradient < 1.0 or self._busiest * 2 > self.limit:  # a limit that is not used does not grow
            self._ramps = self._ramps and gradient == 1.0
            target = self.limit * gradient + (self.limit if self._ramps else sqrt(self.limit))
            self.limit = min(MOST, max(LEAST, self.limit + SMOOTHING * (target - self.limit)))
        if now - self._learned_at > PROBE_EVERY:
            self._probe_ends = now + PROBE_MOST
            self._probed = 0
        self._begin_window()

    def _begin_window(self) -> None:
        self._seen = self._busiest = 0
        self._backed_off = False
        for usual in self._usual.values():
            usual.count, usual.total = 0, 0.0

    def _slower(self) -> float:
        """How much slower than usual the calls of the window were, as a logarithm; each tool counts by its calls."""
        known = [usual for usual in self._usual.values() if usual.learned and usual.count]
        excess = sum(usual.total - usual.count * usual.highest for usual in known)
        return excess / sum(usual.count for usual in known) if known else 0.0
