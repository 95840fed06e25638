"""A pool's Redis, if its specification uses one: for the cache, for sessions, for rate limits."""

from __future__ import annotations

from collections.abc import MutableMapping

from mcppool.cache.redis_link import RedisLink
from mcppool.observe.logs import get_logger
from mcppool.spec import CacheSpec, PoolSpec
from mcppool.spec.advice import redis_uses
from mcppool.wire.sealing import KeyRing

log = get_logger("redis")


class PoolRedis:
    """The uses of Redis, and the link to it: None if none could be made; then `trouble` is the cause."""

    def __init__(self, spec: PoolSpec, ring: KeyRing, uses: tuple[str, ...], errors: MutableMapping[str, int]) -> None:
        self.uses = uses
        self._pool = spec.name
        self._broken: str | None = None
        self.link = self._make(spec.cache, ring, errors)
        if self.link is None:
            self._report(self._broken)
        else:
            self.link.reports.append(self._report)

    @property
    def trouble(self) -> str | None:
        """The reason why it is not used now."""
        return self.link.trouble if self.link is not None else self._broken

    def renew_ring(self, ring: KeyRing) -> None:
        """Apply changed keys."""
        if self.link is not None:
            self.link.renew_ring(ring)

    async def close(self) -> None:
        """Close all connections."""
        if self.link is not None:
            await self.link.close()

    def _make(self, spec: CacheSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> RedisLink | None:
        assert spec.redis_url is not None
        try:
            return RedisLink(
                spec.redis_url,
                f"{spec.redis_prefix}:{self._pool}",
                errors,
                ring,
                timeout=spec.redis_timeout,
                password_file=spec.redis_password_file,
            )
        except ImportError:
            self._broken = "the extra `redis` of mcp-server-pool is not installed"
        except (OSError, UnicodeDecodeError) as error:
            self._broken = f"cache.redis_password_file cannot be read: {error}"
        return None

    def _report(self, trouble: str | None) -> None:
        if trouble is None:
            log.event("redis_back", pool=self._pool, uses=list(self.uses))
        else:
            log.warning("redis_away", pool=self._pool, uses=list(self.uses), cause=trouble)


def make_redis(spec: PoolSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> PoolRedis | None:
    """The Redis of a pool; None if it uses none. Values there are sealed with `ring`; `errors` counts faults by
    kind."""
    uses = redis_uses(spec)
    return PoolRedis(spec, ring, uses, errors) if uses else None


def redis_key(spec: PoolSpec) -> tuple[object, ...]:
    """The settings of a pool's Redis: two specifications with the same key share the link. Empty if it uses none."""
    uses, cache = redis_uses(spec), spec.cache
    if not uses:
        return ()
    return uses, cache.redis_url, cache.redis_prefix, cache.redis_timeout, cache.redis_password_file
