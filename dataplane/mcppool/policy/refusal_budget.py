"""Bounds the repetitions of refused calls that one client may cause.

A refused call (429, `refused_statuses`) was not executed, so repeating it at other endpoints is free of risk, but not
of work. A client whose calls are refused everywhere would multiply its load by the number of endpoints. So each
repetition takes a token from its client, who gets `SHARE` of `retry_policy.budget_min_per_second`. A repetition that
was answered gives its token back: repetitions that help are unlimited.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from mcppool.policy.retry_budget import WINDOW
from mcppool.policy.token_bucket import TokenBucket

SHARE = 0.5
MAX_CLIENTS = 10_000  # clients with stored tokens, the last refused ones; any other client has all its tokens


class RefusalBudget:
    """The tokens of a pool's clients with recent refusals."""

    __slots__ = ("_buckets", "_burst", "_rate")

    def __init__(self, min_per_second: int) -> None:
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self.configure(min_per_second)

    def configure(self, min_per_second: int) -> None:
        """Apply a changed limit."""
        self._rate = max(1.0, SHARE * min_per_second)
        self._burst = self._rate * WINDOW

    def has_left(self, client: Hashable, now: float) -> bool:
        """Whether the client has a token left for one repetition."""
        bucket = self._buckets.get(client)
        return bucket is None or bucket.has_left(self._rate, self._burst, now)

    def take(self, client: Hashable, now: float) -> bool:
        """Take a token for one repetition; False if the client has none left."""
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = TokenBucket(self._burst, now)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(client)
        return not bucket.take(self._rate, self._burst, now)

    def give_back(self, client: Hashable, tokens: int) -> None:
        """A call that took so many tokens was answered."""
        bucket = self._buckets.get(client)
        if bucket is not None:
            for _ in range(tokens):
                bucket.give_back()
