"""A whole request of a client, and what all requests of a listener share."""

from __future__ import annotations

from time import monotonic

from mcppool.gateway.http.body import Body
from mcppool.gateway.http.head_cache import Changes, Head, HeadCache
from mcppool.policy.memory_budget import MemoryAccount, MemoryBudget

CREDENTIAL_HEADERS = frozenset({b"authorization", b"cookie", b"dpop", b"proxy-authorization"})


class HttpRequest:
    """One whole request. Its head is `head`, but for the values in `changes`.

    `keep_alive`: its sender may send another one; `http11`: the sender reads chunked answers; `lost`: `body` has only
    the two ends, because memory had no room for it. The handler's worker releases `held`.
    """

    __slots__ = ("body", "changes", "head", "held", "http11", "keep_alive", "received")

    def __init__(
        self, head: Head, body: bytes, http11: bool, held: Body | None = None, changes: Changes | None = None
    ) -> None:
        self.head = head
        self.body = body
        self.http11 = http11
        self.keep_alive = head.keep_alive
        self.received = monotonic()
        self.held = held
        self.changes = changes

    @property
    def method(self) -> bytes:
        """Such as POST."""
        return self.head.method

    @property
    def target(self) -> bytes:
        """The request target as it was sent."""
        return self.head.target

    @property
    def lines(self) -> list[tuple[bytes, bytes]]:
        """Header lines in order, names in lower case; without Content-Length: the length of `body` gives that."""
        lines = self.head.lines
        if self.changes is not None:
            lines = lines.copy()
            for at, value in zip(*self.changes, strict=True):
                lines[at] = lines[at][0], value
        return lines

    @property
    def lost(self) -> bool:
        """Whether there was no room for all of the body."""
        return self.held is not None and self.held.lost


class RequestLimits:
    """Shared by a listener's connections: `max_body` in bytes, which may change, the account for bodies, and the stored
    heads."""

    __slots__ = ("bodies", "credential_headers", "heads", "max_body")

    def __init__(self, max_body: int, bodies: MemoryAccount | None = None) -> None:
        self.max_body = max_body
        self.bodies = bodies or MemoryBudget().account("bodies")
        self.heads = HeadCache()
        self.credential_headers: frozenset[bytes] = CREDENTIAL_HEADERS
