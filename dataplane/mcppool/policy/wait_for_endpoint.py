"""How long a call without an endpoint is held before it fails."""

from __future__ import annotations

STARTING_HOLD = 5.0
"""Seconds that a call is held while no server of a new pool listens: SDK clients give up after ten."""


def hold_until(received: float, deadline: float, *, starting: float, hung: bool) -> float:
    """The time until which a call is held; it may already be over.

    `hung`: an endpoint accepts connections and is silent, so it may go on at any moment: its calls wait, unsent, until
    their deadline. `starting`: none of the servers has ever answered, and the call is held for so many seconds; 0
    otherwise. If all servers are gone, the call fails at once.
    """
    if hung:
        return deadline
    return min(deadline, received + starting) if starting else 0.0
