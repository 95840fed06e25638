"""The processes of one replica besides its first: one for each session, a spare one for the next session, and workers
for concurrent calls that ask for log messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from mcppool.upstream.stdio.conversation import Callers, Conversation
from mcppool.upstream.stdio.quota import Quota, TooManyProcesses
from mcppool.upstream.stdio.subscription import Subscription

MAX_WORKERS = 8
"""Upper bound on processes of one replica for modern calls: as many calls that ask for log messages may be in flight
there at once, and get them."""

Spawn = Callable[[Callers], Awaitable[Conversation]]


class Spare:
    """A started, unused process for the next session or call that needs one, so that its client does not wait for the
    start."""

    def __init__(self, spawn: Spawn, quota: Quota, *, wanted: bool) -> None:
        self._spawn = spawn
        self._quota = quota
        self._spare: Conversation | None = None
        self._starting: asyncio.Task[None] | None = None
        self._wanted = wanted
        self.keep()

    async def take(self, callers: Callers) -> Conversation:
        """The spare process, or a new one. Raises OSError, TooManyProcesses."""
        self._wanted = True
        spare = self._claim()
        if spare is None and self._quota.full and self._starting is not None:
            await asyncio.wait([self._starting])  # the starting process has the last place
            spare = self._claim()
        if spare is not None:
            spare.callers = callers
            self.keep()
            return spare
        self._quota.demand_room()
        try:
            return await self._spawn(callers)
        finally:
            self.keep()

    def _claim(self) -> Conversation | None:
        spare, self._spare = self._spare, None
        return spare if spare is not None and not spare.process.ended.is_set() else None

    def keep(self) -> None:
        """Start one in the background if there is none and sessions are used."""
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
        if self._quota.full:  # another process has got the last place meanwhile
            return
        try:
            self._spare = await self._spawn(Callers.SESSION)
        except OSError:
            pass  # a session that needs a process tries again, and gets the error


class Workers:
    """Processes for calls of the modern era.

    All calls go to the first process, except calls that ask for log messages: each has a process for itself, because
    log messages do not name their call.
    """

    def __init__(self, first: Conversation, spare: Spare) -> None:
        self._all = [first]
        self._used: dict[Conversation, float] = {}
        self._claimed: set[Conversation] = set()
        self._starting = 0
        self._spare = spare
        self._subscriptions: set[Subscription] = set()

    @property
    def first(self) -> Conversation:
        """The process for calls that need no process of their own."""
        return self._all[0]

    async def subscribe(self, subscription: Subscription) -> None:
        """Make all processes listen for it, future ones too, until `unsubscribe`."""
        self._subscriptions.add(subscription)
        await asyncio.gather(*(subscription.join(worker) for worker in self._all[1:]))

    def unsubscribe(self, subscription: Subscription) -> None:
        """Its caller no longer listens."""
        self._subscriptions.discard(subscription)
        subscription.end()

    async def pick(self, *, aside: bool, logs: bool) -> Conversation:
        """The process for one call; call `settled` once the call has begun."""
        first = self._all[0]
        if aside:
            return first
        self._all = [first, *(worker for worker in self._all[1:] if not worker.process.ended.is_set())]
        chosen = next((worker for worker in self._all if self._takes(worker, logs=logs)), None) or await self._another()
        if logs:
            self._claimed.add(chosen)
        self._used[chosen] = monotonic()
        return chosen

    def settled(self, worker: Conversation) -> None:
        """The call has begun there, or will not begin."""
        self._claimed.discard(worker)

    async def sweep(self, now: float, idle: float) -> None:
        """End the processes other than the first that have been unused for `idle` seconds."""
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
        """Another process, or the first one where the limit allows no other: then log messages of its calls go
        nowhere."""
        if len(self._all) + self._starting >= MAX_WORKERS:
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
