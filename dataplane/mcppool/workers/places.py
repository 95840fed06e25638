"""Places of calls in flight, which the supervisor keeps for all workers.

A worker that asks for a place also gets some to spare while many are free, so most of its calls need no question. Each
place is free or at one worker, so a limit holds exactly. Before a call has to wait, or is refused, the supervisor calls
the spare places back. The places of a worker that has ended are free at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.upstream.failures import LimitReached

MAX_SPARE: Final = 64
"""Upper bound on the spare places that come with one place."""
PATIENCE: Final = 0.05
"""Seconds in which workers give spare places back before a call waits or is refused without them."""

Admitted = tuple[str, int]
"""An empty text, or the reason why there is no place; and the number of spare places."""
CallBack = Callable[[int, str, str], Awaitable[int]]
"""Asks a worker for its spare places of a pool and key; returns their number."""


class _Gate:
    """The places of one limit. `lent`: the workers that may have spare ones. `recall` runs while they are asked."""

    def __init__(self, name: str) -> None:
        self.limiter = ConcurrencyLimiter(name, 0, 0)
        self.held: Counter[int] = Counter()  # by worker
        self.lent: set[int] = set()
        self.recall: asyncio.Task[None] | None = None

    @property
    def unused(self) -> bool:
        return not self.limiter.inside and not self.limiter.waiting and self.recall is None

    @property
    def free(self) -> int:
        """Places for the next call; 0 while others wait."""
        if self.limiter.waiting or self.recall is not None:
            return 0
        return max(0, self.limiter.capacity - self.limiter.inside)


class Places:
    """The concurrency limits of all pools, for so many `workers`. `patience` is in seconds, as `PATIENCE`."""

    def __init__(self, workers: int, call_back: CallBack, patience: float = PATIENCE) -> None:
        self._workers = workers
        self._call_back = call_back
        self._patience = patience
        self._gates: dict[tuple[str, str], _Gate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    def enter(
        self, worker: int, pool: str, key: str, name: str, capacity: int, max_queue: int, force: bool, seconds: float
    ) -> Admitted | Coroutine[Any, Any, Admitted]:
        """Take a place for a call of `worker`; wait for one for at most `seconds`."""
        gate = self._gates.get((pool, key))
        if gate is None:
            gate = self._gates[pool, key] = _Gate(name)
        gate.limiter.capacity, gate.limiter.max_queue = capacity, max_queue
        gate.limiter.admit()
        free = gate.free
        if free:
            spare = min(MAX_SPARE, (free - 1) // (2 * self._workers))
            gate.limiter.inside += 1 + spare
            gate.held[worker] += 1 + spare
            if spare:
                gate.lent.add(worker)
            return "", spare
        return self._wait(worker, (pool, key), gate, force, seconds)

    async def _wait(self, worker: int, place: tuple[str, str], gate: _Gate, force: bool, seconds: float) -> Admitted:
        until = asyncio.get_running_loop().time() + seconds
        try:
            if gate.lent or gate.recall is not None:
                await self._recall(place, gate)
            gate = self._gates.setdefault(place, gate)  # it may have been forgotten meanwhile
            await gate.limiter.enter(until, force=force)
        except LimitReached as error:
            self._forget(place, gate)
            return error.detail, 0
        except asyncio.CancelledError:
            self._forget(place, gate)
            raise
        gate.held[worker] += 1
        return "", 0

    async def _recall(self, place: tuple[str, str], gate: _Gate) -> None:
        """Call all spare places back. Calls that need places meanwhile wait for the same answers."""
        if gate.recall is None:
            lenders, gate.lent = gate.lent, set()
            gate.recall = asyncio.create_task(self._call_back_from(lenders, place, gate), name="recall of places")
        await asyncio.shield(gate.recall)

    async def _call_back_from(self, workers: set[int], place: tuple[str, str], gate: _Gate) -> None:
        async def one(worker: int) -> None:
            self.leave(worker, *place, await self._call_back(worker, *place))

        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*map(one, workers))
        except TimeoutError:
            pass  # a late answer gives the places back, too
        finally:
            gate.recall = None

    def leave(self, worker: int, pool: str, key: str, count: int = 1) -> None:
        """A worker gives places back."""
        gate = self._gates.get((pool, key))
        if gate is None:
            return
        for _ in range(min(count, gate.held[worker])):
            gate.held[worker] -= 1
            gate.limiter.leave()
        self._forget((pool, key), gate)

    def resize(self, pool: str, key: str, capacity: int) -> None:
        """The capacity may have changed."""
        gate = self._gates.get((pool, key))
        if gate is not None:
            gate.limiter.capacity = capacity
            gate.limiter.admit()

    def gone(self, worker: int) -> None:
        """A worker has ended, and its calls with it."""
        for place, gate in list(self._gates.items()):
            gate.lent.discard(worker)
            for _ in range(gate.held.pop(worker, 0)):
                gate.limiter.leave()
            self._forget(place, gate)

    def _forget(self, place: tuple[str, str], gate: _Gate) -> None:
        if gate.unused and self._gates.get(place) is gate:
            del self._gates[place]
