"""What a client sends and what a server answers: well-formed, odd, or broken in a few places."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.servers import modern_request

PARTS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b'"',
    b":",
    b",",
    b"\\ud800",
    b"\\u0000",
    b"1e999",
    b"-0",
    b"null",
    b"9" * 400,
    b"[" * 600,
    b'{"a":' * 300,
    b"0\r\n\r\n",
    b"\r\n\r\n",
    b"data: ",
    b"id: ",
    b"retry: 1\n",
    b"event: x\n",
    b"\xef\xbb\xbf",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Connection: close\r\n",
    b"Mcp-Session-Id: x\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"Last-Event-ID: \xe9\r\n",
    b"Mcp-Name: =?base64?!?=\r\n",
    b"x" * 70_000,
]
METHODS = [
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "server/discover",
    "subscriptions/listen",
    "initialize",
    "ping",
    "completion/complete",
    "tasks/get",
    "notifications/cancelled",
    "notifications/progress",
    "logging/setLevel",
    "no/such",
    "",
    "x" * 300,
]
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'
EVENTS = [b": x\n\n", b"id: 7\n\n", b"retry: 5\n\n", b"data: %b\n\n" % PROGRESS, b"data: {}\n\n"]
ANSWER_HEADERS = [b"Retry-After: 1", b"Mcp-Session-Id: s", b"X: y", b"Connection: close", b"Keep-Alive: timeout=0"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**18, 10**40),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.just("x" * 5000),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
names = st.sampled_from(["read", "write", "large", "x", "", "é", "x" * 3000])
META = "io.modelcontextprotocol/"


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """With some parts put in, taken out or doubled, and perhaps cut short."""
    data = draw(whole)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 8))
        data = data[:at] + draw(st.one_of(st.sampled_from(PARTS), st.binary(max_size=4))) + data[at + cut :]
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A JSON-RPC message, or nearly one."""
    method = draw(st.sampled_from(METHODS))
    params: dict[str, Any] = draw(st.dictionaries(st.text(max_size=6), values, max_size=2))
    for name in ("name", "uri", "taskId", "cursor", "requestState"):
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
def requests(draw: st.DrawFn) -> bytes:
    """One HTTP request: mostly such as the listener takes."""
    verb = draw(st.sampled_from([b"POST"] * 6 + [b"GET", b"DELETE", b"OPTIONS", b"HEAD"]))
    path = draw(st.sampled_from([b"/mcp"] * 6 + [b"/mcp?a=b", b"/mcp/", b"/demo/mcp", b"/", b"http://127.0.0.1/mcp"]))
    if draw(st.booleans()):
        headers, body = modern_request(
            "tools/call",
            {"name": draw(names), "arguments": draw(st.dictionaries(st.text(max_size=4), values, max_size=2))},
        )
    else:
        body = json.dumps(draw(messages())).encode()
        headers = {
            "Content-Type": "application/json",
            "Accept": draw(st.sampled_from(["application/json, text/event-stream", "*/*", "text/html"])),
            "MCP-Protocol-Version": draw(
                st.sampled_from(["2026-07-28", "2025-11-25", "2025-06-18", "2024-11-05", "1"])
            ),
        }
        if draw(st.booleans()):
            headers["Mcp-Method"] = draw(st.sampled_from(METHODS))
    lines = [b"%b %b HTTP/1.1" % (verb, path), b"Host: 127.0.0.1"]
    lines += [
        f"{name}: {value}".encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
        for name, value in headers.items()
    ]
    if draw(st.integers(0, 3)) == 0:
        lines.append(b"Transfer-Encoding: chunked")
        size = draw(st.sampled_from([1, 2, 7, 16, 1000]))
        body = b"".join(
            b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)
        )
        body += b"0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """What a server sends for a request whose id is `@ID@`."""
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": "@ID@"}
    answer[draw(st.sampled_from(["result"] * 4 + ["error"]))] = draw(
        st.one_of(
            st.just({"resultType": "complete", "content": [{"type": "text", "text": "x"}]}),
            st.just({"code": -32603, "message": "no"}),
            values,
        )
    )
    body = json.dumps(answer).encode().replace(b'"@ID@"', b"@ID@")
    status = draw(st.sampled_from([200] * 8 + [202, 204, 304, 400, 404, 429, 500, 503, 99, 1000]))
    kind = draw(st.sampled_from(["application/json"] * 3 + ["text/event-stream"] * 3 + ["text/html"]))
    if kind == "text/event-stream":
        events = draw(st.lists(st.sampled_from(EVENTS), max_size=3))
        body = b"".join(events) + b"event: message\ndata: " + body + b"\n\n"
    lines = [b"HTTP/1.1 %d X" % status, b"Content-Type: " + kind.encode()]
    lines += draw(
        st.lists(
            st.sampled_from(
                [b"Retry-After: 1", b"Mcp-Session-Id: s", b"X: y", b"Connection: close", b"Keep-Alive: timeout=0"]
            ),
            max_size=3,
        )
    )
    if draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, draw(st.sampled_from([b"", b"Trailer: x\r\n"])))
    else:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
