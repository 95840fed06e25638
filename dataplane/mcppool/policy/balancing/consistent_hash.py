"""`consistent_hash`: the same key goes to the same endpoint, as long as that is available.

The ring has about `POINTS` points for each endpoint of average weight. A key goes to the next point clockwise whose
endpoint is a candidate; a missing endpoint is skipped, so only its keys move, each to the next neighbour. Points depend
only on the endpoint's key: all gateways have the same ring.

The ring is cut into `SECTORS` sorted lists, so the cost of adding or removing a point does not grow with the ring. A
new endpoint adds only its own points, a changed weight adds or removes the last of them, and no pick does more than
`BATCH` of this work, so a pool of a thousand endpoints does not stall the loop (a Maglev table would, for 22 to 96 ms
at each change; design §3.2). A key whose arc is still pending goes to a neighbour meanwhile.

Calls without a key go to a random endpoint.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from math import log2
from typing import Any

from mcppool.policy.balancing.prepared import Prepared
from mcppool.policy.balancing.strategy import C

POINTS = 100
MAX_POINTS = 200_000  # approximate size of a ring: above 2,000 endpoints, each has fewer points
BATCH = 500  # points added or removed during one pick: half a millisecond
ABSENT = 256  # absent endpoints that stay on the ring; or as many as are present

_SECTOR_BITS = 10
SECTORS = 1 << _SECTOR_BITS
_HASH_BITS = 44
_OWNER_BITS = 16  # a point is its place on the ring and the number of its owner, in one integer
_OWNER = (1 << _OWNER_BITS) - 1
_PER_DIGEST = 8


class _Owner:
    """An endpoint on the ring: its current number of points there, and the wanted one."""

    __slots__ = ("full_weight", "key", "number", "points", "wanted", "weight")

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self.full_weight = self.weight = 0.0
        self.points = self.wanted = 0


class ConsistentHash:
    """A ring that is updated step by step."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random
        self._sectors: list[list[int]] = [[] for _ in range(SECTORS)]
        self._owners: dict[str, _Owner] = {}  # the most recently used ones are last
        self._numbers: list[int] = []  # free for reuse
        self._work: deque[_Owner] = deque()
        self._members = Prepared(self._prepare)

    @property
    def points(self) -> int:
        """Number of points on the ring."""
        return sum(map(len, self._sectors))

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """The owner of `key`'s arc."""
        if key is None:
            return candidates[int(self._random() * len(candidates))]
        members: dict[int, C] = self._members.of(candidates)
        if self._work:
            self._catch_up()
        place = int.from_bytes(blake2b(key, digest_size=6).digest(), "big") >> (48 - _HASH_BITS)
        number = place >> (_HASH_BITS - _SECTOR_BITS)
        sector = self._sectors[number]
        at = bisect_left(sector, place << _OWNER_BITS)
        for step in range(1, SECTORS + 2):
            while at < len(sector):
                owner = members.get(sector[at] & _OWNER)
                if owner is not None:
                    return owner
                at += 1
            sector = self._sectors[(number + step) % SECTORS]
            at = 0
        return candidates[place % len(candidates)]  # none of them is on the ring yet

    def _prepare(self, candidates: Sequence[Any]) -> dict[int, Any]:
        """The candidates by the numbers of their owners; queues the changes that they need on the ring."""
        members = {}
        for candidate in candidates:
            owner = self._owners.pop(candidate.key, None) or self._new_owner(candidate.key)
            self._owners[candidate.key] = owner
            owner.weight, owner.full_weight = candidate.weight, candidate.full_weight
            members[owner.number] = candidate
        absent = len(self._owners) - len(candidates)
        for owner in islice(self._owners.values(), max(0, absent - max(ABSENT, len(candidates)))):
            owner.weight = owner.full_weight = 0.0
            self._members.forget()  # an older tuple with this owner must bring it back
        unit = _unit([owner.full_weight for owner in self._owners.values()])
        for owner in self._owners.values():
            wanted = max(1, round(POINTS * owner.weight / unit)) if owner.weight > 0 else 0
            if wanted != owner.wanted or not (wanted or owner.number in members):
                owner.wanted = wanted
                self._work.append(owner)
        return members

    def _new_owner(self, key: str) -> _Owner:
        return _Owner(key, self._numbers.pop() if self._numbers else len(self._owners))

    def _catch_up(self) -> None:
        left = BATCH
        while self._work and left > 0:
            owner = self._work[0]
            step = min(abs(owner.wanted - owner.points), left)
            left -= step
            if owner.wanted > owner.points:
                for sector, point in _points(owner, owner.points, owner.points + step):
                    insort(self._sectors[sector], point)
                owner.points += step
            else:
                for sector, point in _points(owner, owner.points - step, owner.points):
                    points = self._sectors[sector]
                    del points[bisect_left(points, point)]
                owner.points -= step
            if owner.points == owner.wanted:
                self._work.popleft()
                if not owner.points and self._owners.get(owner.key) is owner and not owner.full_weight:
                    del self._owners[owner.key]
                    self._numbers.append(owner.number)


def _unit(weights: Sequence[float]) -> float:
    """The weight with `POINTS` points: about the mean, but a power of two, so that it seldom changes."""
    mean = sum(weights) / len(weights) * max(1.0, len(weights) * POINTS / MAX_POINTS)
    return float(2.0 ** round(log2(mean))) if mean > 0 else 1.0


def _points(owner: _Owner, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Points `begin` to `end` of an owner, each with its sector."""
    digest = b""
    for index in range(begin, end):
        block, offset = divmod(index, _PER_DIGEST)
        if not digest or not offset:
            digest = blake2b(b"%d:%b" % (block, owner.key.encode())).digest()
        place = int.from_bytes(digest[offset * 8 : offset * 8 + 8], "big") >> (64 - _HASH_BITS)
        yield place >> (_HASH_BITS - _SECTOR_BITS), place << _OWNER_BITS | owner.number
