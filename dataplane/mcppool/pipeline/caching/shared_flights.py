"""Equal calls of several gateways at the same time are made once: the others wait until the first has stored its
answer.

A gateway that ends in the middle of a call keeps the others waiting for the lease of its claim at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from mcppool.cache.store import CacheHit, SharedClaims

FIRST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 0.1
"""Upper bound in seconds on the pause between two looks for the answer of another gateway."""

PATIENCE: Final = 5.0
"""Upper bound in seconds on the wait for another gateway."""


class SharedFlights:
    """The calls that this gateway makes for all gateways of a pool."""

    def __init__(self, claims: SharedClaims) -> None:
        self._claims = claims
        self._claimed: set[bytes] = set()

    async def lead(
        self, key: bytes, look: Callable[[], Awaitable[CacheHit | None]], patience: float
    ) -> CacheHit | None:
        """Wait until this gateway may make the call: then None. Or the answer of another gateway, as `look` finds it.

        After `patience` seconds, or `PATIENCE` if that is shorter, this gateway makes the call, too.
        """
        until = monotonic() + min(patience, PATIENCE)
        pause = FIRST_PAUSE
        while not await self._claims.claim(key):
            if monotonic() >= until:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            found = await look()
            if found is not None:
                return found
        self._claimed.add(key)
        # Another one may have stored its answer between the last look, which the caller may have taken, and the claim.
        return await look()

    def leave(self, key: bytes) -> None:
        """The call has ended, if this gateway has made it for the others."""
        if key in self._claimed:
            self._claimed.discard(key)
            self._claims.release(key)
