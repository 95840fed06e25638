"""A worker's view of the other processes of its gateway: `pipeline.peers.Peers` over the channel to the supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from mcppool.cache.shared_sessions import Home, SessionStore, SharedSession
from mcppool.observe.logs import get_logger
from mcppool.pipeline.peers import OF_ONE_PROCESS, Lesson, News, OnSessionEvent, SessionEvent
from mcppool.pipeline.programs import OnProgramEvent
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.spec import PoolSpec
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.leases import LeasedTokens, Leases, SharedLimiter
from mcppool.workers.remote_programs import ProgramLinks, RemotePrograms
from mcppool.workers.trial_locks import PoolTrials, TrialLocks

Heard = Callable[[News], None]

log = get_logger("workers")


K = TypeVar("K")
L = TypeVar("L")


class Listeners(Generic[K, L]):
    """Functions to call, by what they want to hear of."""

    def __init__(self) -> None:
        self._by_key: dict[K, list[L]] = {}

    def add(self, key: K, listener: L) -> None:
        """Call it from now on."""
        self._by_key.setdefault(key, []).append(listener)

    def remove(self, key: K, listener: L) -> None:
        """Call it no more."""
        listening = self._by_key.get(key, [])
        if listener in listening:
            listening.remove(listener)
        if not listening:
            self._by_key.pop(key, None)

    def of(self, key: K) -> tuple[L, ...]:
        """Those of this key."""
        return tuple(self._by_key.get(key, ()))


class PeerExchange:
    """The channel of one worker and its locks of trials, shared by its pools. The locks come with its orders."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.leases = Leases(channel)
        self.trials: TrialLocks | None = None
        self.programs = ProgramLinks(channel)
        self.news: Listeners[str, Heard] = Listeners()
        """By pool."""
        self.session_events: Listeners[tuple[str, str], OnSessionEvent] = Listeners()
        """By event and pool."""

    def of(self, pool: str) -> PoolPeers:
        """The other processes, as this pool sees them."""
        return PoolPeers(self, pool)

    def heard(self, worker: int, pool: str, parts: Sequence[Any]) -> None:
        """Pass on the news of another worker."""
        what, *rest = parts
        news = News(Lesson(what), *rest)
        news = news._replace(client=_apart(news.client, worker), origin=_apart(news.origin, worker))
        for heard in self.news.of(pool):
            heard(news)

    def session_event(self, event: str, pool: str, token: str, principal: str, id: bytes) -> bytes | None:
        """There is an event in a session at another worker: see `OnSessionEvent`."""
        found = (answer(token, principal, id) for answer in self.session_events.of((event, pool)))
        return next((answer for answer in found if answer is not None), None)


def _apart(client: str, worker: int) -> str:
    """A client that only one process knows, told apart from those of the other processes."""
    return f"{worker}{client}" if client.startswith(OF_ONE_PROCESS) else client


class PoolPeers:
    """See `pipeline.peers.Peers`. When the supervisor has gone, this worker counts alone until it has drained."""

    def __init__(self, exchange: PeerExchange, pool: str) -> None:
        self._exchange = exchange
        self._channel = exchange.channel
        self._pool = pool
        self._heard: list[Heard] = []
        self._answers: list[tuple[SessionEvent, OnSessionEvent]] = []
        tokens = LeasedTokens(exchange.channel, pool)
        self.take = tokens.take
        """See `Peers`."""
        self.try_take = tokens.try_take
        """See `Peers`."""

    async def first_use(self, digest: bytes, seconds: int) -> bool | None:
        """See `Peers`."""
        try:
            seen: bool | None = await self._channel.ask("proof", self._pool, digest, time.time(), seconds)
        except ChannelClosed:
            return None
        return seen

    def limiter(self, name: str, key: str, capacity: int, max_queue: int) -> SharedLimiter:
        """See `Peers`."""
        return SharedLimiter(self._exchange.leases, self._pool, name, key, capacity, max_queue)

    def trials(self) -> PoolTrials:
        """See `Peers`."""
        assert self._exchange.trials is not None
        return PoolTrials(self._exchange.trials, self._pool)

    def programs(self, spec: PoolSpec, on_event: OnProgramEvent, attendance: Attendance | None) -> RemotePrograms:
        """See `Peers`."""
        return RemotePrograms(self._exchange.programs, spec, on_event, attendance)

    def sessions(self) -> SessionStore:
        """See `Peers`."""
        return SharedFacts(self._channel, self._pool)

    async def ask_others(self, event: SessionEvent, token: str, principal: str, id: bytes) -> bytes | None:
        """See `Peers`."""
        try:
            answer: bytes | None = await self._channel.ask(
                "session event", str(event), self._pool, token, principal, id
            )
        except ChannelClosed:
            return None
        return answer

    def on_session_event(self, event: SessionEvent, answer: OnSessionEvent) -> None:
        """See `Peers`."""
        self._answers.append((event, answer))
        self._exchange.session_events.add((event, self._pool), answer)

    def tell(self, news: News) -> None:
        """See `Peers`."""
        self._channel.tell("news", self._pool, news, optional=True)

    def hear(self, heard: Heard) -> None:
        """See `Peers`."""
        self._heard.append(heard)
        self._exchange.news.add(self._pool, heard)

    def close(self) -> None:
        """See `Peers`."""
        for heard in self._heard:
            self._exchange.news.remove(self._pool, heard)
        for event, answer in self._answers:
            self._exchange.session_events.remove((event, self._pool), answer)


class SharedFacts:
    """See `SessionStore`."""

    def __init__(self, channel: Channel, pool: str) -> None:
        self.life = 0.0
        self._channel = channel
        self._pool = pool

    async def find(self, token: str) -> SharedSession | None:
        """See `SessionStore`."""
        return await self._ask("find", self._pool, token)

    async def move(
        self, token: str, old: Home, new: Home, log_level: str | None, subscriptions: tuple[str, ...]
    ) -> SharedSession | None:
        """See `SessionStore`."""
        return await self._ask("move", self._pool, token, self.life, old, new, log_level, subscriptions)

    def note(
        self, token: str, *, log_level: str | None = None, add: str | None = None, drop: str | None = None
    ) -> None:
        """See `SessionStore`."""
        self._channel.tell("note", self._pool, token, self.life, log_level, add, drop)

    def renew(self, token: str) -> None:
        """See `SessionStore`."""
        self._channel.tell("renew", self._pool, token, self.life)

    def end(self, token: str, life: float) -> None:
        """See `SessionStore`."""
        self._channel.tell("end", self._pool, token, life)

    async def _ask(self, question: str, *arguments: Any) -> SharedSession | None:
        try:
            answer = await self._channel.ask(question, *arguments)
        except ChannelClosed:
            return None
        return None if answer is None else msgspec.convert(answer, SharedSession)
