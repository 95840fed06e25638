"""Answers of servers: to calls, to the prober's questions about era and catalog, on event streams, on standard
output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.pieces import broken, in_chunks, nasty, values

ID = b'"@ID@"'
"""Stands for the id of the request that is answered."""

COMPLETE = {"resultType": "complete", "content": [{"type": "text", "text": "x"}]}
LISTED = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
CACHEABLE = {"ttlMs": 60_000, "cacheScope": "public", "resultType": "complete"}
TOOL = {
    "name": "read",
    "inputSchema": {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}},
    "annotations": {"readOnlyHint": True, "idempotentHint": True},
}
RESULTS: list[dict[str, Any]] = [
    COMPLETE,
    {**COMPLETE, "structuredContent": {"a": 1}, "isError": True},
    {"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create", "params": {}}}},
    {"resultType": "input_required", "requestState": "opaque"},
    {"resultType": "task", "task": {"taskId": "t", "status": "working"}},
    {**CACHEABLE, "contents": [{"uri": "file:///x", "text": "x"}]},
    {**CACHEABLE, "prompts": [], "nextCursor": "c"},
    {**LISTED, "tools": [TOOL, TOOL], "nextCursor": "c"},
    {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "serverInfo": {"name": "x"}, **LISTED},
    {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}},
    {},
]
RESULTS_OF: dict[str, dict[str, Any]] = {
    "tools/call": COMPLETE,
    "resources/read": {**CACHEABLE, "contents": [{"uri": "file:///x", "text": "x"}]},
    "prompts/list": {**CACHEABLE, "prompts": [], "nextCursor": "c"},
    "tools/list": {**LISTED, "tools": [TOOL, TOOL], "nextCursor": "c"},
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **LISTED},
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x"}},
}
ERRORS: list[dict[str, Any]] = [
    {"code": -32603, "message": "no"},
    {"code": -32601, "message": "unknown"},
    {"code": -32600, "message": "Session not found"},
    {"code": -32020, "message": "header"},
    {"code": -32021, "message": "capability", "data": {"requiredCapabilities": {"sampling": {}}}},
    {"code": -32022, "message": "version", "data": {"supported": ["2025-11-25", "2026-07-28"], "requested": "x"}},
]
NOTICES: list[dict[str, Any]] = [
    {"method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
    {"method": "notifications/message", "params": {"level": "info", "data": "x"}},
    {"method": "notifications/tools/list_changed"},
    {"method": "notifications/resources/updated", "params": {"uri": "file:///x"}},
    {"method": "notifications/subscriptions/acknowledged", "params": {"notifications": {"toolsListChanged": True}}},
    {"method": "notifications/cancelled", "params": {"requestId": 1}},
    {"id": 7, "method": "sampling/createMessage", "params": {}},
    {"id": "q", "method": "elicitation/create", "params": {"message": "?"}},
    {"id": "q", "method": "roots/list"},
    {"id": 7, "method": "ping"},
]
FIELDS = [
    b": comment\n", b"id: 7\n", b"id:\n", b"id: " + b"i" * 3000 + b"\n", b"retry: 5\n", b"retry: x\n",
    b"event: message\n",
    b"event: endpoint\n", b"data:\n", b"data\n", b"unknown: x\n",
]  # fmt: skip
PAUSE = b"@PAUSE@"
"""Where a script is cut into two writes."""


def encoded(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode().replace(ID, b"@ID@")


@st.composite
def altered(draw: st.DrawFn, known: list[dict[str, Any]]) -> dict[str, Any]:
    """One that is known, perhaps with a member replaced or missing."""
    found = dict(draw(st.sampled_from(known)))
    if found and draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from(sorted(found)))
        if draw(st.integers(0, 3)) == 0:
            del found[key]
        else:
            found[key] = draw(st.one_of(nasty, nasty, values))
            if isinstance(found.get("params"), dict) and draw(st.booleans()):
                found["params"] = {
                    **found["params"],
                    draw(st.sampled_from(sorted(found["params"]) or ["x"])): draw(nasty),
                }
    if draw(st.integers(0, 9)) == 0:
        found[draw(st.sampled_from(["_meta", "ttlMs", "nextCursor", "x", "é" * 50]))] = draw(values)
    return found


@st.composite
def answering(draw: st.DrawFn, about: str = "") -> bytes:
    """The message that answers a request of the method `about`."""
    if draw(st.integers(0, 4)) == 0:
        what: dict[str, Any] = {"error": draw(altered(ERRORS))}
    elif draw(st.integers(0, 9)) == 0:
        what = {"result": draw(values)}
    else:
        fit = RESULTS_OF.get(about)
        what = {"result": draw(altered([fit] if fit is not None and draw(st.integers(0, 3)) else RESULTS))}
    if draw(st.integers(0, 19)) == 0:
        what["error"] = draw(values)
    id = draw(st.sampled_from(["@ID@"] * 12 + [None, "other", 1.5, 10**30]))
    return encoded({"id": id, **what})


@st.composite
def notices(draw: st.DrawFn) -> bytes:
    """A message that answers nothing."""
    return encoded(draw(altered(NOTICES)))


@st.composite
def events(draw: st.DrawFn, about: str, more: bool) -> bytes:
    """An event stream, perhaps with the answer, `more` perhaps with nothing after it."""
    acknowledged = about == "subscriptions/listen" and draw(st.integers(0, 3))
    end = draw(st.sampled_from([b"\n"] * 4 + [b"\r\n", b"\r"]))
    blocks = [b"data: " + encoded(NOTICES[4]) + b"\n\n"] if acknowledged else []
    for message in draw(st.lists(notices(), max_size=3)):
        fields = b"".join(draw(st.lists(st.sampled_from(FIELDS), max_size=2)))
        blocks.append(fields + b"data: " + message + b"\n\n")
        if draw(st.integers(0, 3)) == 0:
            blocks.append(draw(st.sampled_from(FIELDS)) + b"\n")
        if draw(st.integers(0, 5)) == 0:
            blocks.append(PAUSE)
    if draw(st.integers(0, 5)) or not more:
        fields = draw(st.sampled_from([b"", b"event: message\n", b"id: last\n"]))
        answer = draw(answering(about))
        half = draw(st.integers(0, len(answer)))
        data = answer if draw(st.integers(0, 7)) else answer[:half] + b"\ndata: " + answer[half:]
        blocks.append(fields + b"data: " + data + b"\n\n")
        if draw(st.integers(0, 5)) == 0:
            blocks.append(b"data: " + draw(notices()) + b"\n\n")
    return b"".join(blocks).replace(b"\n", end)


HEADERS = [
    b"Retry-After: 1", b"Retry-After: x", b"Mcp-Session-Id: s", b"Mcp-Session-Id: " + b"s" * 5000, b"X: y",
    b"Connection: close", b"Keep-Alive: timeout=0", b"Connection: upgrade", b"Content-Encoding: gzip", b"Location: /x",
    b"Cache-Control: no-store", b"WWW-Authenticate: Bearer", b"Set-Cookie: a=b", b"Access-Control-Allow-Origin: *",
]  # fmt: skip
STATUSES = [200] * 12 + [202, 204, 205, 206, 301, 304, 400, 401, 404, 405, 409, 425, 429, 500, 503, 99, 1000, 101, 100]


@st.composite
def answers(draw: st.DrawFn, about: str = "") -> bytes:
    """A whole HTTP answer to a request of the method or verb `about`."""
    stream = about in STREAMS
    status = draw(st.sampled_from(STATUSES))
    kinds = [b"application/json"] * 4 + [b"text/event-stream"] * 4 + [b"text/html", b"application/json; charset=x", b""]
    kind = b"text/event-stream" if stream and draw(st.integers(0, 6)) else draw(st.sampled_from(kinds))
    body = b"<html>"
    if kind == b"text/event-stream":
        body = draw(events(about, stream))
    elif draw(st.integers(0, 9)):
        body = draw(answering(about))
    lines = [b"HTTP/1.%d %d X" % (draw(st.sampled_from([1] * 9 + [0])), status)]
    if kind:
        lines.append(b"Content-Type: " + kind)
    lines += draw(st.lists(st.sampled_from(HEADERS), max_size=2))
    match draw(st.integers(0, 9)):
        case 0:
            pass  # the end of the connection ends the body
        case 1 | 2 | 3 | 4:
            lines.append(b"Transfer-Encoding: chunked")
            body = draw(in_chunks(body.replace(PAUSE, b"")))
        case _:
            lines.append(b"Content-Length: %d" % len(body.replace(PAUSE, b"")))
    if draw(st.integers(0, 19)) == 0:
        lines[0] = (
            draw(st.sampled_from([b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints"])) + b"\r\n\r\n" + lines[0]
        )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


STREAMS = ("GET", "subscriptions/listen")


def lies(about: str) -> st.SearchStrategy[bytes]:
    """Answers to a request of the method or verb `about`, some of them broken."""
    return st.one_of(answers(about), broken(answers(about)))


def lies_for(abouts: Sequence[str]) -> st.SearchStrategy[tuple[int, bytes]]:
    """The number of one of these, and an answer to it."""
    return st.integers(0, len(abouts) - 1).flatmap(lambda number: st.tuples(st.just(number), lies(abouts[number])))


@st.composite
def program_output(draw: st.DrawFn) -> bytes:
    """The output of a local server for a request: messages, and invalid lines."""
    lines = draw(
        st.lists(st.one_of(notices(), st.sampled_from([b"", b"starting ...", b"\xff\xfe", b"[]", b"null"])), max_size=3)
    )
    lines.insert(draw(st.integers(0, len(lines))), draw(answering()))
    if draw(st.integers(0, 9)) == 0:
        lines.append(draw(answering()))
    end = draw(st.sampled_from([b"\n"] * 6 + [b"\r\n", b"\n\n"]))
    return b"".join(line + end for line in lines)


program_outputs = broken(program_output())
