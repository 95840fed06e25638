"""Calls and attempts in the words of OpenTelemetry's conventions for MCP.

https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from mcppool.observe.tracing.span import MAX_TEXT, Value
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed
from mcppool.wire.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RESOURCE_NOT_FOUND,
)
from mcppool.wire.raw_values import text_in

TOOL_ERROR: Final = "tool_error"
CANCELLED: Final = "cancelled"
OTHER: Final = "_OTHER"
"""`error.type` of a failure that has no name."""
LISTEN: Final = "subscriptions/listen"
_MISTAKES_OF_CLIENTS: Final = frozenset(
    {PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, RESOURCE_NOT_FOUND}
)
"""Codes that are no errors of a server."""
_HTTP: Final = {"network.transport": "tcp", "network.protocol.name": "http", "network.protocol.version": "1.1"}
_RESOURCES: Final = frozenset({"resources/read", "resources/subscribe", "resources/unsubscribe"})


def span_name(method: str, name: str) -> str:
    """The name of a span: the method, with the tool or prompt."""
    return f"{method} {name}"[:MAX_TEXT] if name and method in ("tools/call", "prompts/get") else method


def version_of(call: Call) -> str:
    """The version of the protocol that the call uses; empty if it is not known yet."""
    session = call.session
    return session.claims.version if session is not None else call.request.protocol_version or ""


def _attributes_of(method: str, name: str, version: str, pool: str) -> dict[str, Value]:
    """The attributes that both sides of a call have, whatever its id."""
    found: dict[str, Value] = {"mcp.method.name": method, "mcppool.pool": pool}
    if method == "tools/call":
        found["gen_ai.operation.name"] = "execute_tool"
        if name:
            found["gen_ai.tool.name"] = name
    elif name and method == "prompts/get":
        found["gen_ai.prompt.name"] = name
    elif name and method in _RESOURCES:
        found["mcp.resource.uri"] = name
    if version:
        found["mcp.protocol.version"] = version
    return found


def server_attributes(method: str, name: str, version: str, pool: str) -> dict[str, Value]:
    """The attributes that calls of clients have in common."""
    return _attributes_of(method, name, version, pool) | _HTTP


def client_attributes(method: str, name: str, version: str, pool: str, endpoint: Endpoint) -> dict[str, Value]:
    """The attributes that attempts at one endpoint have in common."""
    found = _attributes_of(method, name, version, pool)
    target = endpoint.target
    if target.path is not None:
        found["network.transport"] = "pipe"
    else:
        found |= {"server.address": target.host, "server.port": target.port, **_HTTP}
    found["mcppool.endpoint"] = endpoint.key[:MAX_TEXT]
    return found


def own_server_attributes(call: Call) -> dict[str, Value]:
    """The attributes that a client's call has besides."""
    found: dict[str, Value] = {}
    if call.request.id is not None:
        found["jsonrpc.request.id"] = shown_id(call.request.id)
    if call.session is not None:
        found["mcp.session.id"] = session_digest(call.session.token)
    if call.address:
        found["client.address"] = call.address
    return found


def own_client_attributes(call: Call, id: bytes | None) -> dict[str, Value]:
    """The attributes that an attempt has besides; `id` is the id of its request."""
    found: dict[str, Value] = {}
    if id is not None:
        found["jsonrpc.request.id"] = shown_id(id)
    session = call.session
    if session is not None and session.upstream_id:
        found["mcp.session.id"] = session_digest(session.upstream_id)
    return found


def shown_id(id: bytes) -> str:
    """The id of a request as text."""
    return (text_in(id) or id.decode("utf-8", "replace"))[:MAX_TEXT]


@lru_cache(maxsize=256)
def session_digest(id: str) -> str:
    """Names a session without its id: who knows the id can use the session."""
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def server_error(outcome: Outcome) -> str:
    """`error.type` of a client's call; empty if it has not failed, or failed by a mistake of its client."""
    status = outcome.status
    if status == "success":
        return ""
    if status in (TOOL_ERROR, CANCELLED):
        return status
    failure = outcome.failure or outcome.cut
    if outcome.code is not None:
        return "" if failure is None and outcome.code in _MISTAKES_OF_CLIENTS else str(outcome.code)
    return str(failure.reason) if failure is not None else OTHER


def client_error(outcome: Outcome) -> str:
    """`error.type` of an attempt that got an answer; empty if it is no error."""
    status = outcome.status
    if status == "success":
        return ""
    if outcome.cut is not None:
        return str(outcome.cut.reason)
    if status in (TOOL_ERROR, CANCELLED):
        return status
    return OTHER if outcome.code is None else str(outcome.code)


def failed_error(error: BaseException) -> str:
    """`error.type` of an attempt that ended without an answer."""
    return str(error.reason) if isinstance(error, AttemptFailed) else CANCELLED
