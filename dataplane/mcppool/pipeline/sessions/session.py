"""One client's legacy session in a gateway's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import Final

from mcppool.cache.shared_sessions import NOTHING_KNOWN, Home, SharedSession
from mcppool.pipeline.sessions.streams import SessionStreams
from mcppool.upstream.endpoint import Endpoint
from mcppool.wire.sealing import SessionClaims

MAX_SUBSCRIPTIONS: Final = 1024
MAX_SUBSCRIPTION_BYTES: Final = 64 * 1024
"""Upper bound in bytes on the URIs of the remembered subscriptions of one session. The server has those above it, too,
until the session moves."""

NO_SUBSCRIPTIONS: Final[Mapping[str, int]] = MappingProxyType({})

FOOTPRINT: Final = 1000
"""Bytes of a session without its parts of variable size (tests/unit/pipeline/test_sessions.py measures it)."""


class Session:
    """One client's session: the contents of its id, and its current endpoint.

    `homed_at` is the wall-clock time, in seconds, since which it lives there: an older witness of the endpoint can tell
    that the process has not restarted since. `moving` is the one move in progress, which all its calls wait for.
    `unseen`: the gateway has not asked the shared store about it yet, or not since `asked`; `told` is the monotonic
    second of the last write to the store, None if there was none.

    `owner` is the client that it counts for, with `size` bytes, of which `varying` were `fleeting` then. `expires` is
    the monotonic second at which its id expires.
    """

    __slots__ = (
        "_subscribed", "asked", "claims", "endpoint", "expires", "extra", "homed_at", "last_used", "line", "log_level",
        "moving", "on_behalf", "owner", "principal", "query", "size", "streams", "token", "told",
        "unseen", "upstream_id", "varying",
    )  # fmt: skip

    def __init__(
        self,
        claims: SessionClaims,
        token: str = "",
        principal: str = "anonymous",
        *,
        owner: str = "",
        life: float = inf,
    ) -> None:
        self.claims = claims
        self.owner = owner
        self.token = token
        self.principal = principal
        self.unseen = False
        self.asked = monotonic()
        self.told: float | None = None
        self.log_level: str | None = None
        self._subscribed: dict[str, int] | None = None  # made for the first one: most sessions have none
        self.size = 0
        self.varying = 0
        self.moving: asyncio.Task[Endpoint] | None = None
        self.streams = SessionStreams()
        self.query = self.extra = self.on_behalf = b""
        self.last_used = monotonic()
        self.expires = self.last_used + life
        self.settle(claims.endpoint, claims.upstream_session, claims.issued)

    def settle(self, endpoint: str, upstream_id: str, now: float) -> None:
        """Live at `endpoint` from `now` on, under its id there; an empty one if the server keeps no sessions."""
        self.streams.leave(monotonic())
        self.endpoint = endpoint
        self.upstream_id = upstream_id
        self.homed_at = now
        self.line = b"mcp-session-id: %b\r\n" % upstream_id.encode("latin-1") if upstream_id else b""

    def subscribe(self, uri: str) -> bool:
        """Remember a subscription, to restore it after a move; False if there are too many, or it is already
        remembered."""
        size = len(uri.encode("utf-8", "surrogatepass"))
        if uri in self.subscriptions or len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            return False
        if sum(self.subscriptions.values()) + size > MAX_SUBSCRIPTION_BYTES:
            return False
        if self._subscribed is None:
            self._subscribed = {}
        self._subscribed[uri] = size
        return True

    def unsubscribe(self, uri: str) -> bool:
        """Forget a subscription; False if there was none."""
        return self._subscribed is not None and self._subscribed.pop(uri, None) is not None

    @property
    def subscriptions(self) -> Mapping[str, int]:
        """The URIs that the client has subscribed to, with their bytes."""
        return NO_SUBSCRIPTIONS if self._subscribed is None else self._subscribed

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
        """Approximate bytes that it takes in memory."""
        claims = self.claims
        kept = len(self.token) + len(self.line) + len(claims.client) + len(claims.capabilities or b"")
        return FOOTPRINT + kept + self.fleeting + sum(self.subscriptions.values()) + 100 * len(self.subscriptions)

    @property
    def home(self) -> tuple[str, str]:
        """Its home: the endpoint, and its id there."""
        return self.endpoint, self.upstream_id

    @property
    def place(self) -> Home:
        """Its home, and since when."""
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
        """Whether a call of it is in flight, or a stream is open."""
        return self.streams.in_use

    @property
    def moved(self) -> bool:
        """Whether it lives elsewhere than its id says."""
        return self.home != (self.claims.endpoint, self.claims.upstream_session)
