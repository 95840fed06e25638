"""The processes of one replica besides its first: one for each session, one that waits for the next session, and those
of calls that ask for log messages while others are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from mcppool.upstream.stdio.conversation import Callers, Conversation
from mcppool.upstream.stdio.quota import Quota, TooManyProcesses
from mcppool.upstream.stdio.subscription import Subscription

MOST_WORKERS = 8
"""Processes of one replica that calls of the modern era have, at most: so many calls that ask for log messages may be
under way there at once, and get them."""

Spawn = Callable[[Callers], Awaitable[Conversation]]


class Spare:
    """A started process that has not been spoken to, for the next session or call that needs one: its client does not
    wait for the start."""

    def __init__(self, spawn: Spawn, quota: Quota, *, wanted: bool) -> None:
        self._spawn = spawn
        self._quota = quota
        self._spare: Conversation | None = None
        self._starting: asyncio.Task[None] | None = None
        self._wanted = wanted
        self.keep()

    async def take(self, callers: Callers) -> Conversation:
        """The spare process, or a new one. Raises OSError, TooManyProcesses."""
        spare, self._spare = self._spare, None
        self._wanted = True
        if spare is not None and not spare.process.ended.is_set():
            spare.callers = callers
            self.keep()
            return spare
        self._quota.demand_room()
        try:
            return await self._spawn(callers)
        finally:
            self.keep()

    def keep(self) -> None:
        """Start one in the background where there is none and sessions are used."""
        if self._spare is not None and self._spare.process.ended.is_set():
            self._spare = None
        starting = self._starting is not None and not self._starting.done()
        if self._wanted and self._spare is None and not starting and not self._quota.full:
            self._starting = asyncio.create_task(self._start(), name="spare process")

    def stop(self) -> None:
        """Start no more."""
        self._wanted = False
        if self._starting is not None:
            self._starting.cancel()

    async def _start(self) -> None:
        try:
            self._spare = await self._spawn(Callers.SESSION)
        except OSError:
            pass  # a session that needs a process tries again, and is told


class Workers:
    """Processes for calls of the modern era. All go to the first one, except that a call which asks for log messages
    has a process for itself: they do not say which call they are about."""

    def __init__(self, first: Conversation, spare: Spare) -> None:
        self._all = [first]
        self._used: dict[Conversation, float] = {}
        self._claimed: set[Conversation] = set()
        self._starting = 0
        self._spare = spare
        self._subscriptions: set[Subscription] = set()

    @property
    def first(self) -> Conversation:
        """The process that answers what needs no process of its own."""
        return self._all[0]

    async def subscribe(self, subscription: Subscription) -> None:
        """Have all processes listen for it, those to come as well, until `unsubscribe`."""
        self._subscriptions.add(subscription)
        await asyncio.gather(*(subscription.join(worker) for worker in self._all[1:]))

    def unsubscribe(self, subscription: Subscription) -> None:
        """Its caller listens no more."""
        self._subscriptions.discard(subscription)
        subscription.end()

    async def pick(self, *, lasting: bool, logs: bool) -> Conversation:
        """The process for one call; `settled` must follow once it has begun."""
        first = self._all[0]
        if lasting:
            return first
        self._all = [first, *(worker for worker in self._all[1:] if not worker.process.ended.is_set())]
        chosen = next((worker for worker in self._all if self._takes(worker, logs=logs)), None) or await self._another()
        if logs:
            self._claimed.add(chosen)
        self._used[chosen] = monotonic()
        return chosen

    def settled(self, worker: Conversation) -> None:
        """The call has begun there, or will not."""
        self._claimed.discard(worker)

    async def sweep(self, now: float, idle: float) -> None:
        """End those besides the first which nobody has used for `idle` seconds."""
        self._used = {worker: self._used.get(worker, now) for worker in self._all}
        for worker in self._all[1:]:
            if worker.busy:
                self._used[worker] = now
            elif now - self._used.get(worker, now) > idle and worker not in self._claimed:
                self._all.remove(worker)
                self._used.pop(worker, None)
                await worker.process.stop()

    def _takes(self, worker: Conversation, *, logs: bool) -> bool:
        if worker in self._claimed:
            return False
        return worker.quiet if logs else not worker.taken

    async def _another(self) -> Conversation:
        """A further process; the first one where there can be none: the log messages of its calls then go to nobody."""
        if len(self._all) + self._starting >= MOST_WORKERS:
            return self._all[0]
        self._starting += 1
        try:
            worker = await self._spare.take(Callers.STATELESS)
            joined: set[Subscription] = set()
            while new := self._subscriptions - joined:
                joined |= new
                await asyncio.gather(*(subscription.join(worker) for subscription in new))
        except (TooManyProcesses, OSError):
            return self._all[0]
        finally:
            self._starting -= 1
        self._all.append(worker)
        return worker
