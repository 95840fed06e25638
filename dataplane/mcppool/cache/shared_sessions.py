"""The facts about sessions that gateways share in Redis: a session's current endpoint, its settings, its end.

There is one value for each session with such facts, sealed under a name that does not reveal the session's id. Name and
seal belong to the key that sealed the id, so every gateway that can open the id finds and reads the value. An invalid
value counts as none. Two gateways that change a value at the same time lose nothing: the one that finds the value
changed reads it again.

A value expires after `life` seconds without use of the session, a tombstone when the id has expired.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import Final, Protocol, cast

import msgspec

from mcppool.cache.redis_link import RedisLink
from mcppool.policy.backoff import exponential, full_jitter
from mcppool.wire.sealing import sealed_with
from mcppool.wire.vault import Vault

Home = tuple[str, str, float]
"""An endpoint's key, the session's id there, and the wall-clock second since which it lives there."""

MAX_VALUE: Final = 128 * 1024
"""Upper bound in bytes on the facts about one session. Facts above it are not shared."""

MAX_OWED: Final = 10_000
"""Upper bound on tombstones that Redis has not got yet; above it, the oldest are left out."""

MAX_CONTESTS: Final = 16  # tries to write one value against other gateways; then their value stays
FIRST_PAUSE: Final = 0.001
LONGEST_PAUSE: Final = 0.05
"""Upper bounds in seconds on the pause after the first and after any lost try to write a value."""
_AT_ONCE: Final = 500  # tombstones in one round trip

# Writes only if the value is still the one that was read. A value that is too long or of another type reads the same
# both times.
_REPLACE: Final = """
local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[4])
if type(there) == 'table' then there = '' end
if there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

# Never shortens the life of a tombstone of another gateway.
_RENEW: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
"""


class SharedSession(msgspec.Struct, frozen=True, array_like=True):
    """The shared facts about a session. `home` is None while it lives at the endpoint in its id."""

    home: Home | None = None
    ended: bool = False
    log_level: str | None = None
    subscriptions: tuple[str, ...] = ()


NOTHING_KNOWN: Final = SharedSession()
ENDED: Final = SharedSession(ended=True)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SharedSession).decode

Change = Callable[[SharedSession], SharedSession]
"""Returns the new facts for the known ones; the same object for no change."""


class SessionStore(Protocol):
    """The facts about the sessions of one pool, shared by several processes; `life` in seconds may be changed at any
    time. A result of None means that the store is away."""

    life: float

    async def find(self, token: str) -> SharedSession | None:
        """The facts about a session."""
        ...

    async def move(
        self, token: str, old: Home, new: Home, log_level: str | None, subscriptions: tuple[str, ...]
    ) -> SharedSession | None:
        """Record that a session has moved; returns the facts that hold now. See `moved`."""
        ...

    def note(
        self, token: str, *, log_level: str | None = None, add: str | None = None, drop: str | None = None
    ) -> None:
        """Record a setting of a session. See `noted`."""
        ...

    def renew(self, token: str) -> None:
        """The session is in use: keep its facts."""
        ...

    def end(self, token: str, life: float) -> None:
        """Record that its client has ended it, for the `life` seconds in which its id can be opened."""
        ...


def moved(
    known: SharedSession, old: Home, new: Home, log_level: str | None, subscriptions: tuple[str, ...]
) -> SharedSession:
    """The facts after a move, unless the session has already moved from `old` or was ended.

    A recorded home from before `old` was left while the store was away.
    """
    home = known.home
    if known.ended or not (home is None or home == old or home[2] < old[2]):
        return known
    added = tuple(uri for uri in subscriptions if uri not in known.subscriptions)
    return SharedSession(new, False, log_level or known.log_level, known.subscriptions + added)


def noted(known: SharedSession, log_level: str | None, add: str | None, drop: str | None) -> SharedSession:
    """The facts with another log level, or with a subscription added or removed."""
    if known.ended:
        return known
    uris = dict.fromkeys(known.subscriptions)
    if add is not None:
        uris[add] = None
    if drop is not None:
        uris.pop(drop, None)
    return SharedSession(known.home, False, log_level or known.log_level, tuple(uris))


class SharedSessions:
    """The sessions of one pool; `life` in seconds may be changed at any time."""

    def __init__(self, link: RedisLink, life: float) -> None:
        self.life = life
        self._link = link
        self._rng = Random()
        self._order = asyncio.Lock()  # there are several connections, and a subscription may be withdrawn at once
        self._replace = link.client.register_script(_REPLACE)
        self._renew = link.client.register_script(_RENEW)
        self._owed: OrderedDict[bytes, tuple[Vault, int]] = OrderedDict()  # tombstones by name: sealed by, milliseconds
        link.before_use.append(self._pay)

    async def find(self, token: str) -> SharedSession | None:
        """The facts about a session, in one round trip; None while Redis is away."""
        vault, name = self._place(token)

        async def read() -> SharedSession:
            return _read(await self._stored(name), vault, name)

        return await self._link.attempt(read)

    async def move(
        self, token: str, old: Home, new: Home, log_level: str | None, subscriptions: tuple[str, ...]
    ) -> SharedSession | None:
        """Record that a session has moved, unless it has already moved from `old` or was ended; returns the facts that
        hold now.

        A recorded home from before `old` was left while Redis was away. None while Redis is away.
        """

        def change(known: SharedSession) -> SharedSession:
            return moved(known, old, new, log_level, subscriptions)

        return await self._link.attempt(lambda: self._change(token, change))

    def note(
        self, token: str, *, log_level: str | None = None, add: str | None = None, drop: str | None = None
    ) -> None:
        """Record a setting of a session: its log level, a subscription added or removed."""

        def change(known: SharedSession) -> SharedSession:
            return noted(known, log_level, add, drop)

        if not self._link.busy:
            self._link.later(lambda: self._change(token, change), self._order, len(add or drop or ""))

    def renew(self, token: str) -> None:
        """The session is in use: keep its facts."""
        _, name = self._place(token)
        if not self._link.busy:
            self._link.later(lambda: self._renew(keys=[name], args=[self._milliseconds]))

    def end(self, token: str, life: float) -> None:
        """Record that its client has ended it, for the `life` seconds in which its id can be opened. If Redis is away,
        it gets the tombstone when it is back."""
        vault, name = self._place(token)
        self._owed[name] = vault, max(1, int(life * 1000))
        if len(self._owed) > MAX_OWED:
            self._owed.popitem(last=False)
        if not self._link.busy:
            self._link.later(self._pay, self._order)

    async def _pay(self) -> None:
        while self._owed:
            owed = list(self._owed.items())[:_AT_ONCE]
            pipeline = self._link.client.pipeline(transaction=False)
            for name, (vault, milliseconds) in owed:
                pipeline.set(name, vault.seal(_encode(ENDED), name), px=milliseconds)
            await self._link.answers(pipeline)
            for name, what in owed:
                if self._owed.get(name) == what:
                    del self._owed[name]

    async def _change(self, token: str, change: Change) -> SharedSession:
        """Make `change`, together with concurrent changes of other gateways; returns the facts that hold now."""
        vault, name = self._place(token)
        for contest in range(1, MAX_CONTESTS + 1):
            there = await self._stored(name)
            known = _read(there, vault, name)
            wanted = change(known)
            sealed = vault.seal(_encode(wanted), name) if wanted is not known else b""
            if not sealed or len(sealed) > MAX_VALUE:
                break
            if await self._replace(keys=[name], args=[there, sealed, self._milliseconds, MAX_VALUE]):
                return wanted
            # Two gateways that are in step would take turns in the same order until one of them gives up.
            await asyncio.sleep(full_jitter(exponential(contest, FIRST_PAUSE, LONGEST_PAUSE), self._rng))
        return known

    async def _stored(self, name: bytes) -> bytes:
        """The stored value; of a value that is too long, only the beginning."""
        pipeline = self._link.client.pipeline(transaction=False)
        pipeline.getrange(cast("str", name), 0, MAX_VALUE)
        return (await self._link.answers(pipeline, [bytes]))[0] or b""

    @property
    def _milliseconds(self) -> int:
        return max(1, int(self.life * 1000))

    def _place(self, token: str) -> tuple[Vault, bytes]:
        vault = self._link.vaults.of(sealed_with(token))
        return vault, self._link.name(b"s", token.encode("latin-1"), vault)


def _read(value: bytes, vault: Vault, name: bytes) -> SharedSession:
    """The facts in a value; none if no gateway with the key wrote it."""
    opened = vault.open(value, name)
    if opened is None:
        return NOTHING_KNOWN
    try:
        return _decode(opened)
    except msgspec.MsgspecError:  # written by a gateway of another version
        return NOTHING_KNOWN
