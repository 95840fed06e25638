"""How long a call that finds no endpoint is held before it is told so."""

from __future__ import annotations

STARTING_HOLD = 5.0
"""Seconds for which a call is held while nobody listens at the servers of a new pool: SDK clients give up after
ten."""


def hold_until(received: float, deadline: float, *, starting: float, hung: bool) -> float:
    """The time until which a call is held; it may be over.

    `hung`: an endpoint accepts connections and answers nothing, so it may go on at any moment: its calls wait, unsent,
    as long as they may. `starting`: none of the servers has ever answered, and it is held for so many seconds; 0
    where that is not so. Where all are gone, a call is told at once.
    """
    if hung:
        return deadline
    return min(deadline, received + starting) if starting else 0.0
