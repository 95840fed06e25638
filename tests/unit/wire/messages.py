"""Messages of JSON-RPC, one by one and by the hundred."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

CALL = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":2,"b":3},"_meta":'
    b'{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":'
    b'{"name":"curl","version":"8"},"io.modelcontextprotocol/clientCapabilities":{}}}}'
)
RESULT = (
    b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"5","type":"text"}],"isError":false,"resultType":"complete",'
    b'"structuredContent":{"result":5},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"demo","version":"1.2.3"}}}}'
)
text = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
ids = st.integers() | text


def write(message: Any, style: str) -> bytes:
    return {
        "compact": lambda: json.dumps(message, separators=(",", ":"), ensure_ascii=False),
        "spaced": lambda: json.dumps(message),
        "indented": lambda: json.dumps(message, indent=2, ensure_ascii=False),
    }[style]().encode()


styles = st.sampled_from(["compact", "spaced", "indented"])
members = st.sampled_from(
    ["jsonrpc", "id", "method", "params", "result", "error", "name", "_meta", "code", "isError", "x"]
)
odd = st.recursive(
    scalars | st.sampled_from(["2.0", "tools/call", "resources/read"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=6),
    max_leaves=15,
)
