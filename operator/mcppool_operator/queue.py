"""A work queue with the semantics of client-go's: level-triggered, de-duplicating, one worker per key.

`Schedule` is the pure part: every function takes `now` (seconds of any monotonic clock). `WorkQueue` adds a clock and
an event loop.

* A waiting key is held once, at the earliest requested time.
* A key in progress is not handed out again; if it is added meanwhile, it comes back afterwards.
* Keys with an event go before keys of a periodic look at everything.
* A failed key comes back after 5 ms · 2^(failures-1), at most 5 minutes, ±20 %; a success resets its failures.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from mcppool_operator import metrics

BASE_DELAY: Final = 0.005
MAX_DELAY: Final = 300.0
JITTER: Final = 0.2


def backoff(failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Return the seconds to wait after so many failures in a row (1 = the first)."""
    plain = min(BASE_DELAY * 2.0 ** min(failures - 1, 30), MAX_DELAY)
    return plain * uniform(1 - JITTER, 1 + JITTER)


class _Ask(NamedTuple):
    """The latest time for a key, and whether it may wait until nothing else is due."""

    due: float
    background: bool

    def sooner(self, other: _Ask | None) -> _Ask:
        """Both requests in one."""
        return self if other is None else _Ask(min(self.due, other.due), self.background and other.background)


class Schedule:
    """The order of work. No clock, no I/O."""

    def __init__(self, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._due: dict[str, _Ask] = {}
        self._heaps: dict[bool, list[tuple[float, int, str]]] = {False: [], True: []}
        """By background or not; entries that `_due` does not confirm are stale."""
        self._sequence = itertools.count()
        self._working: set[str] = set()
        self._again: dict[str, _Ask] = {}  # requested while in progress
        self._failures: dict[str, int] = {}

    def add(self, key: str, now: float, delay: float = 0.0, *, background: bool = False) -> None:
        """Ask for a key, `delay` seconds from now at the latest; in the background: when nothing else is due."""
        ask = _Ask(now + delay, background)
        if key in self._working:
            self._again[key] = ask.sooner(self._again.get(key))
            return
        before = self._due.get(key)
        ask = ask.sooner(before)
        if ask != before:
            self._due[key] = ask
            heapq.heappush(self._heaps[ask.background], (ask.due, next(self._sequence), key))

    def take(self, now: float) -> tuple[str, float] | None:
        """Hand out the key that has been due longest, and since when; None while none is due."""
        for background, heap in self._heaps.items():
            while heap and heap[0][0] <= now:
                due, _, key = heapq.heappop(heap)
                if self._due.get(key) == _Ask(due, background):
                    del self._due[key]
                    self._working.add(key)
                    return key, due
        return None

    def done(self, key: str, now: float, after: float | None = None) -> None:
        """End the work on a key with success; `after` asks for it once more, so many seconds from now."""
        self._failures.pop(key, None)
        self._finish(key, now, after)

    def failed(self, key: str, now: float, at_most: float = math.inf) -> float:
        """End the work on a key with failure; returns the seconds until it comes back."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(backoff(failures, self._uniform), at_most)
        self._finish(key, now, delay)
        return delay

    def next_due(self) -> float | None:
        """Return the time when the next key is due; None while no key waits."""
        dues = []
        for background, heap in self._heaps.items():
            while heap and self._due.get(heap[0][2]) != _Ask(heap[0][0], background):
                heapq.heappop(heap)
            dues += [heap[0][0]] if heap else []
        return min(dues, default=None)

    def depth(self) -> int:
        """Return the number of waiting keys."""
        return len(self._due)

    def _finish(self, key: str, now: float, after: float | None) -> None:
        self._working.discard(key)
        again = self._again.pop(key, None)
        if after is not None:
            self.add(key, now, after)
        if again is not None:
            self.add(key, max(again.due, now), background=again.background)


class WorkQueue:
    """A `Schedule` on the event loop's clock, with workers."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._depth = metrics.QUEUE_DEPTH.labels(name)
        self._adds = metrics.QUEUE_ADDS.labels(name)
        self._retries = metrics.QUEUE_RETRIES.labels(name)
        self._waited = metrics.QUEUE_SECONDS.labels(name)
        self._schedule = Schedule()
        self._changed = asyncio.Event()
        self._closed = False
        self._opened = math.inf

    def open(self) -> None:
        """Begin to measure how long keys wait: without workers, as in a standby, the time does not count."""
        self._opened = self._clock()

    def add(self, key: str, delay: float = 0.0, *, background: bool = False) -> None:
        """Ask for a key, `delay` seconds from now at the latest; in the background: when nothing else is due."""
        self._adds.inc()
        self._schedule.add(key, self._clock(), delay, background=background)
        self._touch()

    def close(self) -> None:
        """Hand out no more keys: workers end after their present work."""
        self._closed = True
        self._touch()

    async def work(
        self, handle: Callable[[str], Awaitable[float | None]], failed: Callable[[str, Exception], float]
    ) -> None:
        """Be one worker, until the queue is closed.

        `handle` returns the seconds until it wants the key again (None: at its next event). Its exceptions go to
        `failed`, which returns the longest wait before the key comes back.
        """
        while (key := await self._take()) is not None:
            try:
                after = await handle(key)
            except Exception as error:
                self._retries.inc()
                self._schedule.failed(key, self._clock(), failed(key, error))
            else:
                self._schedule.done(key, self._clock(), after)
            self._touch()

    async def _take(self) -> str | None:
        while not self._closed:
            now = self._clock()
            taken = self._schedule.take(now)
            if taken is not None:
                self._depth.set(self._schedule.depth())
                self._waited.observe(max(0.0, now - max(taken[1], self._opened)))
                return taken[0]
            due = self._schedule.next_due()
            self._changed.clear()
            try:
                async with asyncio.timeout(None if due is None else due - now):
                    await self._changed.wait()
            except TimeoutError:
                pass  # the next key is due
        return None

    def _touch(self) -> None:
        self._depth.set(self._schedule.depth())
        self._changed.set()
