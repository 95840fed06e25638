"""Which process makes a trial call: the one that holds the lock.

All processes have one file open, which stays empty. The lock of a trial is a record lock on the byte whose number is a
hash of the trial's name. The kernel frees the locks of a process that dies, and nobody waits for a lock.
"""

from __future__ import annotations

import fcntl
from hashlib import blake2b


class TrialLocks:
    """The locks of one process; `descriptor` is that of the shared file. Locks belong to a process, so there may be one
    of these in each."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def claim(self, pool: str, endpoint: str, tool: str) -> bool:
        """Take the lock of a trial; returns False if another process has it."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(pool, endpoint, tool))
        except OSError:
            return False
        return True

    def give_up(self, pool: str, endpoint: str, tool: str) -> None:
        """Free the lock of a trial."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _place(pool, endpoint, tool))


def _place(*name: str) -> int:
    """The byte of a trial: a number below 2 ** 62, the range of offsets in a file."""
    return int.from_bytes(blake2b("\0".join(name).encode(), digest_size=8).digest(), "big") >> 2


class PoolTrials:
    """The locks of one pool: see `pipeline.peers.TrialClaims`."""

    def __init__(self, locks: TrialLocks, pool: str) -> None:
        self._locks = locks
        self._pool = pool

    def claim(self, endpoint: str, tool: str) -> bool:
        """See `TrialClaims`."""
        return self._locks.claim(self._pool, endpoint, tool)

    def give_up(self, endpoint: str, tool: str) -> None:
        """See `TrialClaims`."""
        self._locks.give_up(self._pool, endpoint, tool)
