"""Asking the admin port of a running gateway."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlsplit

from mcppool.observe.bearer_token import read_token

DEFAULT_URL = "http://127.0.0.1:9090"
PATIENCE = 5.0
"""Seconds within which the gateway must answer."""


def add_address_options(parser: argparse.ArgumentParser) -> None:
    """Declare the address of the admin port and the bearer token for it."""
    parser.add_argument("url", metavar="ADMIN_URL", nargs="?", default=DEFAULT_URL, help=f"default {DEFAULT_URL}")
    parser.add_argument(
        "--token-file", metavar="FILE", help="file with the token that the gateway requires (metrics.token_file)"
    )


async def fetch(url: str, path: str, key: str, token_file: str | None = None) -> dict[str, Any]:
    """The JSON object at `path`, which has `key`. Raises ValueError where something else answers."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"is not an address such as {DEFAULT_URL}")
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    headers = {} if token_file is None else {"Authorization": f"Bearer {read_token(token_file).decode()}"}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
        session.get(url.rstrip("/") + path) as response,
    ):
        if response.status == 401:
            raise ValueError("the gateway requires the token of metrics.token_file: give --token-file")
        if response.status != 200 or response.content_type != "application/json":
            raise ValueError(f"HTTP {response.status}: this is not a gateway's admin port")
        body = await response.json()
    if not isinstance(body, dict) or key not in body:
        raise ValueError("this is not a gateway's admin port")
    return body
