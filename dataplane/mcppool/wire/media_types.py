"""The media types of MCP over HTTP, and the header lines that name them."""

from __future__ import annotations

from typing import Final

JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream"

JSON_HEADERS: Final = b"content-type: " + JSON + b"\r\n"
ERROR_HEADERS: Final = JSON_HEADERS + b"cache-control: no-store\r\n"
"""Header lines of a JSON-RPC error: no proxy may cache one."""
EVENT_HEADERS: Final = (
    b"content-type: " + EVENT_STREAM + b"\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
)
"""Header lines of an event stream: proxies in front of the gateway must not buffer its events."""
MESSAGE_HEADERS: Final = JSON_HEADERS + b"accept: " + JSON + b", " + EVENT_STREAM + b"\r\n"
"""Header lines of a message that the gateway or the library sends to a server."""
