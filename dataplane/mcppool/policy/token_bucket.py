"""A rate limit: tokens come at a steady rate, up to a burst; a call takes one."""

from __future__ import annotations

from typing import NamedTuple


class RateLimit(NamedTuple):
    """A rate limit of a call: `kind` and `name` identify it, `rate` and `burst` are those of its bucket."""

    kind: str
    name: str
    rate: float
    burst: float


class TokenBucket:
    """One bucket, full at first. `rate` is in tokens per second, `burst` is its capacity. `used_at` is the time of the
    last `take`."""

    __slots__ = ("_tokens", "used_at")

    def __init__(self, burst: float, now: float) -> None:
        self._tokens = burst
        self.used_at = now

    def take(self, rate: float, burst: float, now: float) -> float:
        """Take a token. Returns 0 if there was one, else the seconds until there is one."""
        tokens = self._tokens + (now - self.used_at) * rate
        if tokens > burst:
            tokens = burst
        self.used_at = now
        if tokens >= 1.0:
            self._tokens = tokens - 1.0
            return 0.0
        self._tokens = tokens
        return (1.0 - tokens) / rate

    def lend(self, most: float, share: float) -> int:
        """Take up to `most` whole tokens, and at most this share of those that are left. Returns their number."""
        tokens = int(min(most, self._tokens * share))
        self._tokens -= tokens
        return tokens

    def has_left(self, rate: float, burst: float, now: float) -> bool:
        """Whether there is a token."""
        return min(burst, self._tokens + (now - self.used_at) * rate) >= 1.0

    def give_back(self) -> None:
        """Undo a `take`, because another limit refused the call."""
        self._tokens += 1.0
