"""Ended sessions stay dead for as long as their ids could be used.

Each is one number of 64 bits, in a set for each minute in which ids expire. If there are too many, the fullest minutes
drop their numbers: of these, every id counts as ended. So the space is bounded, and no id comes back to life; the cost
is that live sessions which expire in the same minutes as very many ended ones are lost, unless the gateway remembers
them otherwise.
"""

from __future__ import annotations

import hashlib
from heapq import nlargest
from typing import Final

MAX_TOMBSTONES: Final = 100_000
"""Upper bound on the stored numbers; 80 bytes each."""

_MINUTE: Final = 60


class Tombstones:
    """Ended ids. `expires` is the second in which an id expires anyway, by the same clock as `now`."""

    def __init__(self, most: int = MAX_TOMBSTONES) -> None:
        self._most = most
        self._minutes: dict[int, set[int] | None] = {}  # None: all of them
        self._swept = -1
        self.count = 0

    def add(self, id: str, expires: float) -> None:
        """Note that an id was ended."""
        minute = int(expires) // _MINUTE
        ended = self._minutes.setdefault(minute, set())
        if ended is None:
            return
        before = len(ended)
        ended.add(_number(id))
        self.count += len(ended) - before
        if self.count > self._most:
            self._give_up()

    def holds(self, id: str, expires: float) -> bool:
        """Whether an id was ended, or has to count as ended."""
        minute = int(expires) // _MINUTE
        if minute not in self._minutes:
            return False
        ended = self._minutes[minute]
        return ended is None or _number(id) in ended

    def sweep(self, now: float) -> None:
        """Forget tombstones of expired ids, once a minute."""
        minute = int(now) // _MINUTE
        if minute == self._swept:
            return
        self._swept = minute
        for over in [each for each in self._minutes if each < minute]:
            self.count -= len(self._minutes.pop(over) or ())

    def _give_up(self) -> None:
        """Drop a tenth of them, so that this is not done for each new one."""
        sizes = ((len(ended), minute) for minute, ended in self._minutes.items() if ended)
        for size, minute in nlargest(max(1, len(self._minutes) // 10), sizes):
            self._minutes[minute] = None
            self.count -= size
            if self.count <= self._most * 9 // 10:
                return


def _number(id: str) -> int:
    return int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
