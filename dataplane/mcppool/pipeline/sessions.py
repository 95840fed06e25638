"""Legacy sessions as clients see them: sealed ids, which any gateway with the keys can open (DESIGN §3)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from mcppool.pipeline.exchange import Call
from mcppool.upstream.connection import Response
from mcppool.wire.sealing import KeyRing, SessionClaims, context, open_sealed, seal
from mcppool.wire.versions import ASSUMED_LEGACY

if TYPE_CHECKING:
    from mcppool.upstream.endpoint import Endpoint

REMEMBERED = 4096  # opened ids whose claims are kept, so that a call of a known session needs no cryptography


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


_request = msgspec.json.Decoder(_Initialize)
_answer = msgspec.json.Decoder(_Initialized)


class Sessions:
    """Mints and opens the session ids of one pool. `now` is wall-clock time in seconds."""

    def __init__(self, pool: str, ring: KeyRing, now: Callable[[], float], max_tombstones: int) -> None:
        self._pool = pool
        self.ring = ring
        self._now = now
        self._open: OrderedDict[tuple[str, str], SessionClaims] = OrderedDict()  # by token and principal
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._max_tombstones = max_tombstones

    def opened(self, call: Call, endpoint: Endpoint, response: Response, answer: bytes) -> bytes:
        """The header line with the sealed id for a handshake's answer; empty where the server keeps no session."""
        upstream = response.header(b"mcp-session-id")
        if upstream is None or response.status >= 300:
            return b""
        try:
            result = _answer.decode(answer).result
            params = _request.decode(call.body).params
        except msgspec.MsgspecError:
            return b""
        if isinstance(result, msgspec.UnsetType):
            return b""  # an error: some servers send useless ids with one
        claims = SessionClaims(
            endpoint=endpoint.key,
            upstream_session=upstream.decode("latin-1"),
            version=result.protocolVersion,
            capabilities=bytes(params.capabilities),
            client_name=params.clientInfo.name,
            client_version=params.clientInfo.version,
            log_level=None,
            issued=int(self._now()),
        )
        token = seal(claims, self.ring, context(self._pool, call.principal))
        self._remember((token, call.principal), claims)
        return b"mcp-session-id: %b\r\n" % token.encode("ascii")

    @property
    def remembered(self) -> int:
        """How many sessions are known without opening their ids."""
        return len(self._open)

    def open(self, token: str, principal: str = "anonymous") -> SessionClaims | None:
        """What an id was sealed from; None for one that is forged, foreign or ended."""
        if token in self._ended:
            return None
        claims = self._open.get((token, principal))
        if claims is None:
            claims = open_sealed(token, self.ring, context(self._pool, principal))
            if claims is not None:
                self._remember((token, principal), claims)
        return claims

    def ended(self, token: str, principal: str = "anonymous") -> None:
        """The client has ended its session: a tombstone keeps its id from being opened again here."""
        self._open.pop((token, principal), None)
        self._ended[token] = None
        if len(self._ended) > self._max_tombstones:
            self._ended.popitem(last=False)

    def _remember(self, key: tuple[str, str], claims: SessionClaims) -> None:
        self._open[key] = claims
        if len(self._open) > REMEMBERED:
            self._open.popitem(last=False)
