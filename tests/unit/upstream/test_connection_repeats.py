"""An answer with a repeated head is recognised without the parser, and has the same meaning."""

from __future__ import annotations

import asyncio
from typing import ClassVar, NamedTuple

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http import answer_head
from mcppool.upstream.http.answer_head import MAX_SHARED
from tests.unit.upstream.line import FORMS, JSON, Line, chunks, cut, read, sized

HEADS = [
    JSON,
    JSON + b"connection: close\r\n",
    JSON + b"keep-alive: timeout=7\r\n",
    b"Content-Type: application/json; charset=utf-8\r\ndate: Tue, 24 Nov 2026 10:00:00 GMT\r\n",
    b"content-type: text/event-stream\r\n",
    JSON + b"x: %b\r\n" % (b"y" * 5000),
    b"",
]
BODIES = [b"", b"{}", b'{"a":1}', b"x" * 100]


REAL_PARSER = httptools.HttpResponseParser

# The final answer is as long as its head declares
HINTS = b"HTTP/1.1 103 Early Hints\r\ncontent-length: %d\r\n\r\n%b" % (len(sized(b"{}")), sized(b"{}"))


class Seen(NamedTuple):
    """The results of one exchange for a caller and for the pool."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    content_type: bytes
    body: bytes
    failure: str
    reusable: bool
    keep_for: float | None
    waits: bool
    in_parts: bytes


async def exchange(line: Line, answer: bytes, places: list[int]) -> Seen:
    """One answer in pieces; an incomplete one has its connection ended."""
    waiting = line.ask()
    line.says(*cut(answer, places))
    waits = line.connection.waiting_since < float("inf")
    if not waiting.done() or (waiting.exception() is None and not waiting.result().complete):
        await line.ends()
    try:
        response = await waiting
        body = await read(response)
    except AttemptFailed as failure:
        line.connection.release()
        return Seen(0, (), b"", b"", type(failure).__name__, False, None, waits, b"")
    parts = await response.next_chunk() if response.whole and response.body else b""
    line.connection.release()
    keep_for = line.connection.keep_for
    headers = tuple(line for line in response.headers if line[0] != b"content-length")
    seen = (response.status, headers, response.content_type, body, "")
    return Seen(*seen, not line.connection.closing, keep_for, waits, parts)


def chunked(body: bytes, head: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n%b0\r\n\r\n" % (
        head, chunks(body[:1], body[1:]) if len(body) > 1 else b""
    )  # fmt: skip


def usual() -> st.SearchStrategy[bytes]:
    kinds = st.sampled_from([sized, chunked])
    return st.builds(lambda kind, body, head: kind(body, head), kinds, st.sampled_from(BODIES), st.sampled_from(HEADS))


def answers() -> st.SearchStrategy[bytes]:
    return st.one_of(usual(), st.sampled_from(list(FORMS.values())), broken(usual()))


@st.composite
def broken(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """With a byte put in, taken out or changed, or something before or behind it."""
    data = draw(whole)
    at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 1))
    new = draw(st.sampled_from([b"", b"0", b"9", b" ", b"\r\n", b"x", sized(b"{}"), b"HTTP/1.1 103 Hints\r\n\r\n"]))
    return data[:at] + new + data[at + length :]


@given(
    first=usual(),
    others=st.lists(st.tuples(answers(), st.lists(st.integers(0, 6000), max_size=2)), min_size=1, max_size=3),
)
@example(first=sized(b"{}"), others=[(sized(b"{}") + b"HTTP/1.1", [])])
@example(first=sized(b"{}"), others=[(sized(b"{}").replace(b": 2", b": 02"), [])])
@example(first=sized(b"{}"), others=[(HINTS, [])] * 2)
@example(first=sized(b"{}").replace(b"200 OK", b"204 No Content"), others=[(sized(b"{}"), [])])
@example(first=sized(b"{}", HEADS[2]), others=[(sized(b"{}", JSON + b"keep-alive: timeout=97\r\n"), [9])])
@example(
    first=sized(b"{}", HEADS[2] * 2 + b"keep-alive: max=9\r\n"),
    others=[(sized(b"{}", JSON + b"keep-alive: timeout=97\r\n"), [9])],
)
@settings(max_examples=400, deadline=None)
def test_an_answer_means_the_same_whatever_came_before_it(first: bytes, others: list[tuple[bytes, list[int]]]) -> None:
    async def check() -> None:
        line = Line()
        for answer, places in [(first, []), (first, []), *others, (first, [])]:
            if line.connection.closing:
                break
            fresh = Line()
            expected = await exchange(fresh, answer, places)
            before = line.connection.keep_for
            seen = await exchange(line, answer, places)
            if expected.keep_for is None and not expected.failure:
                expected = expected._replace(keep_for=before)  # a server's bytes cannot be taken back
            assert seen == expected
            fresh.transport.dispose()
        line.transport.dispose()

    asyncio.run(check())


class RecordingParser:
    """The parser, and the bytes that it got."""

    seen: ClassVar[list[bytes]] = []

    def __init__(self, protocol: object) -> None:
        self._real = REAL_PARSER(protocol)

    def feed_data(self, data: bytes) -> None:
        self.seen.append(data)
        self._real.feed_data(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


async def test_the_parser_does_not_see_an_answer_with_a_known_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httptools, "HttpResponseParser", RecordingParser)
    monkeypatch.setattr(RecordingParser, "seen", seen := [])
    line = Line()
    await exchange(line, sized(b"{}"), [])
    assert len(seen) == 1
    assert (await exchange(line, sized(b'{"a":1}'), [])).body == b'{"a":1}'
    assert len(seen) == 1
    await exchange(line, chunked(b"data: 1\n\n", HEADS[4]), [])
    assert len(seen) == 2
    assert (await exchange(line, chunked(b"data: 2\n\n", HEADS[4]), [])).body == b"data: 2\n\n"
    assert len(seen) == 2


@pytest.mark.parametrize("head", [HEADS[0], HEADS[4]])
async def test_a_chunked_answer_with_a_known_head_may_be_cut_anywhere(head: bytes) -> None:
    answer = chunked(b"data: 1\n\n", head)
    chunk_ends = [answer.index(b"\r\n\r\n") + 4, answer.index(b"\r\nd\r\n") + 5, len(answer) - 5]
    for first in range(len(answer)):
        for second in chunk_ends:
            line, fresh = Line(), Line()
            await exchange(line, answer, [])
            places = [first, second]
            assert await exchange(line, answer, places) == await exchange(fresh, answer, places)
            assert (await exchange(line, answer, [])).body == b"data: 1\n\n"
            line.transport.dispose()
            fresh.transport.dispose()


async def test_the_parser_does_not_see_the_chunks_of_an_answer_with_a_known_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(httptools, "HttpResponseParser", RecordingParser)
    monkeypatch.setattr(RecordingParser, "seen", seen := [])
    line = Line()
    answer = chunked(b"data: 1\n\n", HEADS[4])
    await exchange(line, answer, [])
    head, end = answer.index(b"\r\n\r\n") + 4, len(answer) - 5
    assert (await exchange(line, answer, [head, end])).body == b"data: 1\n\n"
    assert len(seen) == 1


async def test_the_head_of_an_answer_that_came_in_parts_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httptools, "HttpResponseParser", RecordingParser)
    monkeypatch.setattr(RecordingParser, "seen", seen := [])
    line = Line()
    answer = chunked(b"data: 1\n\n", HEADS[4])
    parts = [answer.index(b"\r\n\r\n") + 4, len(answer) - 5]
    await exchange(line, answer, parts)
    assert len(seen) == 3
    assert (await exchange(line, answer, parts)).body == b"data: 1\n\n"
    assert len(seen) == 3


async def test_connections_share_equal_heads_and_no_others() -> None:
    answers = [sized(b"{}"), sized(b'{"a":1}'), sized(b"{}", HEADS[2]), chunked(b"{}", JSON), chunked(b"{}", HEADS[4])]
    found = []
    for answer in answers * 2:
        line = Line()
        await exchange(line, answer, [])
        found.append(line.connection._reader._known)
        line.transport.dispose()
    first, second = found[: len(answers)], found[len(answers) :]
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert first[0] is first[1], "they differ in Content-Length only"
    assert len(set(map(id, first))) == len(answers) - 1


async def test_the_number_of_shared_heads_is_bounded() -> None:
    line = Line()
    for number in range(3 * MAX_SHARED):
        await exchange(line, sized(b"{}", JSON + b"x-number: %d\r\n" % number), [])
        assert len(answer_head.SHARED) <= MAX_SHARED
    line.transport.dispose()
