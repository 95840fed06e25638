"""Long work on the event loop, a step at a time.

Parsing and copying hold Python's lock, so a thread would not help. Instead the work is a generator that yields after
each step of about a millisecond, and everything else that the loop has to do comes between two steps. All such work of
a loop goes one after the other, so however much of it waits, others wait for one step.

This module imports nothing of ours, so that every layer may use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_T = TypeVar("_T")
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def in_turns(steps: Generator[None, Any, _T]) -> _T:
    """Run a generator to its end, in turns with other tasks. Returns and raises the same as the generator."""
    loop = asyncio.get_running_loop()
    lock = _locks.get(loop)
    if lock is None:
        lock = _locks[loop] = asyncio.Lock()
    async with lock:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: _T = end.value
                return result
            await asyncio.sleep(0)
