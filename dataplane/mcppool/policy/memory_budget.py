"""The memory that one process may use, and who uses it: `limits.memory`.

There is one `MemoryBudget` for each process. Everything that a client or a server can fill charges an account of it
with its size in bytes, and releases the same number when the bytes are gone:

    account = pool.memory.account("sessions")
    if not account.reserve(size):       # over the budget: refuse, drop or evict; nothing was charged
        raise Overloaded
    ...
    account.release(size)               # in `finally`, or where the thing is dropped

`reserve` is for what can still be refused (a new session, an answer to keep). `charge` is for bytes that are there
already. A call costs two additions and a comparison, so what is small (some KiB) and short-lived may go uncharged: the
budget also knows the resident size of the process, which `watch` is told twice a second.

While the budget is full, new work is refused with 503 and reason `overloaded`; what is in flight goes on.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

AccountName = Literal["bodies", "answers", "streams", "sessions", "cache", "upstream", "local"]
"""`bodies` of requests, `answers` that clients have not taken, buffers of event `streams`, `sessions` with what their
clients said at `initialize`, the `cache`, what comes from `upstream` and is held, queues of `local` servers."""

LEAST_ROOM: Final = 16 << 20
"""Bytes beyond the idle process that a budget leaves even where `limits.memory` is smaller."""

ACCOUNTS: Final[tuple[AccountName, ...]] = get_args(AccountName)


class MemoryAccount:
    """What one kind of thing uses of the budget: `used` bytes; `refused` counts reservations that found no room."""

    __slots__ = ("_budget", "name", "refused", "used")

    def __init__(self, name: AccountName, budget: MemoryBudget) -> None:
        self.name = name
        self.used = 0
        self.refused = 0
        self._budget = budget

    def reserve(self, size: int) -> bool:
        """Charge `size` bytes if the budget has room for them. False: it has not, and nothing is charged."""
        budget = self._budget
        if budget.resident_full or budget.charged + size > budget.room:
            self.refused += 1
            return False
        budget.charged += size
        self.used += size
        return True

    def charge(self, size: int) -> None:
        """Charge `size` bytes that are held already, over the limit if need be."""
        self._budget.charged += size
        self.used += size

    def release(self, size: int) -> None:
        """Give back `size` bytes that were reserved or charged."""
        self._budget.charged -= size
        self.used -= size


class MemoryBudget:
    """`limit` bytes of resident memory, `base` of which the process needs before anybody calls; None: no limit.

    `charged` is the sum of all accounts; `room` the most that it may be; `resident` the last size that was watched.
    """

    __slots__ = ("_accounts", "base", "charged", "limit", "resident", "resident_full", "room")

    def __init__(self, limit: int | None = None, base: int = 0) -> None:
        self.charged = 0
        self.resident = base
        self._accounts = {name: MemoryAccount(name, self) for name in ACCOUNTS}
        self.set_limit(limit, base)

    def set_limit(self, limit: int | None, base: int) -> None:
        """Take over another limit. At least `LEAST_ROOM` is left beyond `base`, so that some work is always done."""
        self.limit = limit
        self.base = base
        self.room: float = float("inf") if limit is None else max(limit - base, LEAST_ROOM)
        self.watch(self.resident)

    def account(self, name: AccountName) -> MemoryAccount:
        """The account of this name; the same one every time."""
        return self._accounts[name]

    def accounts(self) -> tuple[MemoryAccount, ...]:
        """All accounts."""
        return tuple(self._accounts.values())

    def watch(self, resident: int) -> None:
        """Take note of the resident size of the process, in bytes."""
        self.resident = resident
        self.resident_full = resident > self.base + self.room

    @property
    def full(self) -> bool:
        """Whether new work is to be refused."""
        return self.resident_full or self.charged >= self.room

    @property
    def used(self) -> int:
        """Bytes in use: the resident size, or what is charged where that is more."""
        return max(self.resident, self.base + self.charged)

    @property
    def refused(self) -> int:
        """How many reservations found no room."""
        return sum(account.refused for account in self._accounts.values())
