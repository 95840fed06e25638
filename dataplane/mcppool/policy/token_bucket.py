"""A rate limit: tokens come at a steady rate, up to a burst; a call takes one."""

from __future__ import annotations

from typing import NamedTuple


class RateLimit(NamedTuple):
    """One that a call is under: `kind` and `name` say of whom or what, `rate` and `burst` are its bucket's."""

    kind: str
    name: str
    rate: float
    burst: float


class TokenBucket:
    """One bucket, full at first. `rate` in tokens per second, `burst` is what it holds."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, burst: float, now: float) -> None:
        self._tokens = burst
        self._at = now

    def take(self, rate: float, burst: float, now: float) -> float:
        """Take a token: 0 where there was one, else the seconds until there is."""
        self._tokens = min(burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / rate

    def has_left(self, rate: float, burst: float, now: float) -> bool:
        """Whether there is a token."""
        return min(burst, self._tokens + (now - self._at) * rate) >= 1.0

    def give_back(self) -> None:
        """Undo a `take`: another limit did not let the call through."""
        self._tokens += 1.0
