"""The tables of a cache in a database, and the operations on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

ENTRY_BYTES: Final = 200
"""Bytes that a row and its places in the indexes cost besides the value."""

REMOVED_AT_ONCE: Final = 500
"""Upper bound on rows that one statement removes, so that it delays no other for long."""

TABLES: Final = ("mcppool_answers", "mcppool_marks", "mcppool_claims")


def other_tables(error: Exception) -> str:
    """The remedy for tables that another version made."""
    return f"{error}: the tables are not those of this version; drop {', '.join(TABLES)}"


class Found(NamedTuple):
    """A stored value; `left` and `idle` are the seconds until it expires, and since somebody used it."""

    value: bytes
    left: float
    idle: float


class NewRow(NamedTuple):
    """An answer to store: `tag` is the name of its mark, `mark` the mark itself, `life` in seconds."""

    scope: str
    name: bytes
    tag: bytes
    mark: bytes
    value: bytes
    life: float


class Rows(NamedTuple):
    """A number of rows and their bytes."""

    answers: int
    size: int


class Database(Protocol):
    """A database with the cache's three tables: answers, marks and claims. All names are 32 bytes.

    Times are by the database's clock. Every method may raise any error of the client library, OSError or TimeoutError.
    Cancelled methods leave nothing half done.
    """

    async def open(self) -> None:
        """Connect, create the tables that are missing, and see that they can be written to."""
        ...

    async def read(
        self, answers: Sequence[bytes], marks: Sequence[bytes]
    ) -> tuple[dict[bytes, Found], dict[bytes, bytes]]:
        """The answers and the marks that are there under these names, by name; of a longer value the first bytes."""
        ...

    async def write(self, row: NewRow) -> None:
        """Store an answer in place of any other of that name."""
        ...

    async def set_marks(self, marks: Sequence[tuple[bytes, bytes]]) -> None:
        """Set marks by name."""
        ...

    async def make_mark(self, name: bytes, mark: bytes) -> None:
        """Set a mark if there is none; one that is not of the right length counts as none."""
        ...

    async def touch(self, names: Sequence[bytes]) -> None:
        """Note that these answers are in use."""
        ...

    async def claim(self, name: bytes, owner: bytes, seconds: float) -> bool:
        """Take a claim for so long; returns whether it was free."""
        ...

    async def release(self, name: bytes, owner: bytes) -> None:
        """Give a claim back, if this owner still has it."""
        ...

    async def remove_expired(self) -> int:
        """Remove a number of expired rows; returns the number of answers among them."""
        ...

    async def remove_invalidated(self, tags: Sequence[bytes]) -> int:
        """Remove a number of answers of these tags that were stored under an earlier mark; returns how many."""
        ...

    async def rows(self, scope: str) -> Rows:
        """The answers of a scope."""
        ...

    async def remove_oldest(self, scope: str, count: int) -> Rows:
        """Remove so many answers of a scope that were not used for the longest time."""
        ...

    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted: `timeout`, `connection`, `other`."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
