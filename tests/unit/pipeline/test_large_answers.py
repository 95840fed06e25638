"""A large JSON answer means the same, whether it is passed on in parts or read whole."""

from __future__ import annotations

import asyncio
import json
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.failures import AttemptFailed
from mcppool.wire.message_ids import replace_id
from tests.unit.pipeline.pools import Heard, planned, pool_of, tool_call
from tests.unit.upstream.line import Line, cut, sized

SIZE = 70_000
"""Bytes of an answer that is not held until it is whole."""
INNER = [
    {}, {"isError": True}, {"id": "ID", "list": [{"id": 1, "jsonrpc": "2.0"}, {"id": "ID"}]},
    {"text": ',"id":"ID"}', "jsonrpc": '"}'}, {"deep": [[{"id": "ID"}]]},
]  # fmt: skip
ORDERS = [list(order) for order in permutations(["result", "jsonrpc", "id"]) if order[0] != "id"]


async def relayed(body: bytes, places: list[int]) -> tuple[Heard, Outcome, str]:
    """The body, with the request's id for ID, as the answer to a call that goes out under an id of its own."""
    pool = pool_of("", "a")
    endpoint = pool.endpoints["http://a/mcp"]
    call = tool_call("read", id=1)
    heard, outcome, line = Heard(), Outcome(), Line()
    line.connection.carried = b"1"
    attempt = Attempt(pool.attempts.context, call, planned(call, pool), endpoint, heard, outcome, None, 0.0)
    endpoint.connections._idle.append(line.connection)
    running = asyncio.ensure_future(pool.attempts.exchange.run(attempt))
    while not line.transport.written:
        await asyncio.sleep(0)
    assert attempt.reissue is not None
    for piece in cut(sized(body.replace(b'"ID"', attempt.reissue.id)), places):
        line.says(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    failure = ""
    try:
        await running
    except AttemptFailed as failed:
        failure = type(failed).__name__
    finally:
        line.transport.dispose()
    assert outcome.size == len(heard.body)
    heard.body = heard.body.replace(attempt.reissue.id, b'"ID"')
    return heard, outcome, failure


@given(
    inner=st.sampled_from(INNER),
    order=st.sampled_from(ORDERS),
    extra=st.sampled_from([{}, {"_meta": {"id": "ID"}}, {"x": "y" * 1000}]),
    indent=st.sampled_from([None, 1]),
    before_end=st.lists(st.integers(0, 2500), max_size=6),
    places=st.lists(st.integers(0, SIZE + 5000), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_the_client_gets_its_own_id_wherever_the_server_writes_it(
    inner: dict[str, object],
    order: list[str],
    extra: dict[str, object],
    indent: int | None,
    before_end: list[int],
    places: list[int],
) -> None:
    members = {"result": {"content": "x" * SIZE, **inner}, "jsonrpc": "2.0", "id": "ID"}
    body = json.dumps({name: members[name] for name in order} | extra, indent=indent).encode()
    heard, outcome, failure = asyncio.run(relayed(body, [*places, *(len(body) - place for place in before_end)]))
    assert failure == ""
    assert heard.body == replace_id(body, b"1")
    assert outcome.status == ("tool_error" if "isError" in inner else "success")


RESULT = b'{"result":{"content":"' + b"x" * SIZE + b'"}'


async def test_the_answer_goes_to_the_client_while_it_comes() -> None:
    body = RESULT + b',"jsonrpc":"2.0","id":"ID"}'
    heard, _, failure = await relayed(body, [SIZE, SIZE + 20])
    assert (failure, heard.said[0], heard.said[-1]) == ("", "begin", "end")
    assert heard.body == replace_id(body, b"1")


@pytest.mark.parametrize(
    "end",
    [
        b',"id":1}', b',"id":"mcppool-1-"}', b',"id":"ID","id":"ID"}', b',"id":{"id":"ID"}}', b"}", b',"id":"ID"',
        b',"id":"ID","x":"' + b"x" * 3000 + b'"}', b',"x":[{"id":"ID"}]}',
    ],
)  # fmt: skip
async def test_an_answer_without_the_id_of_its_request_is_cut(end: bytes) -> None:
    heard, outcome, failure = await relayed(RESULT + end, [SIZE])
    assert (failure, heard.said[-1]) == ("", "abort")
    assert outcome.status == "error"
    assert outcome.cut is not None
    assert b'"ID"' not in heard.body or b"x" * 3000 in end


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":1,"message":"' + b"x" * SIZE + b'"},"jsonrpc":"2.0","id":"ID"}',
        b'{"x":"' + b"x" * SIZE + b'","id":"ID","jsonrpc":"2.0","result":{}}',
        b'{"result":{"taskId":"t","x":"' + b"x" * SIZE + b'"},"jsonrpc":"2.0","id":"ID"}',
    ],
)
async def test_an_answer_that_may_need_more_than_its_id_is_read_whole(body: bytes) -> None:
    heard, _, failure = await relayed(body, [SIZE])
    assert (failure, heard.said) == ("", ["whole"])
    assert b'"id":1' in heard.body
