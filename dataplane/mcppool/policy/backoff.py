"""Waiting before the next try."""

from __future__ import annotations

import random


def exponential(attempt: int, base: float, cap: float) -> float:
    """`base * 2**(attempt - 1)` seconds, at most `cap`; `attempt` counts from 1 (policies.md §4.6)."""
    return min(base * 2.0 ** min(attempt - 1, 62), cap)


def full_jitter(wait: float, rng: random.Random) -> float:
    """A uniform share of `wait`: what keeps many clients that failed together from coming back together (AWS, 2015)."""
    return wait * rng.random()
