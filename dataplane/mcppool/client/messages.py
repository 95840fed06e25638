"""Messages as a client writes them, in both eras: their bytes and their header lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from mcppool.wire import versions
from mcppool.wire.headers import NAME_ATTRIBUTE, encode_value
from mcppool.wire.media_types import EVENT_STREAM, MESSAGE_HEADERS
from mcppool.wire.rpc_request import RpcRequest

NO_MESSAGE: Final = RpcRequest(
    method=None, id=None, name=None, cursor=None, request_state=None, progress_token=None, protocol_version=None,
    has_capabilities=False, is_response=False, arguments=None,
)  # fmt: skip
"""Stands for the message of a GET and of a DELETE, which have none."""

_STREAM_LINES: Final = b"accept: " + EVENT_STREAM + b"\r\n"
_METHOD = re.compile(r"[\x21-\x7e]+")
_encode = msgspec.json.Encoder().encode


def modern_lines(method: str, params: Mapping[str, Any], param_headers: Mapping[str, str]) -> bytes:
    """The header lines of a 2026-07-28 request. Raises ValueError for an invalid method."""
    if not _METHOD.fullmatch(method):
        raise ValueError(f"{method!r} is not the name of a method")
    lines = [f"mcp-protocol-version: {versions.LATEST_MODERN}", f"mcp-method: {method}"]
    name = params.get(NAME_ATTRIBUTE.get(method, ""))
    if isinstance(name, str):
        lines.append(f"mcp-name: {encode_value(name)}")
    lines += [f"{name}: {value}" for name, value in param_headers.items()]
    return MESSAGE_HEADERS + "".join(f"{line}\r\n" for line in lines).encode("ascii")


def legacy_lines(version: str) -> bytes:
    """The header lines of a message on a session with this version."""
    return MESSAGE_HEADERS + b"mcp-protocol-version: %b\r\n" % version.encode("ascii")


def stream_lines(version: str) -> bytes:
    """The header lines of a session's GET."""
    return _STREAM_LINES + b"mcp-protocol-version: %b\r\n" % version.encode("ascii")


def request_bytes(id: int, method: str, params: Mapping[str, Any]) -> bytes:
    """A request."""
    return _encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def notification_bytes(method: str, params: Mapping[str, Any] | None = None) -> bytes:
    """A notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return _encode(message if params is None else {**message, "params": params})


def header_value(lines: bytes, name: bytes) -> bytes | None:
    """The value of a header among rendered lines, by its lower-case name."""
    for line in lines.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        if colon and key.strip().lower() == name:
            return value.strip()
    return None
