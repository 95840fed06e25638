"""A client on the official Python SDK 1.x that signs in: `sign_in.py URL`.

It registers, signs in as the user of ../npm/issuer.mjs, calls the tool `add` with 2 and 3, and prints the text of the
result.
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.auth import OAuthClientMetadata

REDIRECT = "http://127.0.0.1:1/callback"  # nobody listens there: the browser goes no further


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


answer = {}


async def browse(url):
    async with httpx.AsyncClient() as browser:
        while not url.startswith(REDIRECT):
            url = urljoin(url, (await browser.get(url)).headers["location"])
    answer.update({name: values[0] for name, values in parse_qs(urlsplit(url).query).items()})


async def result():
    return answer["code"], answer.get("state")


async def main(url):
    metadata = OAuthClientMetadata(client_name="test", redirect_uris=[REDIRECT], token_endpoint_auth_method="none")
    auth = OAuthClientProvider(url, metadata, Storage(), browse, result)
    async with streamablehttp_client(url, auth=auth) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        print((await session.call_tool("add", {"a": 2, "b": 3})).content[0].text)


asyncio.run(main(sys.argv[1]))
