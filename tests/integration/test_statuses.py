"""No HTTP status, content type or body outside the protocol reaches a client, for any answer of its server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, ask, request
from tests.servers import Gateway, modern_request, pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy
from tests.servers.handshakes import Handshakes

SECTIONS = """
[pools.retry_policy]
max_attempts = 1
[pools.circuit_breaker]
failure_threshold = 1000
[pools.outlier_detection]
consecutive_failures = 1000
"""
PROTOCOL = {200, 400, 404, 405, 406, 409, 413, 415, 422, 429, 431}
OURS = {502, 503, 504}
STATUSES = [
    201, 202, 203, 204, 205, 206, 207, 208, 226, 250, 299, 300, 301, 302, 303, 304, 305, 307, 308, 350, 400, 401, 402,
    403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428,
    429, 431, 444, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599,
]  # fmt: skip
"""The statuses of a server: all of the IANA registry, and some that are in no registry."""
BODIES = {
    "a JSON-RPC error": ("application/json", None),
    "a page": ("text/html", b"<html><title>secret.internal</title></html>"),
    "JSON": ("application/json", b'{"message":"secret.internal"}'),
    "an event": ("text/event-stream", b'data: {"message":"secret.internal"}\n\n'),
    "nothing": ("text/plain", b""),
}
ODD = [("Set-Cookie", "a=secret.internal"), ("Location", "http://secret.internal/"), ("Server", "secret.internal")]
LEGACY = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}


class Odd:
    """A behaviour: requests of this method, verb and kind meet a status and a body of the test's choice."""

    def __init__(self, verb: str, then: Any = healthy, method: str = "tools/call") -> None:
        self.verb = verb
        self.method = method
        self.then = then
        self.status = 0
        self.body: tuple[str, bytes | None] = BODIES["nothing"]

    async def __call__(self, exchange: Exchange) -> None:
        posted = exchange.body.get("method") if isinstance(exchange.body, dict) else None
        asked = exchange.method == self.verb and (posted == self.method or self.verb != "POST")
        if self.status == 0 or not asked:
            await self.then(exchange)
            return
        content_type, body = self.body
        error = {"jsonrpc": "2.0", "id": (exchange.body or {}).get("id"), "error": {"code": -32600, "message": "no"}}
        said = json.dumps(error).encode() if body is None else body
        if self.status in (204, 304):
            said = b""
        await exchange.respond(said, status=f"{self.status} Odd", headers=ODD, content_type=content_type)


@asynccontextmanager
async def behind(gateway: GatewayFactory, odd: Odd) -> AsyncIterator[Gateway]:
    """A gateway with one server of this behaviour."""
    async with FaultServer(odd, everything=True) as server:
        yield await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))


def check(answer: Answer, what: str, statuses: set[int]) -> None:
    """Headers that every answer has, and headers that none has."""
    assert answer.status in statuses, what
    assert b"secret.internal" not in answer.body, what
    assert not {"set-cookie", "location"} & answer.headers.keys(), what
    assert "secret.internal" not in str(answer.headers), what
    if answer.body:
        assert answer.headers["content-type"] in ("application/json", "text/event-stream"), what


@pytest.mark.parametrize("body", BODIES)
async def test_a_modern_client_gets_a_status_of_the_protocol(body: str, gateway: GatewayFactory) -> None:
    odd = Odd("POST")
    odd.body = BODIES[body]
    async with behind(gateway, odd) as front:
        headers, message = modern_request("tools/call", {"name": "read", "arguments": {}})
        for odd.status in STATUSES:
            answer = await ask(front, request(message, headers))
            check(answer, f"{odd.status} with {body}", PROTOCOL | OURS)
            assert answer.json["id"] == 1
            assert "error" in answer.json
            if answer.status in OURS:
                assert not 400 <= odd.status < 500 or odd.status in (401, 403, 407, 408, 429)
            elif odd.status >= 400:
                assert answer.status == (odd.status if odd.status in PROTOCOL else 400)


@pytest.mark.parametrize("body", BODIES)
async def test_a_legacy_client_gets_its_errors_as_200(body: str, gateway: GatewayFactory) -> None:
    odd = Odd("POST", Handshakes())
    odd.body = BODIES[body]
    async with behind(gateway, odd) as front:
        session = await opened(front)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": {}}}
        for odd.status in STATUSES:
            answer = await ask(front, request(json.dumps(message).encode(), session))
            # A server's own 404 says that it does not know the session.
            check(answer, f"{odd.status} with {body}", {200, 404} if odd.status == 404 else {200})
            assert "error" in answer.json
            if odd.status == 404:
                odd.status = 0
                session = await opened(front)


@pytest.mark.parametrize("body", BODIES)
async def test_a_notification_is_acknowledged_and_a_session_ends_for_any_answer_of_the_server(
    body: str, gateway: GatewayFactory
) -> None:
    odd = Odd("DELETE", Handshakes())
    odd.body = BODIES[body]
    async with behind(gateway, odd) as front:
        for status in STATUSES[:: 1 if body == "a JSON-RPC error" else 7]:
            odd.status = 0
            session = await opened(front)
            odd.status = status
            answer = await ask(front, request(b"", session, method="DELETE"))
            check(answer, f"{status} with {body}", {405} if status == 405 else {200})
            assert answer.body == b""


@pytest.mark.parametrize("body", BODIES)
async def test_a_stream_that_the_server_does_not_open_is_405(body: str, gateway: GatewayFactory) -> None:
    odd = Odd("GET", Handshakes())
    odd.body = BODIES[body]
    async with behind(gateway, odd) as front:
        session = await opened(front)
        for status in [code for code in STATUSES if code not in (400, 404)]:  # which may be about the session
            odd.status = status
            answer = await ask(front, request(b"", session, method="GET"))
            check(answer, f"{status} with {body}", {405})


@pytest.mark.parametrize("body", ["a JSON-RPC error", "a page"])
async def test_a_refused_subscription_has_a_status_of_the_protocol(body: str, gateway: GatewayFactory) -> None:
    odd = Odd("POST", method="subscriptions/listen")
    odd.body = BODIES[body]
    async with behind(gateway, odd) as front:
        headers, message = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        for odd.status in (202, 226, 302, 304, 400, 404, 407, 418, 451):
            answer = await ask(front, request(message, headers))
            check(answer, f"{odd.status} with {body}", PROTOCOL | OURS)
            assert answer.json["id"] == 1
            assert "error" in answer.json


async def opened(front: Gateway) -> dict[str, str]:
    """The headers of a new session's requests."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "odd", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
    answer = await ask(front, request(json.dumps(message).encode(), LEGACY))
    assert answer.status == 200, answer.body
    return {**LEGACY, "Mcp-Session-Id": answer.headers["mcp-session-id"]}
