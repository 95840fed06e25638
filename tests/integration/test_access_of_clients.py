"""Access rules as clients of a gateway meet them: SDK clients of both eras, sessions, keys, tokens, streams."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client as McpClient
from mcp import MCPError

from tests.conftest import GatewayFactory
from tests.integration.event_streams import begin, event, getting, message_of, session_headers
from tests.integration.event_streams import send as send_blocks
from tests.integration.keyed_clients import add_key, keyed_client
from tests.integration.raw_http import Answer as RawAnswer
from tests.integration.raw_http import RawClient, ask, request, tool_call
from tests.integration.raw_session import RawSession
from tests.issuer import RESOURCE, Issuer
from tests.servers import (
    Replica,
    aserving,
    executions,
    mcp1_client,
    modern_request,
    pool_toml,
    sdk2_replica,
    text_of,
    urls_of,
)
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes
from tests.waiting import until
from tests.written_lines import written_json


# --- sessions ---------------------------------------------------------------------------------------------------------
async def test_a_session_sees_a_shortened_list_page_by_page_and_hears_of_no_resource_that_it_may_not_use(
    gateway: GatewayFactory,
) -> None:
    pages = {None: ["read", "exec"], "after exec": ["exec_2"], "after exec_2": ["search"]}

    class Paged(FaultServer):
        def result(self, rpc: dict[str, Any]) -> dict[str, Any]:
            if rpc.get("method") != "tools/list":
                return super().result(rpc)
            cursor = rpc.get("params", {}).get("cursor")
            names = pages[cursor]
            rest = list(pages)[list(pages).index(cursor) + 1 :]
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
            return {"tools": tools, **({"nextCursor": rest[0]} if rest else {})}

    streams: list[Exchange] = []

    async def stream(exchange: Exchange) -> None:
        await begin(exchange)
        streams.append(exchange)
        await exchange.reader.read(65536)
        exchange.close()

    async with Paged(Handshakes(stream=stream), everything=True) as server, aiohttp.ClientSession() as http:
        rules = 'name = "readers"\ntools = ["read", "search"]\nresources = ["docs://public/*"]\n'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=f"[[pools.access.allow]]\n{rules}"))
        session = RawSession(http)
        await session.open(front)
        found, text, cursor = [], "", None
        for _ in pages:
            params: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
            message = {"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": params}
            status, answer = await session.post(front, message)
            assert status == 200
            text += json.dumps(answer)
            found += [tool["name"] for tool in answer["result"]["tools"]]
            cursor = answer["result"].get("nextCursor")
        assert (found, cursor) == (["read", "search"], None)
        assert "exec" not in text

        async with getting(http, front, session) as blocks:
            await until(lambda: streams, "the stream is open")
            for uri in ("docs://secret/a", "docs://public/a"):
                update = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}
                await send_blocks(streams[0], event(update))
            assert message_of(await blocks.next())["params"]["uri"] == "docs://public/a"
        assert await session.delete(front) == 200


async def test_a_session_that_may_not_be_ended_goes_on(gateway: GatewayFactory) -> None:
    async with FaultServer(Handshakes(), everything=True) as server, aiohttp.ClientSession() as http:
        rules = '[[pools.access.deny]]\nname = "stay"\nmethods = ["DELETE", "GET"]\n'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=rules))
        session = RawSession(http)
        await session.open(front)
        assert await session.delete(front) == 405
        async with http.get(front.url, headers=session_headers(session)) as response:
            assert response.status == 405
        status, answer = await session.post(front, {"jsonrpc": "2.0", "id": 3, "method": "ping"})
        assert status == 200
        assert "error" not in answer


# --- with real servers and clients ------------------------------------------------------------------------------------
async def test_a_tool_that_the_file_denies_is_there_for_clients_of_neither_era(
    replicas: tuple[Replica, ...], gateway: GatewayFactory, ledger: Path
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections='[pools.tools."wr*"]\naccess = "deny"\n'))
    async with McpClient(front.url) as modern, mcp1_client(front.url) as legacy:
        for listed in ([tool.name for tool in (await modern.list_tools()).tools], await legacy.list_tools()):
            assert "add" in listed
            assert "write" not in listed
        with pytest.raises(MCPError, match="Unknown tool: write"):
            await modern.call_tool("write", {})
        assert "Unknown tool: write" in str(await legacy.call("write"))
        assert (await modern.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
    assert executions(ledger, "write") == []
    assert front.metric('mcppool_access_denied_total{mode="enforce",pool="demo",rule="tools.access"}') == 2


async def test_keys_in_different_groups_have_different_tools_and_a_stream_ends_when_its_client_may_no_longer_have_it(
    tmp_path: Path, gateway: GatewayFactory
) -> None:
    file, audit = tmp_path / "keys.toml", tmp_path / "audit.jsonl"
    ann, bob = add_key(file, "ann", "--group", "ops"), add_key(file, "bob", "--group", "dev")

    def pools(url: str, who: str) -> str:
        return pool_toml(
            url,
            sections=f"""
[pools.auth.inbound]
type = "api_keys"
api_keys = {{keys_file = "{file}"}}
[pools.audit]
type = "file"
file = "{audit}"
[[pools.access.allow]]
name = "ops"
groups = ["ops"]
[[pools.access.allow]]
name = "adders"
{who}
tools = ["add"]
""",
        )

    async with aserving(sdk2_replica("a")) as (server,):
        front = await asyncio.to_thread(gateway, pools(server.url, 'groups = ["dev"]'))
        async with keyed_client(front.url, ann) as client:
            assert {"add", "write"} <= {tool.name for tool in (await client.list_tools()).tools}
        async with keyed_client(front.url, bob) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
            assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
            with pytest.raises(MCPError, match="Unknown tool: write"):
                await client.call_tool("write", {})

        headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        async with RawClient(front) as listening:
            await listening.send(request(body, headers | {"Authorization": f"Bearer {bob}"}))
            assert (await listening.head())[0] == 200
            await listening.chunk()
            front.edit(pools(server.url, 'groups = ["nobody"]'))
            await asyncio.wait_for(listening.reader.read(), 90)  # its end

        async with keyed_client(front.url, ann) as client:
            assert text_of(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
        async with RawClient(front) as stranger:
            await stranger.send(request(body, headers | {"Authorization": f"Bearer {bob}x"}))
            assert (await stranger.answer()).status == 401
    await asyncio.to_thread(front.close)
    *lines, failed = written_json(audit)
    assert (failed["event"], failed["reason"], failed["client"]) == ("authentication_failed", "invalid", "127.0.0.1")
    said = [(line["event"], line["principal"]["name"], line["name"], line["allowed"], line["status"]) for line in lines]
    assert said == [
        ("call", "bob", "add", True, "success"),
        ("denied", "bob", "write", False, "rejected"),
        ("call", "ann", "add", True, "success"),
    ]
    assert lines[0]["policy"] != lines[2]["policy"]
    for key in (ann, bob):
        assert key not in audit.read_text()


async def test_a_token_without_a_scope_gets_the_challenge_to_ask_for_it_and_one_with_it_gets_the_answer(
    tmp_path: Path, gateway: GatewayFactory
) -> None:
    issuer, jwks = Issuer(), tmp_path / "jwks.json"
    jwks.write_bytes(issuer.jwks)
    sections = f"""
[pools.auth.inbound]
type = "jwt"
resource = "{RESOURCE}"
[[pools.auth.inbound.jwt.issuers]]
issuer = "{issuer.url}"
jwks_file = "{jwks}"
[[pools.access.allow]]
name = "readers"
scopes = ["mcp"]
tools = ["add"]
[[pools.access.allow]]
name = "writers"
scopes = ["mcp:write"]
claims = {{"realm.roles" = ["writer"]}}
tools = ["write"]
"""

    async with aserving(sdk2_replica("a")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))

        async def write(roles: list[str], scope: str) -> RawAnswer:
            shown = f"Authorization: Bearer {issuer.token(realm={'roles': roles}, scope=scope)}\r\n"
            return await ask(front, tool_call("write", more=shown))

        refused = await write(["writer"], "mcp")
        assert (refused.status, refused.json["error"]["data"]["reason"]) == (403, "insufficient_scope")
        challenge = refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="mcp mcp:write"' in challenge
        assert 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"' in challenge
        assert (await write(["writer"], "mcp mcp:write")).status == 200
        unknown = await write(["reader"], "mcp mcp:write")  # no scope would help
        assert (unknown.status, unknown.json["error"]["message"]) == (400, "Unknown tool: write")
        assert "www-authenticate" not in unknown.headers
