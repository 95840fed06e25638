"""DPoP proofs that were used, each until it is too old to be accepted."""

from __future__ import annotations

from collections import Counter
from typing import Final

MAX_PROOFS: Final = 100_000
"""Upper bound on remembered proofs, of about 170 bytes each. Above it, proofs are refused until others are too old."""
SHARE: Final = 4
"""One client's part of them is a fourth: whatever it sends, proofs of others are accepted."""
RETRY_AFTER: Final = 5.0


class UsedProofs:
    """The proofs that this process has seen. Times are in seconds since the epoch."""

    def __init__(self, limit: int = MAX_PROOFS) -> None:
        self._limit = limit
        self._seen: set[bytes] = set()
        self._ends: dict[int, dict[str, list[bytes]]] = {}
        self._of_clients: Counter[str] = Counter()
        self._swept = 0

    def __len__(self) -> int:
        return len(self._seen)

    def first_use(self, digest: bytes, until: int, now: float, client: str) -> bool | None:
        """Note a proof of a client that is accepted up to the second `until`; returns whether it is the first use. None
        if no more proofs, in all or of this client, can be remembered."""
        if int(now) != self._swept:
            self._sweep(int(now))
        if digest in self._seen:
            return False
        if len(self._seen) >= self._limit or self._of_clients[client] >= max(1, self._limit // SHARE):
            return None
        self._seen.add(digest)
        self._of_clients[client] += 1
        self._ends.setdefault(until, {}).setdefault(client, []).append(digest)
        return True

    def _sweep(self, now: int) -> None:
        """Forget proofs that are too old. There are few different seconds, because all proofs are of about now."""
        self._swept = now
        for second in [second for second in self._ends if second < now]:
            for client, digests in self._ends.pop(second).items():
                self._seen.difference_update(digests)
                self._of_clients[client] -= len(digests)
                if not self._of_clients[client]:
                    del self._of_clients[client]
