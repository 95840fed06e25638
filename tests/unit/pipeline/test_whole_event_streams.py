"""An answer in an event stream means the same, whether the stream comes whole or in pieces."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.response import event_relay
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.connection import HOLD
from mcppool.wire.sse import EventParser
from tests.unit.pipeline.pools import Heard, planned, pool_of, tool_call
from tests.unit.upstream.line import Line, chunks, cut

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n"

RANDOM = re.compile(rb'mcppool[:-][^"]*|"requestId":"[^"]*"')
RESULT = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[]}}'
LAST = b'{"result":{"isError":true},"jsonrpc":"2.0","id":%b}'
ERROR = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32603,"message":"x"}}'
STATE = b'{"jsonrpc":"2.0","id":%b,"result":{"resultType":"input_required","requestState":"s"}}'
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'
ASKED = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'

STREAMS = {
    "CRLF": b"event: message\r\ndata: " + RESULT + b"\r\n\r\n",
    "LF": b"event: message\ndata: " + LAST + b"\n\n",
    "an id": b"id: 12\nevent: message\ndata: " + RESULT + b"\n\n",
    "only data": b"data:" + ERROR + b"\n\n",
    "something to pin": b"event: message\ndata: " + STATE + b"\n\n",
    "two lines of data": b'data: {"jsonrpc":"2.0","id":%b,\ndata: "result":{}}\n\n',
    "progress before it": b"data: " + PROGRESS + b"\n\ndata: " + RESULT + b"\n\n",
    "a comment before it": b": ping\n\ndata: " + RESULT + b"\n\n",
    "another name": b"event: other\ndata: " + RESULT + b"\n\n",
    "something behind it": b"data: " + RESULT + b"\n\ndata: " + PROGRESS + b"\n\n",
    "not the answer": b"data: " + PROGRESS + b"\n\n",
    "a question": b"data: " + ASKED + b"\n\n",
    "not JSON": b"data: {%b\n\n",
    "no end": b"data: " + RESULT + b"\n",
    "CR alone": b"data: " + RESULT + b"\r\r",
    "a mark at its beginning": b"\xef\xbb\xbfdata: " + RESULT + b"\n\n",
    "a mark and an id": b"\xef\xbb\xbfid: 5\ndata: " + RESULT + b"\n\n",
    "nothing": b"",
}


class Relayed(NamedTuple):
    """The results for the client and for the pool."""

    events: list[tuple[str, bytes | None, str | None]]
    status: str
    neutral: bool
    failure: str
    parts: bool
    """An event has gone to the client before its end had come."""


async def relayed(
    stream: bytes, form: bytes, places: list[int] | None, *, repeated: bool = False, hold: int = HOLD
) -> Relayed:
    """The stream as the answer to a call, cut at these places; None: into single bytes. `repeated`: the call has the id
    of the one before on its connection. `hold`: bytes of an event that are held."""
    pool = pool_of("", "a")
    endpoint = pool.endpoints["http://a/mcp"]
    call = tool_call("read", id=1)
    heard, outcome, line = Heard(), Outcome(), Line()
    line.connection.carried = b"1" if repeated else None
    attempt = Attempt(pool.attempts.context, call, planned(call, pool), endpoint, heard, outcome, None, 0.0)
    failure = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_relay, "HOLD", hold)
        endpoint.connections._idle.append(line.connection)
        running = asyncio.ensure_future(pool.attempts.exchange.run(attempt))
        while not line.transport.written:
            await asyncio.sleep(0)
        assert (attempt.reissue is not None) is repeated
        body = stream.replace(b"%b", attempt.reissue.id if attempt.reissue is not None else b"1")
        answer = form % len(body) + body if form is SIZED else form + chunks(*filter(None, [body])) + b"0\r\n\r\n"
        for piece in cut(answer, range(len(answer)) if places is None else places):
            line.says(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        try:
            await running
        except AttemptFailed as failed:
            failure = type(failed).__name__
    line.transport.dispose()
    assert (heard.said[-1:] in (["whole"], ["end"])) is not bool(failure), heard.said
    seen = RANDOM.sub(b"random", heard.body)
    parser = EventParser()
    read = parser.feed(seen) + parser.finish()
    events = [(event.event, event.data, event.id) for event in read if event.data is not None]
    return Relayed(events, outcome.status, outcome.neutral, failure, heard.parts > 0)


@pytest.mark.parametrize("stream", STREAMS)
@given(form=st.sampled_from([CHUNKED, SIZED]), repeated=st.booleans(), places=st.lists(st.integers(0, 400), max_size=3))
@settings(max_examples=10, deadline=None)
def test_a_stream_means_the_same_in_whatever_pieces_it_comes(
    stream: str, form: bytes, repeated: bool, places: list[int]
) -> None:
    async def check() -> None:
        seen = await relayed(STREAMS[stream], form, places, repeated=repeated)
        assert seen == await relayed(STREAMS[stream], form, None, repeated=repeated)

    asyncio.run(check())


def messages(seen: Relayed) -> list[bytes | None]:
    """The data of the events that clients take for messages."""
    return [data for name, data, _ in seen.events if name == "message"]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("form", [CHUNKED, SIZED])
async def test_a_stream_means_the_same_under_an_id_of_the_gateways_own(stream: str, form: bytes) -> None:
    own = await relayed(STREAMS[stream], form, [], repeated=True)
    usual = await relayed(STREAMS[stream], form, [])
    assert own[1:] == usual[1:]
    assert messages(own) == messages(usual), "clients take nothing else for an answer"
