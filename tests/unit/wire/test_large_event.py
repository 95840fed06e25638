"""The end of an event that passes in parts is found where the parser of events finds it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcppool.wire.bulk import finish
from mcppool.wire.large_event import EventEnd, data_begins
from mcppool.wire.sse import STEP, EventParser
from mcppool.wire.sse_event import Event

LINES = st.sampled_from(
    [b"data: {}", b"data", b"event: message", b"event:", b"event: other", b"id: 7", b"retry: 9", b": ping", b"x" * 100]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def passed(parts: list[bytes]) -> tuple[bytes | None, bool]:
    """The bytes behind the event whose data the parts begin in, None if it does not end; and whether it is another
    type of event."""
    end = EventEnd()
    for number, part in enumerate(parts):
        stop = -1 if end.goes_on(part) else finish(end.find(part))
        if stop >= 0:
            return b"".join([part[stop:], *parts[number + 1 :]]), end.renamed
    return b"" if end.ended else None, end.renamed


def parsed(stream: bytes) -> tuple[bytes | None, bool]:
    """The same by the parser."""
    parser = EventParser()
    events: list[Event] = parser.feed(stream) + parser.finish()
    if not events:
        return None, False
    return stream[len(events[0].raw) :], events[0].event != "message"


@given(
    lines=st.lists(st.tuples(LINES, ENDS), min_size=1, max_size=5),
    blank=st.sampled_from([b"", b"\n", b"\r\n", b"\r"]),
    behind=st.sampled_from([b"", b"data: x\n\n", b"\ndata: x\n\n", b"\r"]),
    places=st.lists(st.integers(0, 300), max_size=5),
    every_byte=st.booleans(),
)
@example([(b"data: {}", b"\r\n")], b"\r\n", b"", [], True)
@example([(b"data: {}", b"\r")], b"\r", b"", [], True)
@example([(b"data: {}", b"\n"), (b"event: other", b"\r\n")], b"\r\n", b"data: x\n\n", [], True)
def test_the_end_is_where_the_parser_finds_it_in_whatever_parts_the_event_comes(
    lines: list[tuple[bytes, bytes]], blank: bytes, behind: bytes, places: list[int], every_byte: bool
) -> None:
    event = b"data: {" + b"".join(line + end for line, end in lines) + blank + behind
    at = sorted({0, *range(6, len(event)), len(event)} if every_byte else {0, 6, *places, len(event)})
    parts = [event[a:b] for a, b in pairwise(at) if a < b <= len(event)]
    behind_it, renamed = passed(parts)
    expected, expected_type = parsed(event)
    assert behind_it == expected
    if expected is not None:
        assert renamed is expected_type


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_many_lines_are_searched_in_steps(end: bytes) -> None:
    part = (b"x" + end) * (4 * STEP) + end + b"behind"
    assert len(list(EventEnd().find(part))) >= 4
    assert part[finish(EventEnd().find(part)) :] == b"behind"


@pytest.mark.parametrize(
    ("beginning", "id"),
    [
        (b"data: {", None),
        (b"data:{", None),
        (b"event: message\r\ndata: {", None),
        (b"id: 7\nevent: message\ndata: {", "7"),
        (b": ping\nretry: 500\nid: a_b\r\nid: c\ndata: {", "c"),
    ],
)
def test_usual_beginnings_need_no_parser(beginning: bytes, id: str | None) -> None:
    assert data_begins(beginning + b"x" * 100) == (len(beginning) - 1, id)


@pytest.mark.parametrize(
    "beginning",
    [b"event: other\ndata: {", b"\xef\xbb\xbfdata: {", b"id: \0\ndata: {", b"data\n", b"event: message\rdata: {"],
)
def test_other_beginnings_are_left_to_the_parser(beginning: bytes) -> None:
    assert data_begins(beginning + b"x" * 100) is None
