"""A rate limit: tokens come at a steady rate, up to a burst; a call takes one."""

from __future__ import annotations

from collections.abc import Sequence
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


class RateBucket(TokenBucket):
    """The bucket of one limit, of which `rate` and `burst` are a copy: those of a tuple are read more slowly."""

    __slots__ = ("burst", "limit", "rate")

    def __init__(self, limit: RateLimit, now: float) -> None:
        TokenBucket.__init__(self, limit.burst, now)
        self.limit = limit
        self.rate = float(limit.rate)
        self.burst = float(limit.burst)


def take_from_all(buckets: Sequence[RateBucket], now: float) -> tuple[RateLimit, float] | None:
    """Take a token from each bucket, or none; returns the limit that has none, and the seconds until it has one.

    Each call does this, so it repeats `TokenBucket.take` without a frame for each bucket.
    """
    for bucket in buckets:
        tokens = bucket._tokens + (now - bucket.used_at) * bucket.rate
        if tokens > bucket.burst:
            tokens = bucket.burst
        bucket.used_at = now
        if tokens < 1.0:
            bucket._tokens = tokens
            for other in buckets:
                if other is bucket:
                    break
                other.give_back()
            return bucket.limit, (1.0 - tokens) / bucket.rate
        bucket._tokens = tokens - 1.0
    return None
