"""Clients of the SDK that sign in at the servers of the conformance suite, each through a gateway of its own.

The suite's server takes the gateway's place in the network: its URL is what clients type, and the client's connections
to it go to the gateway, which is its front under the same URL.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

from mcppool.discovery.static import FixedSource
from mcppool.gateway.gateway import Gateway
from mcppool.spec import loads_toml
from tests.conformance.suite import LEGACY
from tests.servers.oauth import Storage

REDIRECT = "http://localhost:3030/callback"  # nothing listens there
CLIENT_METADATA_URL = "https://conformance-test.local/client-metadata.json"  # the one that the suite expects


class Redirected(httpx2.AsyncHTTPTransport):
    """Connections to `origin` go to a port of this machine. Each request has a connection of its own: the suite's
    servers close idle ones after 5 s, and a client that uses one at that moment fails."""

    def __init__(self, origin: str, port: int) -> None:
        super().__init__(limits=httpx2.Limits(max_keepalive_connections=0))
        self._origin, self._port = origin, port

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.netloc.decode() == self._origin:
            request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)


@asynccontextmanager
async def front_of(url: str) -> AsyncIterator[int]:
    """A gateway in front of the server at `url`, known to clients under the same URL; its port."""
    toml = f"""
profile = "test"
[listener]
listen = "127.0.0.1:0"
external_url = "{url.removesuffix("/mcp")}"
[metrics]
enabled = false
[[pools]]
name = "demo"
endpoints = ["{url}"]
auth = {{inbound = {{type = "passthrough"}}}}
"""
    gateway = Gateway(FixedSource(loads_toml(toml)))
    await gateway.start()
    try:
        yield gateway.address[1]
    finally:
        await gateway.stop()


def description() -> OAuthClientMetadata:
    """What a client says of itself; the SDK changes it while it signs in, so each client has its own."""
    return OAuthClientMetadata.model_validate(
        {
            "client_name": "mcppool-tests", "redirect_uris": [REDIRECT], "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token"],
        }
    )  # fmt: skip


def storage_of(context: dict[str, Any]) -> Storage:
    """The memory of a client that is registered already if the scenario says so."""
    storage = Storage()
    if "client_id" in context:
        secret = context.get("client_secret")
        storage.client = OAuthClientInformationFull.model_validate(
            {
                "client_id": context["client_id"], "client_secret": secret, "redirect_uris": [REDIRECT],
                "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
            }
        )  # fmt: skip
    return storage


async def play(url: str, revision: str, context: dict[str, Any]) -> None:
    """Sign in, list the tools and call each. Raises what the client raises."""
    answered: dict[str, str] = {}

    async def open_page(page: str) -> None:
        async with httpx2.AsyncClient() as browser:
            location = (await browser.get(page, follow_redirects=False)).headers["location"]
        answered.update({name: values[0] for name, values in parse_qs(urlsplit(location).query).items()})

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(answered)

    auth = OAuthClientProvider(
        url, description(), storage_of(context), open_page, come_back, client_metadata_url=CLIENT_METADATA_URL
    )
    async with front_of(url) as port:
        http = httpx2.AsyncClient(auth=auth, timeout=120, transport=Redirected(urlsplit(url).netloc, port))
        mode = "legacy" if revision == LEGACY else "auto"
        async with http, Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            for tool in (await client.list_tools()).tools:
                await client.call_tool(tool.name, {})


@asynccontextmanager
async def clients(place: Path) -> AsyncIterator[None]:
    """Play the scenarios that `hand_over.py` brings to the socket file `place`, at the same time."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scenario = json.loads(await reader.readline())
        try:
            await play(scenario["url"], scenario["revision"], scenario["context"])
            words = "done"
        except Exception:
            words = traceback.format_exc()
        writer.write(words.encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, place):
        yield
