"""Token buckets in Redis, for rates that hold over all gateways of a pool.

The rule is that of `policy.token_bucket`, by the clock of Redis. One round trip checks all buckets of a call, and takes
tokens only if each bucket has one.

Redis counts, so a bucket cannot be sealed: anyone who writes to Redis can fill or empty one. An invalid value counts as
a full bucket. Names are made with a key, so gateways share buckets only while they have the same first key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from mcppool.cache.redis_link import NotRedis, RedisLink
from mcppool.policy.token_bucket import RateLimit

_TAKE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local left = {}
for i, key in ipairs(KEYS) do
  local rate, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local bucket = redis.pcall('HMGET', key, 'tokens', 'at')
  if bucket.err then redis.call('DEL', key) end
  local kept, at = tonumber(bucket[1] or nil), tonumber(bucket[2] or nil)
  local tokens = burst
  if kept and at and kept >= 0 and kept <= burst then
    tokens = math.min(burst, kept + math.max(0, now - at) * rate)
  end
  if tokens < 1 then return {i, string.format('%.6f', (1 - tokens) / rate)} end
  left[i] = tokens - 1
end
for i, key in ipairs(KEYS) do
  local rate, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  redis.call('HSET', key, 'tokens', string.format('%.6f', left[i]), 'at', string.format('%.6f', now))
  redis.call('PEXPIRE', key, math.ceil((burst - left[i]) / rate * 1000) + 1)
end
return {0, '0'}
"""

MAX_WAIT: Final = 1.001
"""Upper bound on the tokens that a bucket lacks, rounding included: times 1/rate, it is the longest wait in seconds."""


class SharedRates:
    """The buckets of one pool."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._take = link.client.register_script(_TAKE)

    def try_take(self, _limits: Sequence[RateLimit]) -> bool:
        """Return False: each token is one of Redis."""
        return False

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take one token for each limit. Returns the limit without a token and the seconds until it has one; None and 0
        if all had one.

        None while Redis is away.
        """
        keys = [self._link.name(b"r", f"{each.kind}\0{each.name}".encode("utf-8", "surrogatepass")) for each in limits]
        arguments = [number for each in limits for number in (each.rate, each.burst)]

        async def take() -> tuple[RateLimit | None, float]:
            return _read(await self._take(keys=keys, args=arguments), limits)

        return await self._link.attempt(take)


def _read(answer: object, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float]:
    """The result of the script. Raises NotRedis for a result that the script never returns."""
    match answer:
        case [0, _]:
            return None, 0.0
        case [int(number), bytes(wait)] if 0 < number <= len(limits):
            limit = limits[number - 1]
            try:
                seconds = float(wait)
            except ValueError:
                seconds = math.nan
            if 0 <= seconds <= MAX_WAIT / limit.rate:
                return limit, max(0.001, seconds)
    raise NotRedis("no answer of the script that takes tokens")
