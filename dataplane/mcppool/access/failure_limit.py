"""How often an address may fail to authenticate."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mcppool.policy.token_bucket import TokenBucket

MAX_ADDRESSES: Final = 10_000
"""Addresses that are remembered; of those that failed longest ago a bucket is full again, as good as none."""


class FailureLimit:
    """A bucket for each address, of `per_minute` failures. Valid credentials take nothing from it: an attacker behind
    the same proxy cannot lock other clients out."""

    def __init__(self, per_minute: int) -> None:
        self._burst = float(per_minute)
        self._rate = per_minute / 60
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def fail(self, address: str, now: float) -> float:
        """Note a failure at the monotonic second `now`: 0, or the seconds until the address may fail again."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = TokenBucket(self._burst, now)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(address)
        return bucket.take(self._rate, self._burst, now)
