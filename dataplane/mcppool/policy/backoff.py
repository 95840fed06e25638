"""Waits before the next try."""

from __future__ import annotations

import random
from math import inf

SOON = 0.5  # seconds between two checks of a lost endpoint that is needed
MAX_CHECKS = 50  # upper bound on checks of such endpoints of one pool per second


def exponential(attempt: int, base: float, cap: float) -> float:
    """`base * 2**(attempt - 1)` seconds, at most `cap`; `attempt` counts from 1 (design §4.4)."""
    return min(base * 2.0 ** min(attempt - 1, 62), cap)


def full_jitter(wait: float, rng: random.Random) -> float:
    """Full jitter: a uniform share of `wait`, so that clients that failed together return apart (AWS, 2015)."""
    return wait * rng.random()


def endpoint_shortage(available: int, total: int) -> float:
    """Upper bound in seconds on the wait before a lost endpoint is checked again: `SOON` while fewer than half of a
    pool are available, because each returning endpoint is needed at once; infinite otherwise."""
    return max(SOON, total / MAX_CHECKS) if 2 * available < total else inf
