"""The times of an access token: its renewal, and the end of its use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_LIFETIME: Final = 300.0
"""Seconds that a token is used if its issuer gives no lifetime."""
MAX_LIFETIME: Final = 24 * 3600.0
EARLY: Final = 0.2  # the remaining share of its lifetime at which a token is renewed
MIN_EARLY: Final = 30.0  # seconds
SKEW: Final = 5.0  # seconds for differences between clocks, and for the way of a request to its server


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Times of a token, in monotonic seconds: `renew_at` is when to fetch the next one, `ends_at` when this one is no
    longer sent."""

    renew_at: float
    ends_at: float


def lifetime(asked_at: float, expires_in: float | None) -> Lifetime:
    """The times of a token that was requested at `asked_at` and is valid for `expires_in` seconds."""
    seconds = min(DEFAULT_LIFETIME if expires_in is None else max(expires_in, 0.0), MAX_LIFETIME)
    early = min(max(seconds * EARLY, MIN_EARLY), seconds / 2)
    return Lifetime(asked_at + seconds - early, asked_at + seconds - min(SKEW, seconds / 10))
