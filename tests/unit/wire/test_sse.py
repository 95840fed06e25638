from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcppool.wire import sse
from mcppool.wire.bulk import BULK, Bulk, finish
from mcppool.wire.sse import EventParser, EventTooLarge, read_large, render
from mcppool.wire.sse_event import Event
from tests.unit.wire.step_times import longest_step

FIELDS = b"data: x|data:|data|data:  y|event: e|event:|id: 7|id|retry: 15|: ping|x: y|\xef\xbb\xbf|\xc3\xa9|\0".split(
    b"|"
)
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]
pieces = st.sampled_from(FIELDS + ENDS)
streams = st.lists(pieces, max_size=40).map(b"".join)


def parse(stream: bytes, cuts: list[int]) -> tuple[list[Event], bytes]:
    parser = EventParser()
    events: list[Event] = []
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(bounds):
        events += parser.feed(stream[start:end])
    events += parser.finish()
    return events, parser.pending


def reference(stream: bytes) -> list[tuple[str, bytes | None, str | None, int | None]]:
    """The algorithm of the HTML Living Standard, word for word, for one whole stream; blocks without fields are
    kept."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    found = []
    data: bytes | None = None
    name, id, retry = b"", None, None
    for line in lines:
        if not line:
            found.append((name.decode(errors="replace") or "message", data and data[:-1], id, retry))
            data, name, id, retry = None, b"", None, None
            continue
        if line.startswith(b":"):
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"event":
                name = value
            case b"data":
                data = (data or b"") + value + b"\n"
            case b"id" if b"\x00" not in value:
                id = value.decode(errors="replace")
            case b"retry" if value.isdigit():
                retry = int(value)
    return found


@given(streams, st.lists(st.integers(0, 1000), max_size=30))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", list(range(30)))
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2, 3, 4])
@example(b"\xef\xbb\xbf\n\xef\xbb\xbf\n", [])
@example(b"data: a\r\r", [])
def test_any_chunking_gives_the_same_events_and_loses_no_byte_but_the_mark_at_the_beginning(
    stream: bytes, cuts: list[int]
) -> None:
    events, rest = parse(stream, cuts)
    assert b"".join(event.raw for event in events) + rest == stream.removeprefix(b"\xef\xbb\xbf")
    assert (events, rest) == parse(stream, [])


@given(streams)
@example(b"\xef\xbb\xbfdata: a\n\ndata: b\n\n")
@example(b"data: a\n\n\xef\xbb\xbfdata: b\n\n")
def test_events_are_those_of_the_standard(stream: bytes) -> None:
    events, _ = parse(stream, [])
    assert [(event.event, event.data, event.id, event.retry) for event in events] == reference(stream)


def test_an_event_of_an_sdk_server_is_read_whole() -> None:
    raw = b'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\r\n\r\n'
    assert EventParser().feed(raw) == [Event(raw, "message", b'{"jsonrpc":"2.0","id":1,"result":{}}', None, None)]


@pytest.mark.parametrize(
    ("raw", "data", "id", "retry"),
    [
        (b": ping - 2026-11-22\n\n", None, None, None),
        (b"id: 4f\ndata: \n\n", b"", "4f", None),
        (b"id: 4f\ndata:\nretry: 500\n\n", b"", "4f", 500),
        (b"data: a\ndata: b\n\n", b"a\nb", None, None),
        (b"retry: 5x\n\n", None, None, None),
        (b"id: a\x00b\ndata: x\n\n", b"x", None, None),
        (b"\n", None, None, None),
    ],
)
def test_comments_priming_events_and_odd_fields_are_events_too(
    raw: bytes, data: bytes | None, id: str | None, retry: int | None
) -> None:
    assert EventParser().feed(raw) == [Event(raw, "message", data, id, retry)]


def test_lines_that_end_with_lf_or_crlf_are_not_held_back() -> None:
    assert len(EventParser().feed(b"data: x\n\n")) == 1
    assert len(EventParser().feed(b"data: x\r\n\r\n")) == 1


def test_a_cr_at_the_end_waits_for_the_next_byte_or_the_end_of_the_stream() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\r") == []
    assert [event.raw for event in parser.feed(b"\ndata: y\r\r")] == [b"data: x\r\r\n"]
    assert [event.raw for event in parser.finish()] == [b"data: y\r\r"]


def test_a_truncated_event_is_no_event() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\n\ndata: y\n")[0].data == b"x"
    assert parser.finish() == []
    assert parser.pending == b"data: y\n"


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_an_event_over_the_limit_ends_the_reading_and_earlier_ones_are_handed_out(cut: int) -> None:
    stream = b"data: x\n\n" + b"data: " + b"y" * 100 + b"\n\n"
    parser = EventParser(max_event=50)
    events: list[Event] = []
    try:
        for start in range(0, len(stream), cut):
            events += parser.feed(stream[start : start + cut])
    except EventTooLarge as refused:
        events += refused.events
        assert str(refused) == "an event of the stream is longer than 50 bytes"  # noqa: PT017 - `events` needs both ways
    else:
        pytest.fail("the event over the limit passed")
    assert [event.data for event in events] == [b"x"]


def test_an_event_as_long_as_the_limit_passes() -> None:
    raw = b"data: " + b"y" * 42 + b"\n\n"
    assert EventParser(max_event=50).feed(raw)[0].raw == raw


@pytest.mark.parametrize("line", [b"x", b"data: x\r", b"data: x\n", b"data: x\r\n"])
@pytest.mark.parametrize("chunk", [1024, 1 << 20])
def test_one_long_event_takes_time_in_proportion_to_its_bytes(line: bytes, chunk: int) -> None:
    def seconds(size: int) -> float:
        stream = line * (size // len(line))
        best = float("inf")
        for _ in range(3):
            parser = EventParser()
            started = time.thread_time()
            for start in range(0, len(stream), chunk):
                parser.feed(stream[start : start + chunk])
            best = min(best, time.thread_time() - started)
        return best

    # Sixteen times the bytes take sixteen times the time; 256 times, were all bytes looked at again for each chunk or
    # line.
    assert seconds(1 << 21) < 80 * max(seconds(1 << 17), 1e-4)


def test_a_rendered_event_is_read_back() -> None:
    assert EventParser().feed(render(b'{"a":1}'))[0].data == b'{"a":1}'


@given(streams, st.lists(st.integers(0, 1000), max_size=30), st.integers(6, 20))
@example(b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [], 6)
@example(b"id: 1234567\r\n: x\r\ndata: a\r\n\r\n", [], 13)
def test_an_event_that_is_read_in_steps_is_read_as_any_other(stream: bytes, cuts: list[int], step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sse, "LARGE_EVENT", 0)
        patch.setattr(sse, "STEP", step)
        in_steps = parse(stream, cuts)
    assert in_steps == parse(stream, [])


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\nid: 7\n\n", b"\n: said\nretry: 5\n\n"])
@pytest.mark.parametrize("chunk", [1000, 64 * 1024, 1 << 30])
def test_a_large_event_is_handed_out_at_once_and_read_later(end: bytes, chunk: int) -> None:
    data = b'{"jsonrpc":"2.0","id":1,"result":{"a":"' + b"x" * BULK + b'"}}'
    stream = b"data: first\n\n" + b"event: message\ndata: " + data + end + b"data: last\n\n"
    parser = EventParser(in_steps=True)
    events = [event for at in range(0, len(stream), chunk) for event in parser.feed(stream[at : at + chunk])]
    assert b"".join(bytes(event.raw) for event in events) == stream
    first, large, last = (finish(read_large(event)) if event.unread else event for event in events)
    assert (first.data, large.data, last.data) == (b"first", data, b"last")
    if chunk < BULK:
        assert isinstance(large.data, Bulk)
        assert large.data.outline.text == b'{"jsonrpc":"2.0","id":1,"result":{"a":""}}'


@pytest.mark.parametrize("line", [b"data:\n", b"data: x\r\n", b"x\n", b"id: 7\n", b": a\r"])
def test_no_step_over_a_large_event_takes_long(line: bytes) -> None:
    def event() -> Event:
        parser = EventParser(in_steps=True)
        for _ in range(64):
            assert not parser.feed(line * ((2 << 20) // 64 // len(line)))
        return [*parser.feed(b"\n"), *parser.feed(b"\n"), *parser.finish()][0]

    assert longest_step(*(read_large(event()) for _ in range(3))) < 0.02
