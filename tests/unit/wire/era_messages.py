"""Requests of both eras, and refusals of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from mcppool.wire.era import Refusal, classify
from mcppool.wire.rpc_request import parse_request

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {VERSION: "2026-07-28", CAPABILITIES: {}}


def body(method: str = "tools/call", meta: object = META, id: object = 1, **params: object) -> bytes:
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params | {"_meta": meta}}
    return json.dumps(message if id is ... else {"id": id} | message).encode()


def headers(
    version: str | None = "2026-07-28", method: str | None = "tools/call", name: str | None = "add"
) -> dict[str, str]:
    given = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": name}
    return {key: value for key, value in given.items() if value is not None}


CALL = body(name="add", arguments={"a": 2, "b": 3})


def refused(sent: Mapping[str, str], message: bytes) -> tuple[int, int]:
    with pytest.raises(Refusal) as refusal:
        classify(sent, parse_request(message))
    return refusal.value.http_status, refusal.value.code
