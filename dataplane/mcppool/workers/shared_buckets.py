"""Token buckets, which the supervisor keeps for all workers.

A worker that takes a token gets some more to use later while a bucket is well filled, so most of its calls need no
question. They are few: those of a hundredth of a second. So a gateway of N workers lets at most N hundredths of a
second's calls through above its rate, and refuses at most as many that one process would let through. A rate below a
hundred calls per second holds exactly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from mcppool.policy.token_bucket import TokenBucket

MAX_BUCKETS: Final = 100_000
"""Upper bound on token buckets; the least recently used are forgotten, as if they were full."""
LENT_SECONDS: Final = 0.01
"""The tokens that come with one are at most those of so many seconds, ..."""
MAX_LENT: Final = 1024
"""... and at most so many."""

Taken = tuple[int, float, list[int]]
"""The number of the limit without a token and the seconds until it has one; -1 and 0 if all had one. Then the numbers
of further tokens of each limit."""


class SharedBuckets:
    """The token buckets of all pools, for so many `workers`."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._buckets: OrderedDict[tuple[str, str, str], TokenBucket] = OrderedDict()

    def take(self, pool: str, limits: Sequence[tuple[str, str, float, float]], now: float) -> Taken:
        """Take one token for each limit: its kind, name, rate and burst; and some more, if all had one."""
        taken: list[TokenBucket] = []
        for number, (kind, name, rate, burst) in enumerate(limits):
            bucket = self._bucket((pool, kind, name), burst, now)
            wait = bucket.take(rate, burst, now)
            if wait:
                for other in taken:
                    other.give_back()
                return number, wait, []
            taken.append(bucket)
        lent = [
            bucket.lend(min(MAX_LENT, rate * LENT_SECONDS), 1 / (2 * self._workers))
            for bucket, (_, _, rate, _) in zip(taken, limits, strict=True)
        ]
        return -1, 0.0, lent

    def _bucket(self, key: tuple[str, str, str], burst: float, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket
