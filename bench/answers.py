"""The answers of the fast upstream: the parts in which a server writes them.

Forms, by the name of the tool: `echo` is JSON with a Content-Length. `echo_uvicorn` is an event stream as the SDK's
Python servers write it on uvicorn: head, event and last chunk in writes of their own. `echo_node` is one as Node and
the TypeScript SDK write it: all in one write, `jsonrpc` and `id` after the result. `echo_progress` is the former with
two progress events before the answer, if the request has a progress token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

Parts = tuple[bytes, ...]

UVICORN_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Sun, 29 Nov 2026 21:51:42 GMT\r\nserver: uvicorn\r\n"
    b"cache-control: no-cache, no-transform\r\nconnection: keep-alive\r\ncontent-type: text/event-stream\r\n"
    b"x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
)
NODE_HEAD = (
    b"HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\ncache-control: no-cache, no-transform\r\nconnection: keep-alive\r\n"
    b"content-type: text/event-stream\r\nx-accel-buffering: no\r\nDate: Sun, 29 Nov 2026 21:51:42 GMT\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
PROGRESS_EVENTS = 2
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%b,"progress":%d,"total":%d}}'
LINE = rb"2026-11-29T21:51:42Z info \"search\" took 17 ms\n"
"""A line of a text, as it stands in JSON."""


@lru_cache(8)
def filler(size: int) -> bytes:
    """Return a JSON string of about that many bytes, with the escapes that a text has; `size` includes its quotes."""
    lines, rest = divmod(max(0, size - 2), len(LINE))
    return b'"%b%b"' % (LINE * lines, b"." * rest)


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def json_parts(id: bytes, result: bytes, _token: bytes) -> Parts:
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, result)
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),)


def uvicorn_event(message: bytes) -> bytes:
    return chunk(b"event: message\r\ndata: %b\r\n\r\n" % message)


def uvicorn_parts(id: bytes, result: bytes, _token: bytes) -> Parts:
    answer = uvicorn_event(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, result))
    return UVICORN_HEAD, answer, LAST_CHUNK


def progress_parts(id: bytes, result: bytes, token: bytes) -> Parts:
    events = []
    if token:
        events = [uvicorn_event(PROGRESS % (token, n + 1, PROGRESS_EVENTS)) for n in range(PROGRESS_EVENTS)]
    head, answer, last = uvicorn_parts(id, result, token)
    return head, *events, answer, last


def node_parts(id: bytes, result: bytes, _token: bytes) -> Parts:
    event = b'event: message\ndata: {"result":%b,"jsonrpc":"2.0","id":%b}\n\n' % (result, id)
    return (NODE_HEAD + chunk(event) + LAST_CHUNK,)


FORMS: dict[str, Callable[[bytes, bytes, bytes], Parts]] = {
    "echo": json_parts,
    "echo_uvicorn": uvicorn_parts,
    "echo_node": node_parts,
    "echo_progress": progress_parts,
}
