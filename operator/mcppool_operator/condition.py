"""One condition in the status of a pool."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition without its date."""

    type: str
    status: str  # "True", "False" or "Unknown"
    reason: str
    message: str
