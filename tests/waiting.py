"""Waiting for a condition, with a limit: tests do not sleep for a time that seems long enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], what: str, limit: float = 120.0) -> None:
    """Return when `condition()` is true. Raises AssertionError, saying `what`, after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        await asyncio.sleep(0.01)
