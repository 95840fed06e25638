"""Users sign in at a certified issuer, and the servers get tokens that the issuer gives in exchange for theirs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import GatewayFactory
from tests.servers import aserving, pool_toml, text_of
from tests.servers.oauth import OidcProvider, Storage, oauth_replica, signing_in

RESOURCE = "https://servers.example/mcp"
SECRET = "the gateway's own secret"


async def test_a_server_that_accepts_only_tokens_for_itself_sees_the_user_and_the_gateway_as_the_actor(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    issuer, file = OidcProvider(CLIENT_SECRET=SECRET), tmp_path / "secret"
    file.write_text(SECRET)
    sections = f"""[pools.auth.inbound]
type = "jwt"
jwt = {{issuers = [{{issuer = "{issuer.issuer}"}}]}}
[pools.auth.outbound]
type = "token_exchange"
[pools.auth.outbound.token_exchange]
issuer = "{issuer.issuer}"
client_id = "exchanger"
client_secret_file = "{file}"
resource = "{RESOURCE}"
scopes = ["mcp:use"]
actor = true
"""
    async with aserving(issuer, oauth_replica(issuer, RESOURCE)) as (_, server):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        storage = Storage()
        async with (
            signing_in(front.url, storage) as http,
            Client(streamable_http_client(front.url, http_client=http)) as client,
        ):
            claims = json.loads(text_of(await client.call_tool("claims")))
    assert (claims["iss"], claims["aud"], claims["sub"]) == (issuer.issuer, RESOURCE, "ann")
    assert (claims["client_id"], claims["act"], claims["scope"]) == ("exchanger", {"sub": "exchanger"}, "mcp:use")
    assert storage.tokens is not None
    assert storage.tokens.access_token not in front.log + server.log
