"""A gateway, servers and sessions for tests of what passes between clients and servers."""

from __future__ import annotations

import asyncio
import json

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, request
from tests.servers import Gateway
from tests.servers.faults import Behaviour, Exchange, healthy

PATIENT = """
[pools.circuit_breaker]
failure_threshold = 1000
[pools.outlier_detection]
consecutive_failures = 1000
"""


LEGACY = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def serving(gateway: GatewayFactory, pools: str) -> Gateway:
    """A gateway for servers that run in this process."""
    return await asyncio.to_thread(gateway, pools + PATIENT)


def says(status: str, payload: bytes, content_type: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.respond(payload, status=status, content_type=content_type)

    return behave


async def legacy_session(served: Gateway, path: str = "/mcp") -> dict[str, str]:
    """The headers of a session's next request."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode()
    opened = await ask(served, request(body, LEGACY, path=path))
    return LEGACY | {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": opened.headers["mcp-session-id"]}


def with_sessions(then: Behaviour = healthy) -> Behaviour:
    """A legacy server; everything but the handshake and checks meets `then`."""

    async def behave(exchange: Exchange) -> None:
        method = exchange.body.get("method") if isinstance(exchange.body, dict) else None
        if method == "server/discover":
            error = {"code": -32601, "message": "no"}
            await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}, status="404 x")
        elif method == "initialize":
            await exchange.respond(exchange.answer(), headers=[("Mcp-Session-Id", "s-1")])
        elif method in ("ping", "tools/list", "notifications/initialized"):
            await healthy(exchange)
        else:
            await then(exchange)

    return behave
