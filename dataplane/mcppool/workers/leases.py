"""Places and tokens that a worker has from the supervisor, beyond those that its calls use at the moment.

A call that finds a spare one asks nobody. `places` and `shared_buckets` tell how many there are.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from mcppool.policy.token_bucket import RateLimit
from mcppool.upstream.failures import LimitReached
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.places import Admitted
from mcppool.workers.shared_buckets import Taken

IDLE: Final = 1.0
"""Seconds without use after which spare places go back."""
MAX_STOCKS: Final = 10_000
"""Upper bound on rates with tokens in stock; the tokens of the oldest are lost."""

NO_REFUSAL: Final[Admitted] = ("", 0)


class Leases:
    """The limits of one worker that may have spare places, by pool and key."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._lenders: dict[tuple[str, str], list[SharedLimiter]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._lenders)

    def close(self) -> None:
        """Look for unused places no more."""
        if self._sweep is not None:
            self._sweep.cancel()

    def add(self, pool: str, key: str, limiter: SharedLimiter) -> None:
        """A limiter may have spare places from now on."""
        lenders = self._lenders.setdefault((pool, key), [])
        if limiter not in lenders:
            lenders.append(limiter)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE, self._return_unused)

    def call_back(self, pool: str, key: str) -> int:
        """The supervisor needs the spare places: returns their number, which are its own from now on."""
        return sum(limiter.give_up() for limiter in self._lenders.pop((pool, key), ()))

    def _return_unused(self) -> None:
        self._sweep = None
        for place, limiters in list(self._lenders.items()):
            self._lenders[place] = used = [limiter for limiter in limiters if limiter.used]
            for limiter in limiters:
                if limiter.used:
                    limiter.used = False
                else:
                    limiter.give_back()
            if not used:
                del self._lenders[place]
        if self._lenders:
            self._sweep = asyncio.get_running_loop().call_later(IDLE, self._return_unused)


class SharedLimiter:
    """A concurrency limiter whose places and queue are at the supervisor: see `pipeline.peers.Limiter`."""

    def __init__(self, leases: Leases, pool: str, name: str, key: str, capacity: int, max_queue: int) -> None:
        self.max_queue = max_queue
        self.inside = 0
        self.waiting = 0
        self.used = False
        """Whether a call has come since the last look of `Leases`."""
        self.spare = 0
        """Places that this process has and no call uses."""
        self._leases = leases
        self._channel = leases.channel
        self._pool = pool
        self._name = name
        self._key = key
        self.capacity = capacity
        self._most = 0  # spare places to keep when calls leave
        self._given_up = 0  # how often they were called back

    def try_enter(self) -> bool:
        """See `Limiter`."""
        if not self.spare:
            return False
        self.spare -= 1
        self.inside += 1
        self.used = True
        return True

    async def enter(self, until: float, *, force: bool = False) -> None:
        """See `Limiter`."""
        if self.try_enter():
            return
        refusal = await self._ask(until, force)
        if refusal:
            raise LimitReached(refusal)
        self.inside += 1

    async def _ask(self, until: float, force: bool) -> str:
        seconds = max(0.0, until - asyncio.get_running_loop().time())
        self.used = True
        self._leases.add(self._pool, self._key, self)  # before the spare places come: they may be called back at once
        given_up = self._given_up
        self.waiting += 1
        try:
            answer = await self._channel.ask(
                "enter", self._pool, self._key, self._name, self.capacity, self.max_queue, force, seconds,
                on_abandoned=self._abandoned,
            )  # fmt: skip
        except ChannelClosed:
            answer = None
        finally:
            self.waiting -= 1
        refusal, spare = answer or NO_REFUSAL
        if self._given_up == given_up:
            self._most = spare
            self.spare += spare
            if self.spare > spare:  # calls that came at once asked each, and each got some to spare
                self._leave(self.spare - spare)
                self.spare = spare
        else:  # they were called back after they were given, but before this call went on
            self._leave(spare)
        return refusal

    def leave(self) -> None:
        """See `Limiter`."""
        self.inside -= 1
        if self.spare < self._most:
            self.spare += 1
        else:
            self._leave(1)

    def admit(self) -> None:
        """See `Limiter`."""
        self._channel.tell("resize", self._pool, self._key, self.capacity)
        self.give_back()

    def give_back(self) -> None:
        """Return the spare places: they are not used, or may be more than there are now."""
        self._leave(self.give_up())

    def give_up(self) -> int:
        """Return the number of spare places, of which this process has none from now on."""
        spare, self.spare, self._most = self.spare, 0, 0
        self._given_up += 1
        return spare

    def _leave(self, count: int) -> None:
        if count:
            self._channel.tell("leave", self._pool, self._key, count)

    def _abandoned(self, answer: Admitted | None) -> None:
        """A place came for a call that no longer wants it."""
        if answer is not None and not answer[0]:
            self._leave(1 + answer[1])


class LeasedTokens:
    """The tokens of one pool's rates that this worker has in stock."""

    def __init__(self, channel: Channel, pool: str) -> None:
        self._channel = channel
        self._pool = pool
        self.stock: OrderedDict[tuple[str, str], int] = OrderedDict()
        """Tokens by kind and name of the rate."""

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take one token for each limit: see `Peers.take`."""
        asked = [limit for limit in limits if not self._use(limit)]
        if not asked:
            return None, 0.0
        try:
            answer: Taken | None = await self._channel.ask("take", self._pool, asked)
        except ChannelClosed:
            answer = None
        if answer is not None and answer[0] < 0:
            for limit, tokens in zip(asked, answer[2], strict=True):
                self._keep(limit, tokens)
            return None, 0.0
        for limit in limits:
            if limit not in asked:
                self._keep(limit, 1)
        return None if answer is None else (asked[answer[0]], answer[1])

    def try_take(self, limits: Sequence[RateLimit]) -> bool:
        """Take them from the stock: see `Peers.try_take`."""
        for number, limit in enumerate(limits):
            if not self._use(limit):
                for other in limits[:number]:
                    self._keep(other, 1)
                return False
        return True

    def _use(self, limit: RateLimit) -> bool:
        key = limit.kind, limit.name
        tokens = self.stock.get(key, 0)
        if tokens > 1:
            self.stock[key] = tokens - 1
        elif tokens:
            del self.stock[key]
        return tokens > 0

    def _keep(self, limit: RateLimit, tokens: int) -> None:
        if tokens:
            key = limit.kind, limit.name
            self.stock[key] = self.stock.get(key, 0) + tokens
            if len(self.stock) > MAX_STOCKS:
                self.stock.popitem(last=False)
