"""Asking the admin port of a running gateway."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:9090"
PATIENCE = 5.0
"""Seconds within which the gateway must answer."""


async def fetch(url: str, path: str, key: str) -> dict[str, Any]:
    """The JSON object at `path`, which has `key`. Raises ValueError where something else answers."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"is not an address such as {DEFAULT_URL}")
    import aiohttp  # here, because it takes as long to load as everything else that a subcommand needs

    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url.rstrip("/") + path) as response:
        if response.status != 200 or response.content_type != "application/json":
            raise ValueError(f"HTTP {response.status}: this is not a gateway's admin port")
        body = await response.json()
    if not isinstance(body, dict) or key not in body:
        raise ValueError("what answers is not a gateway's admin port")
    return body
