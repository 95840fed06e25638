"""`limits.memory`: the memory that the process may use, by account.

There is one `MemoryBudget` for each process. Everything that a client or a server can fill charges an account of it
with its size in bytes, and releases the same number when the bytes are gone:

    account = pool.memory.account("sessions")
    if not account.reserve(size):       # over the budget: refuse, drop or evict; nothing was charged
        raise Overloaded
    ...
    account.release(size)               # in `finally`, or where the thing is dropped

`reserve` is for bytes that can still be refused (a new session, an answer to cache). `charge` is for bytes that are
already held. A call costs two additions and a comparison, so small (some KiB), short-lived bytes may stay uncharged:
the budget also gets the resident size of the process, twice a second through `watch`.

While the budget is full, new work is refused with 503 and reason `overloaded`; calls in flight go on. Cached
answers and idle sessions give way: see `MemoryBudget.reclaim`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

AccountName = Literal["bodies", "answers", "streams", "sessions", "cache", "upstream", "local"]
"""`bodies`: of requests; `answers`: not yet taken by clients; `streams`: buffers of event streams; `sessions`: with
their clients' parameters of `initialize`; `cache`; `upstream`: held parts of answers; `local`: queues of local
servers."""

MIN_ROOM: Final = 16 << 20
"""Bytes beyond the idle process that a budget leaves even if `limits.memory` is smaller."""

RECLAIMED_BESIDES: Final = 0.1
"""Share of the limit that is freed in addition to the excess, so that the limit is not exceeded again at once."""
SMALL: Final = 64 * 1024
"""Bytes that one thing may hold uncharged, see `Holding`."""
STEP: Final = 64 * 1024
"""Smallest growth in bytes of the charge of a `Holding`."""

Reclaimer = Callable[[int], int]
"""Frees up to so many bytes, the least useful ones first; returns the number of freed bytes."""

ACCOUNTS: Final[tuple[AccountName, ...]] = get_args(AccountName)


class MemoryAccount:
    """The share of one kind of data in the budget: `used` bytes; `refused` counts failed reservations."""

    __slots__ = ("_budget", "name", "refused", "used")

    def __init__(self, name: AccountName, budget: MemoryBudget) -> None:
        self.name = name
        self.used = 0
        self.refused = 0
        self._budget = budget

    def reserve(self, size: int) -> bool:
        """Charge `size` bytes if the budget has room for them. False: it has not, and nothing is charged."""
        budget = self._budget
        if budget.charged + size > budget.open_room and not budget.make_room(size):
            self.refused += 1
            return False
        budget.charged += size
        self.used += size
        return True

    def charge(self, size: int) -> None:
        """Charge `size` bytes that are already held, over the limit if necessary."""
        self._budget.charged += size
        self.used += size

    def release(self, size: int) -> None:
        """Give back `size` bytes that were reserved or charged."""
        self._budget.charged -= size
        self.used -= size


class Holding:
    """A reservation of changing size in an account. `size` bytes are charged."""

    __slots__ = ("_account", "size")

    def __init__(self, account: MemoryAccount) -> None:
        self._account = account
        self.size = 0

    def grow(self, size: int) -> bool:
        """Change the reservation to `size` bytes. False: there is no room, and nothing more is charged."""
        if size <= self.size or size <= SMALL:
            return True
        more = max(size - self.size, STEP)
        if not self._account.reserve(more):
            return False
        self.size += more
        return True

    def fit(self, size: int) -> bool:
        """The same, and give back bytes that are no longer held."""
        if size + STEP < self.size:
            self._account.release(self.size - size)
            self.size = size
        return self.grow(size)

    def release(self) -> None:
        """It holds nothing any more."""
        if self.size:
            self._account.release(self.size)
            self.size = 0


class MemoryBudget:
    """`limit` bytes of resident memory, `base` of which the process needs without any calls; None: no limit.

    `charged` is the sum of all accounts, `room` its upper bound; `resident` is the last measured size. `open_room` is
    `room`, but 0 while the resident size exceeds the limit. If it stays above although nothing is charged (`stuck`),
    refusals do not help: free memory that the allocator keeps can serve new work as well, so `MIN_ROOM` is open.
    """

    __slots__ = ("_accounts", "_reclaimers", "base", "charged", "limit", "open_room", "resident", "room", "stuck")

    def __init__(self, limit: int | None = None, base: int = 0) -> None:
        self.charged = 0
        self.resident = base
        self.stuck = False
        self._reclaimers: list[Reclaimer] = []
        self._accounts = {name: MemoryAccount(name, self) for name in ACCOUNTS}
        self.set_limit(limit, base)

    def set_limit(self, limit: int | None, base: int) -> None:
        """Apply another limit. At least `MIN_ROOM` is left beyond `base`, so that some work is always possible."""
        self.limit = limit
        self.base = base
        self.room = float("inf") if limit is None else float(max(limit - base, MIN_ROOM))
        self.watch(self.resident)

    def account(self, name: AccountName) -> MemoryAccount:
        """The account of this name; always the same object."""
        return self._accounts[name]

    def accounts(self) -> tuple[MemoryAccount, ...]:
        """All accounts."""
        return tuple(self._accounts.values())

    def watch(self, resident: int) -> None:
        """Note the resident size of the process, in bytes."""
        self.resident = resident
        if resident <= self.base + self.room:
            self.stuck = False
            self.open_room = self.room
        else:
            self.open_room = float(MIN_ROOM) if self.stuck else 0.0

    def may_be_stuck(self) -> bool:
        """Whether the resident size exceeds the limit although almost nothing is charged."""
        return self.resident > self.base + self.room and self.charged < MIN_ROOM

    def unstick(self) -> None:
        """Nothing more can be given back: allow some work until the resident size is below the limit again."""
        self.stuck = True
        self.watch(self.resident)

    def add_reclaimer(self, reclaimer: Reclaimer, *, last: bool = False) -> None:
        """Call `reclaimer` when memory is full, before or after the existing ones."""
        self._reclaimers.insert(len(self._reclaimers) if last else 0, reclaimer)

    def remove_reclaimer(self, reclaimer: Reclaimer) -> None:
        """Call `reclaimer` no more."""
        self._reclaimers.remove(reclaimer)

    def make_room(self, size: int) -> bool:
        """Make caches give way to `size` bytes. False: that is not enough, or the resident size exceeds the limit, and
        only `watch` sees it shrink."""
        if size > self.open_room:
            return False
        self._give_way(int(self.charged + size - self.open_room))
        return self.charged + size <= self.open_room

    def reclaim(self) -> int:
        """Memory is full: make caches give way, for the excess over the limit and a tenth of the room. Returns the
        number of freed bytes."""
        over = max(self.resident - self.base, self.charged) - self.room
        return self._give_way(int(over + self.room * RECLAIMED_BESIDES)) if over >= 0 else 0

    def _give_way(self, wanted: int) -> int:
        given = 0
        for reclaimer in self._reclaimers:
            if given >= wanted:
                break
            given += reclaimer(wanted - given)
        return given

    @property
    def full(self) -> bool:
        """Whether to refuse new work."""
        return self.charged >= self.open_room

    @property
    def used(self) -> int:
        """Bytes in use: the larger one of the resident size and the charged bytes."""
        return max(self.resident, self.base + self.charged)

    @property
    def refused(self) -> int:
        """Number of reservations without room."""
        return sum(account.refused for account in self._accounts.values())
