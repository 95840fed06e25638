"""Reads the answer of an HTTP server that may be anything: a bounded part of it, as a JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiohttp import ClientResponse

MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of an answer that are read."""


async def read_body(response: ClientResponse) -> bytes:
    """Return the body. Raises ValueError if it is longer than `MAX_BODY`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise ValueError(f"the answer is longer than {MAX_BODY} bytes")
    return bytes(body)


def json_object(data: bytes | str) -> dict[str, Any]:
    """Return the object in a JSON text. Raises ValueError for anything else, however deep."""
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} in its place")
    return value
