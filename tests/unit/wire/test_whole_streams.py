"""Bodies and event streams that have come whole are read as the parsers read them."""

from __future__ import annotations

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from mcppool.wire.chunks import LAST_CHUNK, MAX_CHUNKS, whole_chunks
from mcppool.wire.single_event import data_of
from mcppool.wire.sse import EventParser

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PARTS = st.sampled_from(
    [b"1\r\nx\r\n", b"2\r\n\r\n\r\n", b"0a\r\n0123456789\r\n", b"1;x=y\r\nx\r\n", b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n",
     b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b"-1\r\n", b"1 \r\nx\r\n", b"1\nx\n", b"\r\n", b"0", b"x"]
)  # fmt: skip


class Parsed:
    """The first message of some bytes, as the parser reads it."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.messages = 0
        try:
            httptools.HttpResponseParser(self).feed_data(data)
        except httptools.HttpParserError:
            self.messages = 0

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.messages += 1


@given(st.lists(PARTS, max_size=6), st.booleans())
@example([b"1\r\nx\r\n"] * MAX_CHUNKS, True)
@example([b"1\r\nx\r\n"] * (MAX_CHUNKS + 2), True)
def test_whole_chunks_are_those_that_the_parser_reads(parts: list[bytes], ends: bool) -> None:
    data = HEAD + b"".join(parts) + (LAST_CHUNK if ends else b"")
    found = whole_chunks(data, len(HEAD))
    if found is not None:
        body, last = found
        parsed, with_end = Parsed(data), Parsed(data + LAST_CHUNK)
        assert (parsed.messages, parsed.body) == (int(last), body)
        assert last or (with_end.messages, with_end.body) == (1, body)


def test_usual_chunked_bodies_need_no_parser() -> None:
    for count in (0, 1, 2, MAX_CHUNKS):
        data = HEAD + b"4\r\n\r\n0\r\r\n" * count
        assert whole_chunks(data, len(HEAD)) == (b"\r\n0\r" * count, False)
        assert whole_chunks(data + LAST_CHUNK, len(HEAD)) == (b"\r\n0\r" * count, True)


LINES = st.sampled_from(
    [b"data: {}", b"data:{}", b"data", b"data:", b"event: message", b"event:message", b"event: x", b"id: 7", b"id:",
     b"id: \0", b"retry: 9", b": ping", b"\xef\xbb\xbfdata: {}", b""]
)  # fmt: skip


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b""])), max_size=6))
@example([(b"event: message", b"\r\n"), (b"data: {}", b"\r\n"), (b"", b"\r\n")])
@example([(b"id: 7", b"\n"), (b"data: {}", b"\n"), (b"", b"\n")])
def test_the_data_of_a_single_event_is_what_the_parser_of_events_finds(lines: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(line + end for line, end in lines)
    place = data_of(stream)
    if place is None:
        return
    parser = EventParser()
    (event,) = parser.feed(stream) + parser.finish()
    assert (event.event, event.data, parser.pending) == ("message", stream[slice(*place)], b"")


def test_usual_events_need_no_parser() -> None:
    for stream in (
        b"event: message\r\ndata: {}\r\n\r\n", b"event: message\ndata: {}\n\n", b"data:{}\n\n",
        b"event: message\nid: abc_1\ndata: {}\n\n", b"id: 0\r\nevent: message\r\ndata: {}\r\n\r\n",
    ):  # fmt: skip
        start, end = data_of(stream) or (0, 0)
        assert stream[start:end] == b"{}"
