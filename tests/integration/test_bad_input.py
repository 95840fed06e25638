"""Mistakes of clients, over a real socket: the protocol's own error, and no harm to the next call."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.servers import Gateway, Replica, mcp1_client, modern_call, modern_request, pool_toml, urls_of

HEADERS, BODY = modern_call("add", {"a": 1, "b": 1})
LEGACY = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def post(front: Gateway, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
    """Status and decoded body."""
    async with aiohttp.ClientSession() as http, http.post(front.url, data=body, headers=headers) as response:
        text = await response.read()
        return response.status, json.loads(text) if text[:1] == b"{" else text


def without(header: str) -> dict[str, str]:
    return {name: value for name, value in HEADERS.items() if name != header}


def spoilt(**changes: Any) -> bytes:
    return json.dumps({**json.loads(BODY), **changes}).encode()


CASES: dict[str, tuple[Mapping[str, str], bytes, int, int | None]] = {
    "no JSON": (HEADERS, b"{nonsense", 400, -32700),
    "a batch": (LEGACY, b"[" + BODY + b"]", 400, -32600),
    "no JSON-RPC": (HEADERS, b'{"hello": "world"}', 400, -32600),
    "the header names another method": ({**HEADERS, "Mcp-Method": "tools/list"}, BODY, 400, -32020),
    "the header names another tool": ({**HEADERS, "Mcp-Name": "write"}, BODY, 400, -32020),
    "the tool is not in the header": (without("Mcp-Name"), BODY, 400, -32020),
    "the method is not in the header": (without("Mcp-Method"), BODY, 400, -32020),
    "a version nobody speaks": (
        {**HEADERS, "MCP-Protocol-Version": "2099-01-01"},
        BODY.replace(b"2026-07-28", b"2099-01-01"),
        400,
        -32022,
    ),
    "header and body name different versions": ({**HEADERS, "MCP-Protocol-Version": "2025-11-25"}, BODY, 400, -32020),
    "another content type": ({**HEADERS, "Content-Type": "text/plain"}, BODY, 415, None),
    "a session that nobody opened": (
        {**LEGACY, "Mcp-Session-Id": "made-up"},
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
        404,
        None,
    ),
}


async def test_each_gets_its_own_error_and_the_next_call_works(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    wrong: dict[str, tuple[Any, ...]] = {}
    for name, (headers, body, status, code) in CASES.items():
        seen_status, answer = await post(front, headers, body)
        seen_code = answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else None
        if seen_status != status or (code is not None and seen_code != code):
            wrong[name] = (seen_status, answer)
        assert (await post(front, HEADERS, BODY))[0] == 200, f"after {name}"
    assert not wrong


async def test_a_body_over_the_limit_is_refused_with_413(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    headers, body = modern_call("echo", {"value": "x" * 5_000_000})
    async with aiohttp.ClientSession() as http:
        try:
            async with http.post(front.url, data=io.BytesIO(body), headers=headers) as response:
                assert response.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the gateway need not read on, and may close while the body is still coming
    assert (await post(front, HEADERS, BODY))[0] == 200


@pytest.mark.parametrize(
    ("header", "value", "refusal"),
    [("Host", "evil.example", 421), ("Origin", "http://evil.example", 403)],
    ids=["host", "origin"],
)
async def test_a_page_of_another_site_is_kept_out(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], header: str, value: str, refusal: int
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    status, _ = await post(front, {**HEADERS, header: value}, BODY)
    assert status == refusal


async def test_an_unknown_method_is_the_servers_to_refuse(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    headers, body = modern_request("nobody/knows")
    status, answer = await post(front, headers, body)
    assert (status, answer["error"]["code"]) == (404, -32601)


async def test_get_is_for_streams_of_sessions_only(gateway: GatewayFactory, replicas: tuple[Replica, ...]) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    stream = {"Accept": "text/event-stream"}
    async with aiohttp.ClientSession() as http:
        # A server without sessions answers 405, and clients then go on without a stream; so does a pool until one of
        # its servers has opened a session.
        async with http.get(front.url, headers=stream) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "POST"
        async with http.get(front.url, headers={**stream, "MCP-Protocol-Version": "2026-07-28"}) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "POST"
        async with http.get(front.url, headers={**stream, "Mcp-Session-Id": "made-up"}) as response:
            assert response.status == 404
    async with (
        mcp1_client(front.url),
        aiohttp.ClientSession() as http,
        http.get(front.url, headers=stream) as response,
    ):
        assert response.status == 400
