"""Servers that check tokens themselves, behind a gateway that is a front of the same resource."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, ask, request, tool_call
from tests.servers import aserving, free_port, modern_request, pool_toml, text_of
from tests.servers.oauth import OidcProvider, Storage, fastmcp_oauth, oauth_replica, signing_in
from tests.servers.process import HOST
from tests.waiting import until

PASSTHROUGH = '[pools.auth.inbound]\ntype = "passthrough"\n'


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_signs_in_where_the_servers_say_and_they_check_its_token(
    gateway: GatewayFactory, mode: Literal["auto", "legacy"]
) -> None:
    issuer, port = OidcProvider(), free_port()
    url = f"http://{HOST}:{port}/mcp"
    async with aserving(issuer, oauth_replica(issuer, url), oauth_replica(issuer, url)) as (_, one, two):
        front = await asyncio.to_thread(gateway, pool_toml(one.url, two.url, sections=PASSTHROUGH), port=port)
        await until(lambda: json.loads(front.get("/health")[1])["overall"] == "healthy", "checks get 401, and pass")
        bare = await ask(front, tool_call("whoami"))
        assert bare.status == 401
        metadata = f'resource_metadata="http://{HOST}:{port}/.well-known/oauth-protected-resource/mcp"'
        assert metadata in bare.headers["www-authenticate"]
        document = await ask(front, request(b"", {}, path="/.well-known/oauth-protected-resource/mcp", method="GET"))
        assert (document.status, document.json["resource"]) == (200, url)
        wrong = await ask(front, tool_call("whoami", more="Authorization: Bearer wrong\r\n"))
        assert wrong.status == 401
        assert 'error="invalid_token"' in wrong.headers["www-authenticate"]

        storage = Storage()
        async with (
            signing_in(url, storage) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            for _ in range(4):
                assert text_of(await client.call_tool("whoami")) == "ann"
        assert storage.tokens is not None
        token = storage.tokens.access_token
        assert token not in front.log
        for page in ("/metrics", "/configz", "/status.json"):
            assert token not in (await asyncio.to_thread(front.get, page))[1]
        assert (
            await asyncio.to_thread(front.metric, 'mcppool_auth_failures_total{pool="demo",failure="invalid"}')
        ) == 0
        headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        async with RawClient(front) as listener:
            await listener.send(request(body, headers | {"Authorization": f"Bearer {token}"}))
            status, _ = await listener.head()
            assert status == 200
            assert b"subscriptions/acknowledged" in await listener.chunk()
        assert (await ask(front, request(body, headers))).status == 401


async def test_clients_sign_in_at_a_fastmcp_server_that_issues_its_tokens_itself(gateway: GatewayFactory) -> None:
    port = free_port()
    async with aserving(fastmcp_oauth(f"http://{HOST}:{port}")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=PASSTHROUGH), port=port)
        for mode in ("auto", "legacy"):
            async with (
                signing_in(front.url, Storage()) as http,
                Client(streamable_http_client(front.url, http_client=http), mode=mode) as client,
            ):
                assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        page = await ask(front, request(b"{}", {"Content-Type": "application/json"}, path="/register", method="POST"))
        assert page.status == 404, "the gateway is no front of the authorization server"
