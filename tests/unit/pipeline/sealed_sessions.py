"""Sessions that begin without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from mcppool.pipeline.call import Call
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import SessionsSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from mcppool.wire.era import Era
from mcppool.wire.sealing import KeyRing
from tests.principals import principal_of
from tests.unit.pipeline.pools import RING, call_of, spec_of

NOW = 1_800_000_000.0
SPEC = spec_of("", "a")


class Wall:
    """The time of day, in seconds."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def sessions_of(
    ring: KeyRing = RING, *, pool: str = "p", now: Callable[[], float] | None = None,
    budget: MemoryBudget | None = None, **limits: Any,
) -> Sessions:  # fmt: skip
    spec = SessionsSpec(**{"max_sessions": 3, "idle_timeout": 60.0, **limits})
    return Sessions(pool, ring, now or Wall(), spec, (budget or MemoryBudget()).account("sessions"))


def answered(*, id: str | None = "upstream-1", status: int = 200) -> Response:
    response = Response(cast(Connection, None))
    response.status = status
    response.headers = [] if id is None else [(b"mcp-session-id", id.encode())]
    return response


def hello(principal: str = "anonymous", **params: Any) -> Call:
    usual = {"capabilities": {"elicitation": {}}, "clientInfo": {"name": "agent", "version": "3"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {**usual, **params}}
    request = call_of("initialize").request
    return Call(request, json.dumps(message).encode(), b"", Era.LEGACY, 0.0, principal=principal_of(principal))


RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{}}}'


def begin(
    sessions: Sessions, upstream: str = "upstream-1", principal: str = "anonymous", *, client: str = "",
    result: bytes = RESULT, **params: Any,
) -> str:  # fmt: skip
    """The id that a client is given for a new session."""
    call = hello(principal, **params)
    call.address = client
    line = sessions.opened(call, Endpoint(SPEC.endpoints[0], SPEC), answered(id=upstream), result)
    name, _, value = line.decode().strip().partition(": ")
    assert name == "mcp-session-id"
    return value


def end(sessions: Sessions, token: str) -> None:
    session = sessions.open(token)
    assert session is not None
    sessions.end(session)
