"""A server that wants a token for every request is found once the gateway has one, and clients hear the reason until
then."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from mcp import Client, MCPError

from tests.conftest import GatewayFactory
from tests.servers import aserving, pool_toml, text_of
from tests.servers.oauth import OidcProvider, oauth_replica
from tests.waiting import until

RESOURCE = "https://servers.example/mcp"


async def token_of(issuer: OidcProvider, secret: str) -> str:
    """An access token for the servers, made out for the gateway."""
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": "mcp:use"}
    headers = {"Authorization": aiohttp.encode_basic_auth("worker", secret)}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{issuer.issuer}/token", data=form, headers=headers) as response,
    ):
        return str((await response.json())["access_token"])


async def test_a_server_that_checks_every_request_serves_both_eras_once_a_token_is_there(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    issuer, file = OidcProvider(CLIENT_SECRET="a secret"), tmp_path / "token"
    file.write_text("not one of the issuer")
    eras: list[Literal["auto", "legacy"]] = ["auto", "legacy"]
    async with aserving(issuer, oauth_replica(issuer, RESOURCE)) as (_, server):
        outbound = f'[pools.auth.outbound]\ntype = "token"\ntoken = {{token_file = "{file}"}}\n'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=outbound))
        for mode in eras:
            with pytest.raises(ExceptionGroup) as raised:
                async with Client(front.url, mode=mode):
                    pass
            error = raised.value
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            assert isinstance(error, MCPError)
            assert error.data["reason"] == "upstream_auth"
        file.write_text(await token_of(issuer, "a secret"))
        await until(lambda: "checks are refused" not in front.get("/health")[1], "the gateway has the token")
        for mode, version in zip(eras, ("2026-07-28", "2025-11-25"), strict=True):
            async with Client(front.url, mode=mode) as client:
                assert client.protocol_version == version
                assert text_of(await client.call_tool("whoami")) == "worker"
