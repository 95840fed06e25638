"""The memory of an object: the subject of the bounds, whatever the object stores things in."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

NOT_OWNED = (type, ModuleType, CodeType, FrameType, asyncio.AbstractEventLoop)


def footprint(thing: object) -> int:
    """Bytes of `thing` and of all that it refers to, classes, modules and event loops aside."""
    seen: set[int] = set()
    found = 0
    stack: list[Any] = [thing]
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, NOT_OWNED):
            continue
        seen.add(id(one))
        found += sys.getsizeof(one)
        # A function refers to the globals of its module; its own references are in its closure.
        stack += (one.__closure__ or ()) if isinstance(one, FunctionType) else gc.get_referents(one)
    return found
