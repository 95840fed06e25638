"""Keys that this version does not support yet. The models describe them; a configuration with one is refused by name.

A line is a key (`"circuit_breaker"`, `"retry_policy.base_delay"`), one value of a key (`"tools.access=deny"`), or
values above a number (`"listener.workers>1"`). Keys of a pool and of the top level are written alike; the names of
tools and the numbers of list items are left out. To make something available, delete its line, then run the generator.
"""

from __future__ import annotations

from typing import Final

LATER: Final[frozenset[str]] = frozenset()


def is_later(path: str) -> bool:
    """Whether a whole key such as `retry_policy.base_delay` is not available, by itself or with its section."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in LATER for end in range(1, len(parts) + 1))


def limit(path: str) -> int | None:
    """The largest number that a key may have in this version, if a line limits it."""
    return next((int(line.rpartition(">")[2]) for line in LATER if line.startswith(f"{path}>")), None)


def available(path: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """The values of an enumerated key that this version supports."""
    return tuple(choice for choice in choices if f"{path}={choice}" not in LATER)
