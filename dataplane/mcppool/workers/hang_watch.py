"""Whether a worker hangs: whether it leaves a question on its channel unanswered for too long."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from mcppool.workers.channel import Channel, ChannelClosed

HUNG_AFTER: Final = 30.0
"""Seconds without an answer after which a worker counts as hung. `/livez` says so earlier (`pages.STANDSTILL`)."""
STARTS_WITHIN: Final = 120.0
"""The same for the first answer: a worker loads its modules before it can give one."""
INTERVAL: Final = 5.0
"""Seconds between an answer and the next question, and between two looks for an answer."""


@dataclass(slots=True)
class Silence:
    """The time for which a worker has been silent, in seconds.

    Only the time in which this process ran counts: when the machine wakes from a suspension, the worker has been as
    still as this process. So no look counts for more than twice `interval`.
    """

    interval: float
    seconds: float = 0.0

    def looked(self, elapsed: float) -> None:
        """There is no answer yet, `elapsed` seconds after the last look."""
        self.seconds += min(elapsed, 2 * self.interval)


@dataclass(frozen=True, slots=True)
class HangWatch:
    """Asks workers whether they are alive. Times are in seconds."""

    hung_after: float = HUNG_AFTER
    interval: float = INTERVAL
    starts_within: float = STARTS_WITHIN

    async def hangs(self, channel: Channel) -> float:
        """Watch a worker from its start. Return the seconds without an answer once it hangs, 0 once it has ended."""
        patience = self.starts_within
        while True:
            asking = asyncio.create_task(channel.ask("alive"), name="is a worker alive")
            try:
                if not await self._is_answered(asking, patience):
                    return patience
                asking.result()
            except ChannelClosed:
                return 0.0
            finally:
                asking.cancel()
            patience = self.hung_after
            await asyncio.sleep(self.interval)

    async def _is_answered(self, asking: asyncio.Task[None], patience: float) -> bool:
        silence = Silence(self.interval)
        while silence.seconds < patience:
            began = monotonic()
            await asyncio.wait([asking], timeout=self.interval)
            if asking.done():
                return True
            silence.looked(monotonic() - began)
        return False
