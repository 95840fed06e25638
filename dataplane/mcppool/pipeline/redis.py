"""A pool's Redis, if its specification uses one: for the cache, for sessions, for rate limits."""

from __future__ import annotations

from collections.abc import MutableMapping

from mcppool.cache.redis_link import RedisLink
from mcppool.observe.logs import get_logger
from mcppool.pipeline.pool_store import PoolStore
from mcppool.spec import CacheSpec, PoolSpec
from mcppool.spec.advice import redis_uses
from mcppool.wire.sealing import KeyRing

log = get_logger("redis")


class PoolRedis(PoolStore[RedisLink]):
    """The Redis of a pool; `uses` are the features that keep data in it."""

    def __init__(self, spec: PoolSpec, ring: KeyRing, uses: tuple[str, ...], errors: MutableMapping[str, int]) -> None:
        self.uses = uses
        super().__init__(spec.name, "redis", lambda: _link(spec.name, spec.cache, ring, errors))

    def _report(self, trouble: str | None) -> None:
        if trouble is None:
            log.event("redis_back", pool=self._pool, uses=list(self.uses))
        else:
            log.warning("redis_away", pool=self._pool, uses=list(self.uses), cause=trouble)


def _link(pool: str, spec: CacheSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> RedisLink:
    assert spec.redis_url is not None
    return RedisLink(
        spec.redis_url,
        f"{spec.redis_prefix}:{pool}",
        errors,
        ring,
        timeout=spec.redis_timeout,
        password_file=spec.redis_password_file,
    )


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
