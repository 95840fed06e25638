"""A head that differs from a known one in some values has the meaning that it has by itself."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcppool.gateway.head_notes import HeadNotes, notes_of
from mcppool.gateway.http.head_cache import Head, HeadCache
from mcppool.gateway.http.http_request import CREDENTIAL_HEADERS, HttpRequest, RequestLimits
from mcppool.gateway.http.reader import VARYING, RequestReader
from mcppool.gateway.http.validation import Malformed
from mcppool.gateway.http.varied_head import MAX_MODELS
from tests.attributes import attributes_of

LISTED = frozenset({"x-tenant", "x-b"})
NAMES = [
    "traceparent", "Traceparent", "tracestate", "X-Request-Id", "x-tenant", "x-b", "Mcp-Param-City", "mcp-name",
    "Mcp-Method", "MCP-Protocol-Version", "Mcp-Session-Id", "Accept", "Content-Type", "Content-Length", "Host",
    "Origin", "Connection", "Expect",
    "Transfer-Encoding", "Authorization", "x-key", "Cookie", "Upgrade", "Te", "Last-Event-ID",
]  # fmt: skip
VALUES = [
    "a", "b", "a b", "1", "2", "a: b", "", " a", "a ", "\ta", "\xe9", "\0", "a\r\nx: y", "a\nb", "close", "keep-alive",
    "text/event-stream", "application/json", "2026-07-28", "2025-06-18", "chunked", "100-continue", "x-tenant",
    "tools/call", "h2c", "x" * 5000,
]  # fmt: skip
READ = [
    "accept", "authorization", "content-type", "cookie", "host", "last-event-id", "mcp-method", "mcp-name",
    "mcp-protocol-version", "mcp-session-id", "origin", "x-key",
]  # fmt: skip
"""Headers whose values are read from the notes on a head: none of them may vary."""
Header = tuple[str, str]
HEADERS = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))
BODIES = st.sampled_from(["{}", '{"a":1}'])
TARGETS = ["/mcp", "/mcp?a=b", "/other"]


def request(headers: list[Header], target: str = "/mcp", body: str = "{}", separator: str = ": ") -> bytes:
    """A request; its length is the first header."""
    lines = [("Host", "a"), ("Content-Length", str(len(body))), *headers]
    head = "".join(f"{name}{separator}{value}\r\n" for name, value in lines)
    return f"POST {target} HTTP/1.1\r\n{head}\r\n{body}".encode("latin-1")


def facts_of(request: HttpRequest) -> dict[str, Any]:
    """All that is known of a request."""
    notes = notes_of(request.head)
    notes.forward_for(LISTED) if notes.listed is not LISTED else None
    known = {name: getattr(notes, name) for name in attributes_of(HeadNotes) - {"agreed", "headers", "_form", "_lines"}}
    known["headers"] = {name: notes.headers.get(name) for name in READ}
    if request.changes is not None:
        known |= {"forward": notes.forward_with(request.changes), "extra": notes.extra_with(request.changes)}
    parts = request.method, request.target, request.lines, request.body, request.http11, request.keep_alive
    return known | {"request": parts}


class Client:
    """One connection that sends requests; `read` are the facts of each, or why it was refused."""

    def __init__(self, limits: RequestLimits | None = None) -> None:
        self.read: list[Any] = []
        self.requests: list[HttpRequest] = []
        self.limits = limits or RequestLimits(100)
        self.limits.credential_headers = CREDENTIAL_HEADERS | {b"x-key"}
        self.reader = RequestReader(self.limits, self._take)

    def send(self, data: bytes) -> bool:
        try:
            self.reader.feed(data)
        except Malformed as malformed:
            self.read.append((malformed.status, malformed.reason))
            return False
        self.reader.free()
        return not (self.reader.behind or self.reader.in_body or self.reader.in_head or self.reader.done)

    def _take(self, request: HttpRequest) -> None:
        self.requests.append(request)
        self.read.append(facts_of(request))


@given(
    headers=st.lists(HEADERS, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(VALUES), BODIES), max_size=5),
    targets=st.lists(st.sampled_from(TARGETS), min_size=5, max_size=5),
)  # fmt: skip
@example(
    headers=[("traceparent", "a"), ("x-tenant", "b")], changes=[(0, "b", "{}"), (1, "a b", "{}")], targets=TARGETS * 2
)
@example(headers=[("traceparent", " a")], changes=[(0, "a", "{}"), (0, " a", "{}")], targets=TARGETS * 2)
@example(headers=[("traceparent", "a ")], changes=[(0, "a", "{}"), (0, "a ", "{}")], targets=TARGETS * 2)
@example(headers=[("traceparent", "")], changes=[(0, "a", "{}"), (0, "", "{}")], targets=TARGETS * 2)
def test_a_head_means_the_same_whatever_came_before_it(
    headers: list[Header], changes: list[tuple[int, str, str]], targets: list[str]
) -> None:
    client = Client()
    target, asked = targets[0], [request(headers, targets[0])]
    for (at, value, body), other in zip(changes, targets, strict=False):
        if headers:
            headers = [(name, value if i == at % len(headers) else old) for i, (name, old) in enumerate(headers)]
        target = other if value == "b" else target
        asked.append(request(headers, target, body))
    for data in asked:
        goes_on = client.send(data)
        alone = Client()
        alone.send(data)
        assert client.read[-1:] == alone.read
        if not goes_on:
            return


KNOWN = [
    b"POST /mcp HTTP/1.1", b"Host: a", b"X-B: 1%", b"Content-Length: 2", b"traceparent: 0a-1", b"X-Tenant: c d",
    b"Mcp-Name: a", b"X-Request-Id: 7", b"",
]  # fmt: skip
LINES = [
    b"X-B: 2%b", b"X-B: ", b"x-b: 2", b"X-B : 2", b"X-B:2", b" folded", b"Content-Length: 3", b"Content-Length: 02",
    b"content-length: 2", b"Transfer-Encoding: chunked", b"Host: b", b"Expect: 100-continue", b"Connection: x-b",
    b"Upgrade: h2c", b"traceparent: " + b"f" * 5000, b"traceparent: a\0b", b"traceparent: a\xe9", b"traceparent: a\tb",
    b"traceparent: -", b"Mcp-Name: b", b"Authorization: Bearer x", b"X-Key: 1", b"", b"{}",
]  # fmt: skip
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"]
PLACE = st.integers(0, len(KNOWN) - 1)
MUTATIONS = st.one_of(
    st.tuples(st.just("replace"), PLACE, st.sampled_from(LINES)),
    st.tuples(st.just("insert"), PLACE, st.sampled_from(LINES)),
    st.tuples(st.just("remove"), PLACE, st.just(b"")),
    st.tuples(st.just("move"), PLACE, st.just(b"")),
    st.tuples(st.just("end"), PLACE, st.sampled_from(ENDS)),
    st.tuples(st.just("append"), PLACE, st.binary(max_size=3)),
)


def mutated(mutations: list[tuple[str, int, bytes]], body: bytes) -> bytes:
    """The known head with changed, added, removed and moved lines, and with other ends of lines."""
    lines = [[line, b"\r\n"] for line in KNOWN]
    for kind, at, value in mutations:
        at %= len(lines)
        if kind == "replace":
            lines[at][0] = value
        elif kind == "insert":
            lines.insert(at, [value, b"\r\n"])
        elif kind == "remove" and len(lines) > 1:
            del lines[at]
        elif kind == "move":
            lines.insert(len(lines) // 2, lines.pop(at))
        elif kind == "end":
            lines[at][1] = value
        elif kind == "append":
            lines[at][0] += value
    return b"".join(line + end for line, end in lines) + body


@given(
    rounds=st.lists(
        st.tuples(st.lists(MUTATIONS, max_size=3), st.sampled_from([b"{}", b'{"a":1}', b"{}\r\n\r\n{}", b"{"])),
        max_size=4,
    )
)
@example(rounds=[([("replace", 4, b"traceparent: a\r\nContent-Length: 9")], b"{}")])
@example(rounds=[([("replace", 4, b"traceparent: a\r\n\r\n{}")], b"{}")])
@example(rounds=[([("replace", 4, b"traceparent: a\nHost: b")], b"{}"), ([("replace", 2, b"X-B: 2%b")], b"{}")])
def test_a_head_with_other_lines_means_the_same_on_a_connection_whose_heads_vary(
    rounds: list[tuple[list[tuple[str, int, bytes]], bytes]],
) -> None:
    client = Client()
    for varying in ([], [("replace", 4, b"traceparent: 0b-2"), ("replace", 2, b"X-B: 3")], []):
        assert client.send(mutated(varying, b"{}"))
    assert client.requests[1].changes is not None
    for mutations, body in rounds:
        data = mutated(mutations, body)
        alone, before = Client(), len(client.read)
        goes_on = client.send(data)
        alone.send(data)
        assert client.read[before:] == alone.read
        if not goes_on:
            return


def test_connections_that_vary_other_headers_of_one_head_do_not_disturb_each_other() -> None:
    first, second = Client(), Client()
    second.reader = RequestReader(first.limits, second._take)
    for number in range(10):
        assert first.send(request([("traceparent", f"a{number}"), ("x-request-id", "a0")]))
        assert second.send(request([("traceparent", "a0"), ("x-request-id", f"a{number}")]))
    assert len({id(each.head) for client in (first, second) for each in client.requests}) == 1
    later = [each for client in (first, second) for each in client.requests[2:]]
    assert len({id(each.changes[0]) for each in later if each.changes is not None}) == 1
    assert all(each.changes is not None for each in later)


def test_a_client_that_repeats_a_head_again_is_noticed() -> None:
    client = Client()
    for number in range(3):
        assert client.send(traced(number))
    for _ in range(2 * VARYING):
        assert client.send(traced(0))
    assert client.requests[-1].changes is None


def traced(number: int, *more: Header) -> bytes:
    return request([("traceparent", f"00-{number:032x}-01"), *more])


@pytest.mark.parametrize("more", [[], [("Authorization", "Bearer x")], [("Mcp-Name", "a")]])
def test_fresh_values_are_not_remembered(more: list[Header]) -> None:
    client = Client()
    for number in range(100):
        assert client.send(traced(number, *more))
        assert client.send(traced(number, *more, ("x-b", str(number))))
    assert len({id(each.head) for each in client.requests}) == 2
    shown = [dict(facts["request"][2])[b"traceparent"].decode() for facts in client.read[::2]]
    assert shown == [f"00-{n:032x}-01" for n in range(100)]


def test_a_connection_compares_with_few_heads() -> None:
    client = Client()
    for number in range(100):
        client.send(traced(number, ("Mcp-Name", str(number))))
    client.send(traced(0, ("Mcp-Name", str(100 - MAX_MODELS))))
    assert client.requests[-1].changes
    client.send(traced(0, ("Mcp-Name", "1")))
    assert not client.requests[-1].changes


def test_a_header_that_becomes_a_credential_is_read_again() -> None:
    client = Client()
    for number in range(3):
        client.send(request([("x-new", str(number))]))
    assert client.requests[-1].changes
    client.limits.credential_headers |= {b"x-new"}
    client.send(request([("x-new", "4")]))
    assert not client.requests[-1].changes


SESSIONS = ["a" * 40, "b" * 40, "c" * 40, "d" * 41]
LENGTHS = [b"2", b"7", b"-2", b"0", b"02", b"+2", b"99"]


def of_session(session: str, length: bytes = b"2", body: bytes = b"{}") -> bytes:
    return b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\nMcp-Session-Id: %b\r\nX-B: 1\r\n\r\n%b" % (
        length,
        session.encode(),
        body,
    )


@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(SESSIONS),
            st.sampled_from(LENGTHS),
            st.sampled_from([b"{}", b"{}\r\n\r\n{", b"", b"\r\n\r\n{}\r\n\r\n"]),
        ),
        max_size=6,
    )
)
@example(asked=[(SESSIONS[0], b"2", b"{}"), (SESSIONS[1], b"-2", b""), (SESSIONS[0], b"2", b"{}")])
def test_a_head_of_another_session_means_the_same_whatever_came_before_it(
    asked: list[tuple[str, bytes, bytes]],
) -> None:
    client = Client()
    for session in SESSIONS:
        assert client.send(of_session(session))
    for session, length, body in asked:
        alone, before = Client(client.limits), len(client.read)
        goes_on = client.send(of_session(session, length, body))
        alone.send(of_session(session, length, body))
        assert client.read[before:] == alone.read
        if not goes_on:
            return


def test_calls_of_many_sessions_on_one_connection_share_the_known_heads() -> None:
    client = Client()
    for number in range(12):
        assert client.send(of_session(SESSIONS[number % 4], b"7", b'{"a":1}'))
    assert len({id(each.head) for each in client.requests}) == 4
    assert [each.body for each in client.requests] == [b'{"a":1}'] * 12


def test_forgotten_heads_leave_memory_at_once() -> None:
    """Cycles of them would stay until the next full collection, with kilobytes for each session of a client."""

    def heads() -> int:
        return sum(isinstance(one, Head) for one in gc.get_objects())

    gc.collect()
    before = heads()
    limits = RequestLimits(100)
    limits.heads = HeadCache(2)
    client = Client(limits)
    gc.disable()
    try:
        for number in range(50):
            for value in ("a", "b"):
                client.send(request([("Mcp-Session-Id", f"s{number}"), ("traceparent", f"{value}{number}")]))
        for each in client.requests:
            notes_of(each.head)
        client.requests.clear()
        client.read.clear()
        assert heads() - before <= 2 + MAX_MODELS + 1
    finally:
        gc.enable()
