"""What gateways tell each other of sessions, in Redis: where one lives now, what it was told, that it was ended.

One hash for each session that has anything to tell, under a sum of its sealed id (never the id itself), which expires
when nobody has used the session for `life` seconds. Fields: `home` (endpoint, upstream id, second), `ended`, `level`,
and one `u:URI` for each subscription, so that gateways that add some at the same time lose none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from mcppool.cache.redis_link import RedisLink

Home = tuple[str, str, float]
"""An endpoint's key, the session's id there, the wall-clock second since which it lives there."""

# Whoever moves a session says from where: of two that move it at once the second sees that it has moved, and where to.
# A home that was told of before the one that is left, was left while Redis was away.
_MOVE: Final = """
local home = redis.call('HGET', KEYS[1], 'home')
local left = not home or home == ARGV[1] or cjson.decode(home)[3] < cjson.decode(ARGV[1])[3]
if left and redis.call('HEXISTS', KEYS[1], 'ended') == 0 then
  redis.call('HSET', KEYS[1], 'home', ARGV[2])
  for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return redis.call('HGETALL', KEYS[1])
"""

_home = msgspec.json.Decoder(Home)


@dataclass(frozen=True, slots=True)
class SharedSession:
    """What is known of a session. `home` is None where it lives where its id says."""

    home: Home | None = None
    ended: bool = False
    log_level: str | None = None
    subscriptions: tuple[str, ...] = ()


class SharedSessions:
    """The sessions of one pool; `life` in seconds may be changed at any time."""

    def __init__(self, link: RedisLink, life: float) -> None:
        self.life = life
        self._link = link
        self._order = asyncio.Lock()  # connections are several, and a subscription may be taken back at once
        self._move = link.client.register_script(_MOVE)

    async def find(self, token: str) -> SharedSession | None:
        """What is known of a session, in one round trip; None where Redis is away."""
        name = self._name(token)
        found = await self._link.attempt(lambda: cast("Awaitable[dict[bytes, bytes]]", self._link.client.hgetall(name)))
        return None if found is None else _read(found)

    async def move(
        self, token: str, old: Home, new: Home, log_level: str | None, subscriptions: tuple[str, ...]
    ) -> SharedSession | None:
        """Tell that a session has moved, unless it has moved from `old` already or was ended: what holds now.

        None where Redis is away.
        """
        arguments: list[bytes | str | int] = [msgspec.json.encode(old), msgspec.json.encode(new), self._milliseconds]
        if log_level is not None:
            arguments += ("level", log_level)
        for uri in subscriptions:
            arguments += (f"u:{uri}", "")
        name = self._name(token)
        found = await self._link.attempt(lambda: self._move(keys=[name], args=arguments))
        return None if found is None else _read(dict(zip(found[::2], found[1::2], strict=True)))

    def note(
        self, token: str, *, log_level: str | None = None, add: str | None = None, drop: str | None = None
    ) -> None:
        """Tell what a session was told: its log level, a subscription more or less."""
        name = self._name(token)

        async def write() -> None:
            pipeline = self._link.client.pipeline(transaction=False)
            if log_level is not None:
                pipeline.hset(name, "level", log_level)
            if add is not None:
                pipeline.hset(name, f"u:{add}", "")
            if drop is not None:
                pipeline.hdel(name, f"u:{drop}")
            pipeline.pexpire(name, self._milliseconds)
            await pipeline.execute()

        self._link.later(write, self._order)

    def renew(self, token: str) -> None:
        """The session is in use: keep what is known of it."""
        name = self._name(token)
        if not self._link.busy:
            self._link.later(lambda: self._link.client.pexpire(name, self._milliseconds))

    def end(self, token: str) -> None:
        """Tell that its client has ended it."""
        name = self._name(token)

        async def write() -> None:
            pipeline = self._link.client.pipeline(transaction=False)
            pipeline.delete(name)
            pipeline.hset(name, "ended", "1")
            pipeline.pexpire(name, self._milliseconds)
            await pipeline.execute()

        self._link.later(write, self._order)

    @property
    def _milliseconds(self) -> int:
        return max(1, int(self.life * 1000))

    def _name(self, token: str) -> str:
        return self._link.name(b"s", token.encode("latin-1")).decode()


def _read(fields: Mapping[bytes, Any]) -> SharedSession:
    home, level = fields.get(b"home"), fields.get(b"level")
    return SharedSession(
        _home.decode(home) if home is not None else None,
        b"ended" in fields,
        level.decode() if level is not None else None,
        tuple(name[2:].decode() for name in fields if name.startswith(b"u:")),
    )
