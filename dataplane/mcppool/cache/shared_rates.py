"""Token buckets in Redis, for rates that hold over all gateways of a pool.

The rule is that of `policy.token_bucket`, by the clock of Redis. All buckets of a call are looked at in one round trip,
and tokens are taken only where each of them has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcppool.cache.redis_link import RedisLink
from mcppool.policy.token_bucket import RateLimit

_TAKE: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local left = {}
for i, key in ipairs(KEYS) do
  local rate, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local bucket = redis.call('HMGET', key, 'tokens', 'at')
  local tokens = burst
  if bucket[1] then
    tokens = math.min(burst, tonumber(bucket[1]) + math.max(0, now - tonumber(bucket[2])) * rate)
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


class SharedRates:
    """The buckets of one pool."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._take = link.client.register_script(_TAKE)

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take a token for each: the limit that has none, and the seconds until it has; None and 0 where all had one.

        None where Redis is away.
        """
        keys = [self._link.name(b"r", f"{each.kind}\0{each.name}".encode("utf-8", "surrogatepass")) for each in limits]
        arguments = [number for each in limits for number in (each.rate, each.burst)]
        answer = await self._link.attempt(lambda: self._take(keys=keys, args=arguments))
        if answer is None:
            return None
        number, wait = answer
        return (limits[number - 1], max(0.001, float(wait))) if number else (None, 0.0)
