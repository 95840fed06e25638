"""Cross-origin requests of browsers (the Fetch standard's CORS). The gateway answers them itself, because servers do
not know its origins.

`listener.allowed_origins` lists the pages that may call. Such a page may send every header, because headers reach
servers by allow-list, and may read those of the protocol and of the gateway. There are no credentials: the gateway
neither sets nor accepts cookies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALLOWED_METHODS: Final = "POST, GET, DELETE"
ALLOWED_HEADERS: Final = (
    "accept, authorization, content-type, dpop, last-event-id, mcp-method, mcp-name, mcp-protocol-version, "
    "mcp-session-id"
)
"""Headers that a page may send, besides those that its preflight asks for."""
EXPOSED_HEADERS: Final = (
    "mcp-session-id, mcp-protocol-version, mcppool-request-id, retry-after, www-authenticate, dpop-nonce"
)
MAX_AGE: Final = 7200
"""Seconds that a browser remembers the answer to a preflight: the highest value that any browser honours."""

_REQUEST_METHOD: Final = "access-control-request-method"
_REQUEST_HEADERS: Final = "access-control-request-headers"
_PRIVATE_NETWORK: Final = "access-control-request-private-network"


def answer_headers(headers: Mapping[str, str]) -> bytes:
    """Header lines of an answer to a page of an allowed origin; none if the request comes from no page."""
    origin = headers.get("origin")
    if origin is None:
        return b""
    return (
        f"access-control-allow-origin: {origin}\r\naccess-control-expose-headers: {EXPOSED_HEADERS}\r\nvary: origin\r\n"
    ).encode("latin-1")


def is_preflight(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks with this `OPTIONS` request if a page may call."""
    return "origin" in headers and _REQUEST_METHOD in headers


def preflight_headers(headers: Mapping[str, str]) -> bytes:
    """Header lines of the answer to a preflight, beside `answer_headers`."""
    asked = headers.get(_REQUEST_HEADERS)
    allowed = ALLOWED_HEADERS if not asked else f"{ALLOWED_HEADERS}, {asked}"
    lines = (
        f"access-control-allow-methods: {ALLOWED_METHODS}\r\naccess-control-allow-headers: {allowed}\r\n"
        f"access-control-max-age: {MAX_AGE}\r\n"
    )
    if headers.get(_PRIVATE_NETWORK) == "true":
        lines += "access-control-allow-private-network: true\r\n"
    return lines.encode("latin-1")
