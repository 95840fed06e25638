"""Sessions that were ended stay dead for as long as their ids could be used.

One number of 64 bits for each, in a set for each minute in which ids expire. Where there are too many, the fullest
minutes give up their numbers: of these, every id counts as ended. So the space is bounded, and no id comes back to
life; what is lost are sessions that expire in the same minutes as very many that were ended, and that nobody remembers
otherwise.
"""

from __future__ import annotations

import hashlib
from heapq import nlargest
from typing import Final

MAX_TOMBSTONES: Final = 100_000
"""Numbers that are kept; 80 bytes each."""

_MINUTE: Final = 60


class Tombstones:
    """Ids that were ended. `expires` is the second in which an id is over anyway, by the same clock as `now`."""

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
        """Forget tombstones of expired ids; does so once in a minute."""
        minute = int(now) // _MINUTE
        if minute == self._swept:
            return
        self._swept = minute
        for over in [each for each in self._minutes if each < minute]:
            self.count -= len(self._minutes.pop(over) or ())

    def _give_up(self) -> None:
        """Make room for a tenth of them, so that this is not done for each."""
        sizes = ((len(ended), minute) for minute, ended in self._minutes.items() if ended)
        for size, minute in nlargest(max(1, len(self._minutes) // 10), sizes):
            self._minutes[minute] = None
            self.count -= size
            if self.count <= self._most * 9 // 10:
                return


def _number(id: str) -> int:
    return int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
