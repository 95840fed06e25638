"""A success rate in which each outcome counts less as it gets older."""

from __future__ import annotations

from typing import Final

GRAIN: Final = 0.01  # seconds within which decay is too small to measure: saves a power for each outcome


class DecayingRate:
    """Successes among trials, each weighted by `2 ** (-age / half_life)`; O(1) in time and memory.

    Unlike in a moving average over time, a burst of outcomes counts with all its outcomes.
    """

    __slots__ = ("_at", "_half_life", "_new", "_successes", "_trials")

    def __init__(self, half_life: float) -> None:
        self._half_life = half_life
        self._at = 0.0
        self._successes = 0.0
        self._trials = 0.0
        self._new = 0  # successes that are not counted in the others yet

    def succeed(self) -> None:
        """Record a success, whose age counts from the next look or outcome. Each call does this: it touches one integer
        in place of three numbers of their own."""
        self._new += 1

    def observe(self, success: bool, now: float) -> None:
        """Record an outcome."""
        if now - self._at < GRAIN and not self._new:  # the usual case, without the frames of the others
            self._trials += 1.0
            if success:
                self._successes += 1.0
            return
        self._count_new(now)
        self._count(1.0 if success else 0.0, 1.0, now)

    def trials(self, now: float) -> float:
        """Number of remembered outcomes, weighted by their age."""
        self._count_new(now)
        return self._trials * self._share_left(now)

    def rate(self, now: float, prior: float = 0.0) -> float | None:
        """The rate, as if `prior` successes had come before; None without any outcome."""
        self._count_new(now)
        share = self._share_left(now)
        trials = self._trials * share + prior
        return (self._successes * share + prior) / trials if trials > 0 else None

    def _count_new(self, now: float) -> None:
        new, self._new = self._new, 0
        if new:
            self._count(float(new), float(new), now)

    def _count(self, successes: float, trials: float, now: float) -> None:
        if now - self._at < GRAIN:
            self._successes += successes
            self._trials += trials
            return
        share = self._share_left(now)
        self._successes = self._successes * share + successes
        self._trials = self._trials * share + trials
        self._at = now

    def _share_left(self, now: float) -> float:
        return float(0.5 ** ((now - self._at) / self._half_life))
