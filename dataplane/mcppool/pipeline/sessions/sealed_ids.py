"""Legacy sessions as clients see them: sealed ids, which any gateway with the keys can open (design §1.6).

A gateway's memory of sessions is a cache with two exceptions: the new home of a moved session, and the end of a
session. Only this process knows them. With `sessions.store = "redis"` it shares them with the other gateways
(`cache.shared_sessions`), and always with the other processes of its own gateway (`peers`); otherwise each gateway
finds them out for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import msgspec

from mcppool.cache.shared_sessions import SessionStore
from mcppool.pipeline.call import Call
from mcppool.pipeline.sessions.equal_values import EqualValues
from mcppool.pipeline.sessions.handshake import NOBODY, client_parameters, negotiated_version
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.table import SessionTable
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.policy.tombstones import Tombstones
from mcppool.spec import SessionsSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.response import Response
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.sealing import KeyRing, SessionClaims, compressed, context, open_sealed, seal, sealed_with

MAX_UPSTREAM_ID: Final = 4 * 1024
"""Upper bound in bytes on a server's own session id. A longer one does not fit into a header once sealed."""

ASK_AGAIN: Final = 5.0
"""Seconds of use between two look-ups of a session in the shared store."""

IDLE: Final = 60.0
"""Seconds without a call after which a session may be forgotten while memory is full."""

_MAX_LEVEL: Final = 32  # upper bound on the characters of a stored log level


class _State(msgspec.Struct):
    level: str | None = None
    uri: str | None = None


class _StateRequest(msgspec.Struct):
    params: _State = msgspec.field(default_factory=_State)


_state = msgspec.json.Decoder(_StateRequest)


class Sessions:
    """Mints and opens the session ids of one pool. `now` is wall-clock time in seconds."""

    def __init__(
        self, pool: str, ring: KeyRing, now: Callable[[], float], spec: SessionsSpec, account: MemoryAccount
    ) -> None:
        self._pool = pool
        self._ring = ring
        self.shared: SessionStore | None = None
        self.any_opened = False  # a server has issued a session id
        self._now = now
        self._table = SessionTable(account, spec.max_sessions, spec.max_bytes, spec.max_sessions_per_client)
        self._ended = Tombstones()
        self._values = EqualValues()
        self.on_end: Callable[[Session, float], None] | None = None  # with the seconds since its last use
        self.configure(spec)

    def configure(self, spec: SessionsSpec) -> None:
        """Apply changed limits; `max_age` applies to ids that are made from now on."""
        self._table.max_sessions = spec.max_sessions
        self._table.max_bytes = spec.max_bytes
        self._table.max_of_one = spec.max_sessions_per_client
        self._idle_timeout = spec.idle_timeout
        self._max_age = spec.max_age
        if self.shared is not None:
            self.shared.life = spec.idle_timeout

    def renew_ring(self, ring: KeyRing) -> None:
        """Apply changed keys. Forget sessions whose key is gone; their ids become invalid."""
        kept = {key.id for key in self._ring.keys if key in ring.keys}
        self._ring = ring
        for key in self._table.known():
            if sealed_with(key[0]) not in kept:
                self._table.remove(key)

    def share(self, store: SessionStore | None) -> None:
        """Share moves and ends of sessions with other processes through this store; None: stop sharing."""
        if store is not None:
            store.life = self._idle_timeout
        self.shared = store

    def opened(self, call: Call, endpoint: Endpoint, response: Response, answer: bytes) -> bytes:
        """The header line with the sealed id for a handshake's answer; empty if the server keeps no session.

        Raises BadAnswer if the server's own id is too long.
        """
        upstream = response.header(b"mcp-session-id")
        if upstream is None or response.status >= 300:
            return b""
        version = negotiated_version(answer)
        if version is None:
            return b""  # an error: some servers send useless ids with one
        self.any_opened = True
        if len(upstream) > MAX_UPSTREAM_ID:
            raise BadAnswer(f"a session id of {len(upstream)} bytes; at most {MAX_UPSTREAM_ID} are served")
        now = self._now()
        capabilities, client = client_parameters(call.body)
        claims = SessionClaims(
            endpoint=endpoint.key,
            upstream_session=upstream.decode("latin-1"),
            version=version,
            capabilities=compressed(capabilities),
            client=client,
            issued=int(now),
            expires=int(now + self._max_age),
        )
        claims, token = self._seal(claims, call.principal.key)
        session = Session(
            self._values.in_claims(claims),
            token,
            call.principal.key,
            owner=call.principal.origin(call.address),
            life=claims.expires - now,
        )
        session.homed_at = now
        self._table.add(session)
        return b"mcp-session-id: %b\r\n" % token.encode("ascii")

    def _seal(self, claims: SessionClaims, principal: str) -> tuple[SessionClaims, str]:
        """The sealed id; without the client's parameters if these and the server's id are too long together."""
        without = msgspec.structs.replace(claims, capabilities=None, client=NOBODY)
        for attempt in (claims, msgspec.structs.replace(claims, capabilities=None), without):
            try:
                return attempt, seal(attempt, self._ring, context(self._pool, principal))
            except ValueError as error:
                why = str(error)
        raise BadAnswer(f"a session id that is too long to seal: {why}")

    @property
    def remembered(self) -> int:
        """Number of sessions known without opening their ids."""
        return len(self._table)

    def count_by_endpoint(self) -> Mapping[str, int]:
        """Number of remembered sessions at each endpoint, by the endpoint's key."""
        return self._table.count_by_endpoint()

    @property
    def ended(self) -> int:
        """Number of sessions known to have been ended by their clients."""
        return self._ended.count

    def open(self, token: str, principal: str = "anonymous", owner: str = "") -> Session | None:
        """The session of an id; None for one that is forged, foreign, ended or too old. `owner` is the client that
        it counts for."""
        key = (token, principal)
        session = self._table.find(key)
        now = monotonic()
        if session is None:
            session = self._reopen(token, principal, owner)
            if session is None:
                return None
            self.any_opened = True
            session.unseen = self.shared is not None
            self._table.add(session)
        elif now >= session.expires:
            self._table.remove(key)
            return None
        if session.varying != session.fleeting:
            session.varying = session.fleeting
            self._table.resize(session)
        session.last_used = now
        if self.shared is not None:
            if now - session.asked > ASK_AGAIN:
                session.unseen = True
            if session.told is not None and now - session.told > self._idle_timeout / 2:
                session.told = now
                self.shared.renew(token)
        return session

    def known(self, token: str, principal: str) -> Session | None:
        """The session of an id that this process has opened before and still remembers."""
        return self._table.find((token, principal))

    def _reopen(self, token: str, principal: str, owner: str) -> Session | None:
        claims = open_sealed(token, self._ring, context(self._pool, principal))
        if claims is None:
            return None
        life = claims.expires - self._now()
        if life <= 0 or self._ended.holds(token, claims.expires):
            return None
        return Session(self._values.in_claims(claims), token, principal, owner=owner, life=life)

    def end(self, session: Session) -> None:
        """The client has ended its session: its id is never opened again here."""
        self._table.remove(session.key)
        if self.on_end is not None:
            self.on_end(session, 0.0)
        self._ended.add(session.token, session.claims.expires)

    def tell_end(self, session: Session) -> None:
        """Tell the other gateways that the client has ended its session."""
        if self.shared is not None:
            self.shared.end(session.token, max(1.0, session.claims.expires - self._now()))

    def note(self, session: Session, method: str | None, body: bytes) -> None:
        """Remember a session's log level and subscriptions, to restore them in a new session."""
        if method not in ("logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
            return
        try:
            params = _state.decode(readable(body)).params
        except UNREADABLE:
            return
        news: dict[str, str | None] = {}
        if method == "logging/setLevel":
            if params.level is not None and len(params.level) <= _MAX_LEVEL:
                session.log_level = news["log_level"] = params.level
        elif params.uri is not None and method == "resources/unsubscribe":
            if session.unsubscribe(params.uri):
                news["drop"] = params.uri
        elif params.uri is not None and session.subscribe(params.uri):
            news["add"] = params.uri
        if not news:
            return
        self._table.resize(session)
        if self.shared is not None:
            session.told = monotonic()
            self.shared.note(session.token, **news)

    def sweep(self, now: float) -> None:
        """Forget sessions unused for `idle_timeout`, and tombstones of expired ids; `now` is monotonic."""
        over = self.on_end
        for session in self._table.sweep(now - self._idle_timeout, now):
            if over is not None:
                over(session, now - session.last_used)
        self._ended.sweep(self._now())

    def give_way(self, wanted: int) -> int:
        """Memory is full: forget sessions that are idle for `IDLE`, until `wanted` bytes are free. Returns the number
        of freed bytes. Their ids can still be opened."""
        return self._table.give_way(wanted, monotonic() - IDLE)

    def close(self) -> None:
        """Give back the reserved memory."""
        self._table.close()
