"""A large event means the same, whether it is passed on in parts or read whole."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.response.large_answer import TAIL
from tests.unit.pipeline.test_whole_event_streams import (
    ASKED,
    CHUNKED,
    ERROR,
    LAST,
    PROGRESS,
    RESULT,
    SIZED,
    STATE,
    relayed,
)

PADDED = RESULT.replace(b"[]", b'["' + b"x" * 200 + b'"]')
PADDED_LAST = LAST.replace(b"{", b'{"content":["' + b"x" * 200 + b'"],', 2).replace(b'{"content"', b"{", 1)
FAILED = PADDED[:-2] + b',"isError":true}}'
OTHERS = PADDED.replace(b"%b", b"9")
OTHERS_LAST = b'{"result":{"content":["' + b"x" * (TAIL + 200) + b'"]},"jsonrpc":"2.0","id":9}'

IN_PARTS = {
    "a mark at its beginning": b"\xef\xbb\xbfdata: " + PADDED + b"\n\n",
    "CRLF": b"event: message\r\ndata: " + PADDED + b"\r\n\r\n",
    "LF": b"event: message\ndata: " + PADDED + b"\n\n",
    "CR behind it": b"data: " + PADDED + b"\r\r",
    "a tool's error": b"data: " + FAILED + b"\n\n",
    "an id": b"id: 12\nevent: message\ndata: " + PADDED + b"\n\n",
    "an id behind it": b"data: " + PADDED + b"\nid: 12\n\n",
    "progress before it": b"data: " + PROGRESS + b"\n\ndata: " + PADDED + b"\n\n",
    "a question before it": b"data: " + ASKED + b"\n\ndata: " + PADDED + b"\n\n",
    "a comment before it": b": ping\n\ndata: " + PADDED + b"\n\n",
    "a comment within it": b": ping\nretry: 10\ndata: " + PADDED + b"\n\n",
    "something behind it": b"data: " + PADDED + b"\n\ndata: " + PROGRESS + b"\n\n",
    "lines of data": b"data: " + PADDED.replace(b"]", b"\ndata: ]") + b"\n\n",
}
ID_LAST = {
    "the id at its end": b"event: message\ndata: " + OTHERS_LAST.replace(b"9}", b"%b}") + b"\n\n",
    "the id at its end, CRLF": b"data: " + OTHERS_LAST.replace(b"9}", b"%b}") + b"\r\n\r\n",
    "the id in the last line of data": b"data: "
    + OTHERS_LAST.replace(b"9}", b"%b\ndata: }").replace(b',"json', b'\ndata: ,"json')
    + b"\n\n",
    "the id before another field": b"data: " + OTHERS_LAST.replace(b"9}", b"%b}") + b"\nretry: 7\n\n",
}
WHOLE = {
    "something to pin": b"data: " + STATE.replace(b'"s"', b'"' + b"s" * 200 + b'"') + b"\n\n",
    "an error": b"data: " + ERROR.replace(b'"x"', b'"' + b"x" * 200 + b'"') + b"\n\n",
    "lines of data from its beginning": b'data: {"jsonrpc":"2.0",\ndata: '
    + PADDED[len(b'{"jsonrpc":"2.0",') :]
    + b"\n\n",
    "a large notification": b"data: "
    + PROGRESS.replace(b"}}", b',"message":"' + b"x" * 200 + b'"}}')
    + b"\n\ndata: "
    + RESULT
    + b"\n\n",
}
FORMS = st.sampled_from([CHUNKED, SIZED])
PLACES = st.one_of(st.none(), st.lists(st.integers(0, TAIL + 700), max_size=8))
SMALL = 100
"""Bytes of an event that are held in these tests: enough for all fields before its data, and the id."""


@pytest.mark.parametrize("stream", [*IN_PARTS, *ID_LAST, *WHOLE])
@given(form=FORMS, repeated=st.booleans(), places=PLACES)
@settings(max_examples=6, deadline=None)
def test_a_large_event_means_the_same_in_parts(
    stream: str, form: bytes, repeated: bool, places: list[int] | None
) -> None:
    async def check() -> None:
        text = (IN_PARTS | ID_LAST | WHOLE)[stream]
        seen = await relayed(text, form, places, repeated=repeated, hold=SMALL)
        expected = await relayed(text, form, [], repeated=repeated)
        assert seen[:4] == expected[:4]
        assert not expected.failure
        if stream in WHOLE:
            assert not seen.parts

    asyncio.run(check())


@pytest.mark.parametrize("stream", [*IN_PARTS, *ID_LAST])
async def test_a_large_answer_goes_to_the_client_before_its_end_has_come(stream: str) -> None:
    seen = await relayed((IN_PARTS | ID_LAST)[stream], CHUNKED, None, hold=SMALL)
    assert seen.parts
    assert seen.status == ("tool_error" if "error" in stream else "success")


async def test_a_large_answer_gets_the_clients_id_back_in_parts() -> None:
    seen = await relayed(IN_PARTS["LF"], CHUNKED, None, repeated=True, hold=SMALL)
    assert seen.parts
    assert seen.events == [("message", PADDED.replace(b"%b", b"1"), None)]


@pytest.mark.parametrize("stream", ID_LAST)
async def test_a_large_answer_gets_the_clients_id_back_at_its_end(stream: str) -> None:
    seen = await relayed(ID_LAST[stream], CHUNKED, None, repeated=True, hold=SMALL)
    assert (seen.parts, seen.status) == (True, "success")
    ((name, data, _),) = seen.events
    assert name == "message"
    assert data is not None
    assert data.replace(b"\n", b"") == OTHERS_LAST.replace(b"9}", b"1}")


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\nid: 7\n\n"])
async def test_the_end_of_the_answer_to_another_request_is_held_back_if_it_may_get_another_id(end: bytes) -> None:
    seen = await relayed(b"data: " + OTHERS_LAST + end, CHUNKED, None, repeated=True, hold=SMALL)
    assert (seen.status, seen.parts) == ("error", True)
    (name, _, _), (_, error, _) = seen.events
    assert name == "incomplete"
    assert error is not None
    assert b"bad_upstream_answer" in error


async def test_a_held_end_that_gives_the_event_another_type_goes_on_unchanged() -> None:
    other = b"data: " + OTHERS_LAST + b"\nevent: other\n\n"
    seen = await relayed(other + ID_LAST["the id at its end"], CHUNKED, None, repeated=True, hold=SMALL)
    assert [name for name, _, _ in seen.events] == ["other", "message"]
    assert seen.events[0][1] == OTHERS_LAST
    assert seen.status == "success"


@pytest.mark.parametrize("missing", [1, 3, 20, 100])
async def test_an_answer_that_is_cut_while_its_end_is_held_back_is_no_message(missing: int) -> None:
    event = b"data: " + OTHERS_LAST.replace(b"9}", b"%b}") + b"\n\n"
    seen = await relayed(event[:-missing], CHUNKED, None, repeated=True, hold=SMALL)
    assert (seen.status, seen.failure, seen.parts) == ("error", "", True)
    *incomplete, (_, error, _) = seen.events
    assert [name for name, _, _ in incomplete] == ["incomplete"]
    assert error is not None
    assert b'"reason":"connection_lost"' in error


async def test_a_large_event_that_proves_to_be_of_another_type_is_not_the_answer() -> None:
    other = b"data: " + PADDED + b"\nevent: other\n\n"
    seen = await relayed(other + IN_PARTS["LF"], CHUNKED, None, hold=SMALL)
    assert [name for name, _, _ in seen.events] == ["other", "message"]
    assert seen.status == "success"
    assert (await relayed(other, CHUNKED, None, hold=SMALL)).status == "error"


async def test_the_answer_to_another_request_is_found_at_its_beginning() -> None:
    seen = await relayed(b"data: " + OTHERS + b"\n\n", CHUNKED, None, hold=SMALL)
    assert (seen.failure, seen.events) == ("BadAnswer", [])


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\nid: 7\n\n"])
async def test_the_answer_to_another_request_that_is_found_at_its_end_is_followed_by_an_error(end: bytes) -> None:
    seen = await relayed(b"data: " + OTHERS_LAST + end, CHUNKED, None, hold=SMALL)
    assert seen.status == "error"
    (_, other, _), (_, error, _) = seen.events
    assert other == OTHERS_LAST
    assert error is not None
    assert b"bad_upstream_answer" in error
    assert b'"id":1' in error


WHOLE_EVENT = b"id: 3\r\ndata: " + PADDED + b"\r\nretry: 7\r\n\r\n"


@pytest.mark.parametrize("place", [len(WHOLE_EVENT) - n for n in (2, 3, 4, 9, 11, 12, 13, 14, 50, 150)])
async def test_a_large_answer_that_is_cut_is_no_message_and_an_error_follows(place: int) -> None:
    """Wherever it is cut: in its data, in or behind another line, between CR and LF."""
    seen = await relayed(WHOLE_EVENT[:place], CHUNKED, None, hold=SMALL)
    assert (seen.status, seen.failure, seen.parts) == ("error", "", True)
    *incomplete, (_, error, _) = seen.events
    assert [name for name, _, _ in incomplete] == ["incomplete"]
    assert error is not None
    assert b'"reason":"connection_lost"' in error


async def test_what_is_held_of_an_answer_that_is_cut_goes_to_nobody() -> None:
    seen = await relayed(WHOLE_EVENT[:-50], CHUNKED, None)
    assert (seen.events, seen.failure) == ([], "ConnectionLost")
