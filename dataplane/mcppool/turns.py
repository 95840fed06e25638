"""Long work on the event loop, one step at a time.

Parsing and copying hold Python's lock, so a thread would not help. Instead the work is a generator that yields after
each step of about a millisecond, and all other tasks of the loop run between two steps. All such work of a loop runs
one after the other, so other tasks wait for one step, however much work waits.

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
