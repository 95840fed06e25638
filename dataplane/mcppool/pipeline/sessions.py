"""Legacy sessions as clients see them: sealed ids, which any gateway with the keys can open (DESIGN §3).

What a gateway remembers of a session is a cache with two exceptions: where it has moved to, and that it was ended.
Both are this process's own knowledge, and with `sessions.store = "redis"` they are told to the other gateways
(`cache.shared_sessions`); without, another gateway finds them out for itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_sessions import NOTHING_KNOWN, Home, SharedSession, SharedSessions
from mcppool.pipeline.exchange import Call
from mcppool.pipeline.session_streams import SessionStreams
from mcppool.upstream.connection import Response
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.sealing import KeyRing, SessionClaims, context, open_sealed, seal, sealed_with
from mcppool.wire.versions import ASSUMED_LEGACY

if TYPE_CHECKING:
    from mcppool.upstream.endpoint import Endpoint

ASK_AGAIN = 5.0  # seconds of use after which it is asked again what other gateways know of a session
MAX_SUBSCRIPTIONS = 1024  # of one session that are remembered, to be made again where it moves to


class Session:
    """One client's session: what its id says, and where it lives now.

    `homed_at` is the wall-clock time, in seconds, since which it lives there: a witness of the endpoint that is older
    can tell that the process has not restarted since. `moving` is the one re-homing under way, which all its calls
    wait for. `unseen`: what other gateways know of it has not been asked yet, or not since `asked`; `told` is the
    monotonic second at which what they know was last told or renewed, None where nothing is.
    """

    __slots__ = (
        "asked", "claims", "endpoint", "extra", "homed_at", "last_used", "line", "log_level", "moving", "query",
        "streams", "subscriptions", "token", "told", "unseen", "upstream_id",
    )  # fmt: skip

    def __init__(self, claims: SessionClaims, token: str = "") -> None:
        self.claims = claims
        self.token = token
        self.unseen = False
        self.asked = monotonic()
        self.told: float | None = None
        self.log_level = claims.log_level
        self.subscriptions: dict[str, None] = {}
        self.moving: asyncio.Task[Endpoint] | None = None
        self.streams = SessionStreams()
        self.query = self.extra = b""
        self.last_used = monotonic()
        self.settle(claims.endpoint, claims.upstream_session, claims.issued)

    def settle(self, endpoint: str, upstream_id: str, now: float) -> None:
        """Live at `endpoint` from `now` on, under its id there; an empty one where the server keeps no sessions."""
        self.streams.leave()
        self.endpoint = endpoint
        self.upstream_id = upstream_id
        self.homed_at = now
        self.line = b"mcp-session-id: %b\r\n" % upstream_id.encode("latin-1") if upstream_id else b""

    @property
    def home(self) -> tuple[str, str]:
        """Where it lives: the endpoint, and its id there."""
        return self.endpoint, self.upstream_id

    @property
    def place(self) -> Home:
        """Where it lives, and since when."""
        return self.endpoint, self.upstream_id, self.homed_at

    def take(self, found: SharedSession) -> None:
        """Take over what other gateways know of it, but no home that is older than its own."""
        self.unseen = False
        self.asked = monotonic()
        if found.home is not None and found.home != self.place and found.home[2] >= self.homed_at:
            self.settle(*found.home)
        self.log_level = found.log_level or self.log_level
        self.subscriptions.update(dict.fromkeys(found.subscriptions[:MAX_SUBSCRIPTIONS]))
        if found != NOTHING_KNOWN:
            self.told = monotonic()

    @property
    def moved(self) -> bool:
        """Whether it lives elsewhere than its id says."""
        return self.home != (self.claims.endpoint, self.claims.upstream_session)


class _Info(msgspec.Struct):
    name: str = ""
    version: str = ""


class _InitializeParams(msgspec.Struct):
    capabilities: msgspec.Raw = msgspec.Raw(b"{}")
    clientInfo: _Info = msgspec.field(default_factory=_Info)  # noqa: N815 (the wire's spelling)


class _Initialize(msgspec.Struct):
    params: _InitializeParams = msgspec.field(default_factory=_InitializeParams)


class _InitializeResult(msgspec.Struct):
    protocolVersion: str = ASSUMED_LEGACY  # noqa: N815


class _Initialized(msgspec.Struct):
    result: _InitializeResult | msgspec.UnsetType = msgspec.UNSET


class _State(msgspec.Struct):
    level: str | None = None
    uri: str | None = None


class _StateRequest(msgspec.Struct):
    params: _State = msgspec.field(default_factory=_State)


_request = msgspec.json.Decoder(_Initialize)
_answer = msgspec.json.Decoder(_Initialized)
_state = msgspec.json.Decoder(_StateRequest)


class Sessions:
    """Mints and opens the session ids of one pool. `now` is wall-clock time in seconds."""

    def __init__(
        self, pool: str, ring: KeyRing, now: Callable[[], float], *, max_sessions: int, idle_timeout: float
    ) -> None:
        self._pool = pool
        self._ring = ring
        self.shared: SharedSessions | None = None
        self.any_opened = False  # a server has given out a session id
        self._now = now
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()  # by id and principal; least used first
        self._ended: OrderedDict[str, float] = OrderedDict()
        self.configure(max_sessions=max_sessions, idle_timeout=idle_timeout)

    def configure(self, *, max_sessions: int, idle_timeout: float) -> None:
        """Take over changed limits."""
        self._max = max_sessions
        self._idle_timeout = idle_timeout
        if self.shared is not None:
            self.shared.life = idle_timeout

    def renew_ring(self, ring: KeyRing) -> None:
        """Take over changed keys. Sessions whose key is there no more are forgotten, and their ids open nothing."""
        kept = {key.id for key in self._ring.keys if key in ring.keys}
        self._ring = ring
        for key in [key for key in self._sessions if sealed_with(key[0]) not in kept]:
            del self._sessions[key]

    def share(self, link: RedisLink | None) -> None:
        """Tell other gateways what they must know of sessions, and ask them; None: no more."""
        self.shared = SharedSessions(link, self._idle_timeout) if link is not None else None

    def opened(self, call: Call, endpoint: Endpoint, response: Response, answer: bytes) -> bytes:
        """The header line with the sealed id for a handshake's answer; empty where the server keeps no session."""
        upstream = response.header(b"mcp-session-id")
        if upstream is None or response.status >= 300:
            return b""
        try:
            result = _answer.decode(readable(answer)).result
            params = _request.decode(readable(call.body)).params
        except UNREADABLE:
            return b""
        if isinstance(result, msgspec.UnsetType):
            return b""  # an error: some servers send useless ids with one
        self.any_opened = True
        now = self._now()
        claims = SessionClaims(
            endpoint=endpoint.key,
            upstream_session=upstream.decode("latin-1"),
            version=result.protocolVersion,
            capabilities=bytes(params.capabilities),
            client_name=params.clientInfo.name,
            client_version=params.clientInfo.version,
            log_level=None,
            issued=int(now),
        )
        token = seal(claims, self._ring, context(self._pool, call.principal))
        session = Session(claims, token)
        session.homed_at = now
        self._remember((token, call.principal), session)
        return b"mcp-session-id: %b\r\n" % token.encode("ascii")

    @property
    def remembered(self) -> int:
        """How many sessions are known without opening their ids."""
        return len(self._sessions)

    def open(self, token: str, principal: str = "anonymous") -> Session | None:
        """The session of an id; None for one that is forged, foreign or ended."""
        if token in self._ended:
            return None
        key = (token, principal)
        session = self._sessions.get(key)
        if session is None:
            claims = open_sealed(token, self._ring, context(self._pool, principal))
            if claims is None:
                return None
            self.any_opened = True
            session = Session(claims, token)
            session.unseen = self.shared is not None
            self._remember(key, session)
        else:
            self._sessions.move_to_end(key)
        session.last_used = now = monotonic()
        if self.shared is not None and now - session.asked > ASK_AGAIN:
            session.unseen = True
        if session.told is not None and now - session.told > self._idle_timeout / 2 and self.shared is not None:
            session.told = now
            self.shared.renew(token)
        return session

    def end(self, token: str, principal: str = "anonymous") -> None:
        """The client has ended its session: a tombstone keeps its id from being opened again here."""
        self._sessions.pop((token, principal), None)
        self._ended[token] = monotonic()
        while len(self._ended) > self._max:
            self._ended.popitem(last=False)

    def sweep(self, now: float) -> None:
        """Forget what has been idle for `idle_timeout`, and tombstones as old as that; `now` is monotonic."""
        oldest = now - self._idle_timeout
        while self._sessions and next(iter(self._sessions.values())).last_used <= oldest:
            self._sessions.popitem(last=False)
        while self._ended and next(iter(self._ended.values())) <= oldest:
            self._ended.popitem(last=False)

    def _remember(self, key: tuple[str, str], session: Session) -> None:
        self._sessions[key] = session
        while len(self._sessions) > self._max:
            self._sessions.popitem(last=False)


def note_state(session: Session, method: str | None, body: bytes, shared: SharedSessions | None = None) -> None:
    """Remember what a session was told that a new one would not know: its log level and its subscriptions."""
    if method not in ("logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
        return
    try:
        params = _state.decode(readable(body)).params
    except UNREADABLE:
        return
    uri = params.uri
    if method == "logging/setLevel":
        session.log_level = params.level
        news = {"log_level": params.level}
    elif uri is not None and method == "resources/unsubscribe":
        session.subscriptions.pop(uri, None)
        news = {"drop": uri}
    elif uri is not None and len(session.subscriptions) < MAX_SUBSCRIPTIONS:
        session.subscriptions[uri] = None
        news = {"add": uri}
    else:
        return
    if shared is not None:
        session.told = monotonic()
        shared.note(session.token, **news)
