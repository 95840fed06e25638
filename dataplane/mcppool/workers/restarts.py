"""When a worker that has ended starts again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from mcppool.policy.backoff import exponential

FIRST_WAIT: Final = 0.1
"""Seconds before the first restart; doubled for each further end in a row, with jitter between half and all of it."""
MAX_WAIT: Final = 30.0
STEADY: Final = 60.0
"""Seconds after which a worker counts as having worked: its waits start anew."""
GIVE_UP_PORT_AFTER: Final = 2
"""Ends in a row after which the place's sockets are closed until it has a worker again: new connections go to the other
workers, in place of waiting for this one."""


@dataclass(slots=True)
class Restarts:
    """The restarts of one place."""

    in_a_row: int = 0

    def ended(self, lived: float, rng: random.Random) -> float:
        """A worker has ended after `lived` seconds; returns the seconds until the next one starts."""
        self.in_a_row = 1 if lived >= STEADY else self.in_a_row + 1
        longest = exponential(self.in_a_row, FIRST_WAIT, MAX_WAIT)
        return longest * (1 + rng.random()) / 2

    @property
    def gives_up_port(self) -> bool:
        """Whether clients should not wait for the next worker."""
        return self.in_a_row >= GIVE_UP_PORT_AFTER
