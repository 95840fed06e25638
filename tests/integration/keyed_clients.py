"""Clients with API keys."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from mcppool.cli.main import main
from tests.servers import text_of


def add_key(file: Path, name: str, *more: str) -> str:
    """A key as `mcppool keys add` makes it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(["keys", "add", str(file), name, *more]) == 0
    return out.getvalue().strip()


@contextlib.asynccontextmanager
async def keyed_client(url: str, key: str) -> AsyncIterator[Client]:
    """The official SDK's client, with a key."""
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def sdk_call(url: str, key: str) -> str:
    """The answer to one call of the official SDK's client."""
    async with keyed_client(url, key) as client:
        return text_of(await client.call_tool("add", {"a": 2, "b": 3}))
