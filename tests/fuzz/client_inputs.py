"""Input from clients: requests of both eras, whole and broken ones, one after another on a connection."""

from __future__ import annotations

import json
import ssl
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.pieces import broken, in_chunks, scalars, values
from tests.servers import modern_request

SESSION = b"@SESSION@"
"""Stands for the id of a session that is open."""
POOL = b"@POOL@"
"""Stands for the name of the pool that is called."""

METHODS = [
    "tools/call", "tools/list", "resources/read", "resources/list", "prompts/get", "server/discover",
    "subscriptions/listen", "initialize", "ping", "completion/complete", "tasks/get", "notifications/cancelled",
    "notifications/progress", "notifications/initialized", "resources/subscribe", "resources/unsubscribe",
    "logging/setLevel", "no/such", "", "x" * 300,
]  # fmt: skip
VERSIONS = ["2026-07-28"] * 3 + ["2025-11-25"] * 3 + ["2025-06-18", "2025-03-26", "2024-11-05", "1"]
META = "io.modelcontextprotocol/"
names = st.sampled_from(["read", "write", "large", "x", "", "é", "x" * 3000])
filters = st.fixed_dictionaries(
    {},
    optional={
        "toolsListChanged": st.one_of(st.just(True), values),
        "promptsListChanged": st.booleans(),
        "resourcesListChanged": st.booleans(),
        "resourceSubscriptions": st.one_of(st.lists(st.text(max_size=9), max_size=3), values),
        "taskIds": values,
    },
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A JSON-RPC message, or nearly one."""
    method = draw(st.sampled_from(METHODS))
    params: dict[str, Any] = draw(st.dictionaries(st.text(max_size=6), values, max_size=2))
    for name in ("name", "uri", "taskId", "cursor", "requestState", "requestId", "level"):
        if draw(st.integers(0, 3)) == 0:
            params[name] = draw(st.one_of(names, values))
    if draw(st.booleans()):
        params["arguments"] = draw(values)
    if draw(st.booleans()):
        params["_meta"] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    META + "protocolVersion": st.one_of(st.just("2026-07-28"), values),
                    META + "clientCapabilities": values,
                    META + "clientInfo": values,
                    "progressToken": values,
                },
            )
        )
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": draw(scalars), "method": method, "params": params}
    if draw(st.integers(0, 5)) == 0:
        del message[draw(st.sampled_from(sorted(message)))]
    if draw(st.integers(0, 5)) == 0:
        message[draw(st.sampled_from(["result", "error", "Method", "x"]))] = draw(values)
    return message


@st.composite
def legacy_messages(draw: st.DrawFn) -> dict[str, Any]:
    """A usual message of a client in a session of the handshake era."""
    id = draw(st.one_of(st.integers(0, 9), st.text(max_size=5)))
    match draw(st.integers(0, 6)):
        case 0:
            params = {
                "protocolVersion": draw(st.sampled_from(VERSIONS)),
                "capabilities": draw(values),
                "clientInfo": {},
            }
            return {"jsonrpc": "2.0", "id": id, "method": "initialize", "params": params}
        case 1:
            return {"jsonrpc": "2.0", "id": draw(st.sampled_from([7, "q", "x"])), "result": draw(values)}
        case 2:
            params = {"requestId": id, "reason": draw(st.text(max_size=9))}
            return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        case 3:
            method = draw(st.sampled_from(["resources/subscribe", "resources/unsubscribe"]))
            return {"jsonrpc": "2.0", "id": id, "method": method, "params": {"uri": draw(st.text(max_size=9))}}
        case 4:
            return {
                "jsonrpc": "2.0",
                "id": id,
                "method": "logging/setLevel",
                "params": {"level": draw(st.text(max_size=9))},
            }
        case _:
            params = {"name": draw(names), "arguments": draw(st.dictionaries(st.text(max_size=4), values, max_size=2))}
            if draw(st.booleans()):
                params["_meta"] = {"progressToken": draw(scalars)}
            return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


@st.composite
def _modern(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    match draw(st.integers(0, 3)):
        case 0:
            return modern_request("subscriptions/listen", {"notifications": draw(filters)})
        case 1:
            method = draw(st.sampled_from(["tools/list", "server/discover", "prompts/list", "resources/list"]))
            return modern_request(method, {"cursor": draw(st.text(max_size=3))} if draw(st.booleans()) else {})
        case _:
            arguments = draw(st.dictionaries(st.text(max_size=4), values, max_size=2))
            return modern_request("tools/call", {"name": draw(names), "arguments": arguments})


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One HTTP request: mostly a valid one."""
    verb = draw(st.sampled_from([b"POST"] * 9 + [b"GET", b"GET", b"DELETE", b"OPTIONS", b"HEAD", b"PUT"]))
    paths = [b"/" + POOL + b"/mcp"] * 9
    paths += [b"/" + POOL + b"/mcp?a=b", b"/mcp/", b"/", b"http://127.0.0.1/" + POOL + b"/mcp", b"*", b"/%2e%2e/"]
    path = draw(st.sampled_from(paths))
    headers: dict[str, str] = {}
    body = b""
    if verb in (b"GET", b"DELETE"):
        headers = {"Accept": draw(st.sampled_from(["text/event-stream"] * 3 + ["*/*", "application/json"]))}
    elif draw(st.booleans()):
        headers, body = draw(_modern())
    else:
        body = json.dumps(draw(st.one_of(messages(), legacy_messages()))).encode()
        accepts = ["application/json, text/event-stream"] * 3 + ["*/*", "text/html", "application/json"]
        headers = {"Content-Type": "application/json", "Accept": draw(st.sampled_from(accepts))}
        if draw(st.integers(0, 2)) == 0:
            headers["Mcp-Method"] = draw(st.sampled_from(METHODS))
    if "MCP-Protocol-Version" not in headers and draw(st.integers(0, 3)):
        headers["MCP-Protocol-Version"] = draw(st.sampled_from(VERSIONS))
    lines = [b"%b %b HTTP/1.1" % (verb, path), b"Host: 127.0.0.1"]
    lines += [
        f"{name}: {value}".encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
        for name, value in headers.items()
    ]
    if draw(st.integers(0, 2)):
        lines.append(b"Mcp-Session-Id: " + draw(st.sampled_from([SESSION] * 6 + [b"x", b"a.b", b"\xff", b"s" * 5000])))
    if verb == b"GET" and draw(st.booleans()):
        lines.append(b"Last-Event-ID: " + draw(st.sampled_from([b"7", b"", b"last", b"i" * 3000, b"\xe9"])))
    if draw(st.integers(0, 9)) == 0:
        odd = [
            b"Connection: close", b"Connection: Mcp-Session-Id", b"Expect: 100-continue", b"Origin: http://evil",
            b"Upgrade: websocket", b"Mcp-Param-A: b", b"X-Tenant: a", b"Accept-Encoding: gzip", b"Cookie: a=b",
        ]  # fmt: skip
        lines.append(draw(st.sampled_from(odd)))
    if body and draw(st.integers(0, 3)) == 0:
        lines.append(b"Transfer-Encoding: chunked")
        body = draw(in_chunks(body))
    elif body or draw(st.booleans()):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


conversations = st.lists(requests(), min_size=1, max_size=3).map(b"".join)
"""Requests that are sent without waiting for an answer."""
client_bytes = st.one_of(broken(requests()), broken(requests()), broken(conversations))


@st.composite
def _admin_requests(draw: st.DrawFn) -> bytes:
    verb = draw(st.sampled_from([b"GET"] * 6 + [b"HEAD", b"POST", b"OPTIONS", b"TRACE"]))
    paths = [
        b"/",
        b"/livez",
        b"/readyz",
        b"/health",
        b"/metrics",
        b"/configz",
        b"/status.json",
        b"/configz?settings=none",
    ]
    path = draw(
        st.sampled_from([*paths, b"/configz?settings=" + b"x" * 9000, b"/%00", b"/../etc/passwd", b"*", b"//a"])
    )
    lines = [
        b"%b %b HTTP/1.1" % (verb, path),
        b"Host: " + draw(st.sampled_from([b"127.0.0.1"] * 4 + [b"evil", b"", b"a:b:c"])),
    ]
    odd = [
        b"Authorization: Bearer x", b"Authorization: \xff", b"Content-Length: 3", b"Transfer-Encoding: chunked",
        b"Accept-Encoding: gzip", b"Range: bytes=0-", b"Upgrade: websocket", b"Expect: 100-continue",
        b"If-None-Match: *",
    ]  # fmt: skip
    lines += draw(st.lists(st.sampled_from(odd), max_size=2))
    return b"\r\n".join(lines) + b"\r\n\r\n"


admin_requests = st.one_of(_admin_requests(), broken(_admin_requests()))


def _hello() -> bytes:
    """The first bytes of a client that speaks TLS."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


hellos = broken(st.just(_hello()))
