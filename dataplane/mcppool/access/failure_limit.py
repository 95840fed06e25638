"""Limits the authentication failures of an address."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mcppool.policy.token_bucket import TokenBucket

MAX_ADDRESSES: Final = 10_000
"""Upper bound on remembered addresses; above it, the ones that failed longest ago are forgotten, whose buckets are full
again."""


class FailureLimit:
    """A bucket for each address, of `per_minute` failures. Valid credentials take nothing from it: an attacker behind
    the same proxy cannot lock other clients out."""

    def __init__(self, per_minute: int) -> None:
        self._burst = float(per_minute)
        self._rate = per_minute / 60
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def fail(self, address: str, now: float) -> float:
        """Note a failure at the monotonic second `now`; returns 0, or the seconds until the address may fail again."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._burst, now)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(address)
        return bucket.take(self._rate, self._burst, now)

    def may_fail(self, address: str, now: float) -> bool:
        """Whether the address has failures left. If not, credentials that are expensive to check are not checked."""
        bucket = self._buckets.get(address)
        return bucket is None or bucket.has_left(self._rate, self._burst, now)
