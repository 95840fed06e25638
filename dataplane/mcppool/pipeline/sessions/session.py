"""One client's legacy session, as a gateway remembers it."""

from __future__ import annotations

import asyncio
from math import inf
from time import monotonic
from typing import Final

from mcppool.cache.shared_sessions import NOTHING_KNOWN, Home, SharedSession
from mcppool.pipeline.sessions.streams import SessionStreams
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.sealing import SessionClaims

MAX_SUBSCRIPTIONS: Final = 1024
MAX_SUBSCRIPTION_BYTES: Final = 64 * 1024
"""Subscriptions of one session that are remembered, and the bytes of their URIs. The server has those beyond, too,
until the session moves."""

FOOTPRINT: Final = 1400
"""Bytes of a session without what differs in length (tests/unit/pipeline/test_session_memory.py measures it)."""


class Session:
    """One client's session: the contents of its id, and its current endpoint.

    `homed_at` is the wall-clock time, in seconds, since which it lives there: a witness of the endpoint that is older
    can tell that the process has not restarted since. `moving` is the one re-homing under way, which all its calls
    wait for. `unseen`: what other gateways know of it has not been asked yet, or not since `asked`; `told` is the
    monotonic second at which what they know was last told or renewed, None where nothing is.

    `address` is the client that it counts for, with `size` bytes, of which `varying` were
    `fleeting` then. `expires` is the monotonic second from which its id opens nothing.
    """

    __slots__ = (
        "address", "asked", "claims", "endpoint", "expires", "extra", "homed_at", "last_used", "line", "log_level",
        "moving", "principal", "query", "size", "streams", "subscriptions", "token", "told", "unseen", "upstream_id",
        "varying",
    )  # fmt: skip

    def __init__(
        self,
        claims: SessionClaims,
        token: str = "",
        principal: str = "anonymous",
        *,
        address: str = "",
        life: float = inf,
    ) -> None:
        self.claims = claims
        self.address = address
        self.token = token
        self.principal = principal
        self.unseen = False
        self.asked = monotonic()
        self.told: float | None = None
        self.log_level: str | None = None
        self.subscriptions: dict[str, int] = {}  # with their bytes
        self.size = 0
        self.varying = 0
        self.moving: asyncio.Task[Endpoint] | None = None
        self.streams = SessionStreams()
        self.query = self.extra = b""
        self.last_used = monotonic()
        self.expires = self.last_used + life
        self.settle(claims.endpoint, claims.upstream_session, claims.issued)

    def settle(self, endpoint: str, upstream_id: str, now: float) -> None:
        """Live at `endpoint` from `now` on, under its id there; an empty one where the server keeps no sessions."""
        self.streams.leave(monotonic())
        self.endpoint = endpoint
        self.upstream_id = upstream_id
        self.homed_at = now
        self.line = b"mcp-session-id: %b\r\n" % upstream_id.encode("latin-1") if upstream_id else b""

    def subscribe(self, uri: str) -> bool:
        """Remember a subscription, to be made again where the session moves to; False where there are too many, or it
        is remembered already."""
        size = len(uri.encode("utf-8", "surrogatepass"))
        if uri in self.subscriptions or len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            return False
        if sum(self.subscriptions.values()) + size > MAX_SUBSCRIPTION_BYTES:
            return False
        self.subscriptions[uri] = size
        return True

    @property
    def key(self) -> tuple[str, str]:
        """Its key in tables: its id and its principal."""
        return self.token, self.principal

    @property
    def fleeting(self) -> int:
        """Bytes of the parts that may change with each call: the ids of its streams, its query and its headers."""
        return self.streams.bytes + len(self.query) + len(self.extra)

    @property
    def footprint(self) -> int:
        """Bytes that remembering it takes, about."""
        claims = self.claims
        kept = len(self.token) + len(self.line) + len(claims.client) + len(claims.capabilities or b"")
        return FOOTPRINT + kept + self.fleeting + sum(self.subscriptions.values()) + 100 * len(self.subscriptions)

    @property
    def home(self) -> tuple[str, str]:
        """Where it lives: the endpoint, and its id there."""
        return self.endpoint, self.upstream_id

    @property
    def place(self) -> Home:
        """Where it lives, and since when."""
        return self.endpoint, self.upstream_id, self.homed_at

    def take(self, found: SharedSession) -> None:
        """Take over the data of other gateways, but no endpoint that is older than its own."""
        self.unseen = False
        self.asked = monotonic()
        if found.home is not None and found.home != self.place and found.home[2] >= self.homed_at:
            self.settle(*found.home)
        self.log_level = found.log_level or self.log_level
        for uri in found.subscriptions:
            self.subscribe(uri)
        if found != NOTHING_KNOWN:
            self.told = monotonic()

    @property
    def in_use(self) -> bool:
        """Whether a call of it is under way, or a stream is open."""
        return bool(self.streams.open or self.streams.calls)

    @property
    def moved(self) -> bool:
        """Whether it lives elsewhere than its id says."""
        return self.home != (self.claims.endpoint, self.claims.upstream_session)
