"""DPoP proofs in Redis, so that a proof is used once with all gateways of a pool."""

from __future__ import annotations

from mcppool.cache.redis_link import RedisLink


class RedisProofs:
    """The proofs of one pool. Their names in Redis do not reveal them."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def first_use(self, digest: bytes, seconds: int) -> bool | None:
        """Note a proof for so many seconds; returns whether it was not there. None while Redis is away."""
        name = self._link.name(b"p", digest)

        async def note() -> bool:
            return bool(await self._link.client.set(name, b"", ex=seconds, nx=True))

        return await self._link.attempt(note)
