"""A call that runs without a task ends as it would in one."""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import OUTLIVES_CLIENT
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.router import guarded
from mcppool.pipeline.call import Call
from mcppool.pipeline.direct_attempt import DirectAttempt, Rest
from mcppool.pipeline.local_reply.rejection import MAX_READ
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from tests.unit.gateway.http.driving import Wire
from tests.unit.pipeline.pools import Heard, pool_of, tool_call
from tests.unit.upstream.line import Line, chunks, cut, sized

ONE_ATTEMPT = "[retry_policy]\nmax_attempts = 1"
RANDOM = re.compile(rb'"requestId":"[^"]*"')
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PROGRESS = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'
EVENT = chunks(b"event: message\r\ndata: %b\r\n\r\n" % RESULT)
END = b"0\r\n\r\n"

ANSWERS = {
    "JSON": sized(RESULT),
    "JSON that closes": sized(RESULT, b"content-type: application/json\r\nconnection: close\r\n"),
    "a tool's error": sized(b'{"jsonrpc":"2.0","id":1,"result":{"isError":true}}'),
    "an error": sized(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}'),
    "chunked JSON": STREAM.replace(b"text/event-stream", b"application/json") + chunks(RESULT) + END,
    "large JSON": sized(b'{"jsonrpc":"2.0","id":1,"result":{"content":["%b"]}}' % (b"x" * 100_000)),
    "one event": STREAM + EVENT + END,
    "one event and more behind it": STREAM + EVENT + chunks(b": ping\n\n") + END,
    "progress and the answer": STREAM + chunks(b"data: %b\n\n" % PROGRESS) + EVENT + END,
    "no answer in the stream": STREAM + chunks(b"data: %b\n\n" % PROGRESS) + END,
    "another id": sized(b'{"jsonrpc":"2.0","id":2,"result":{}}'),
    "not JSON": sized(b"oh"),
    "not HTTP": b"oh\r\n\r\n",
    "a fault": sized(b"oh").replace(b"200 OK", b"500 No"),
    "a status about the request": sized(b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x"}}').replace(
        b"200 OK", b"400 No"
    ),
    "a large error about the request": sized(
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"%b"}}' % (b"x" * MAX_READ)
    ).replace(b"200 OK", b"415 No"),
    "an end before the answer": STREAM,
}


class Client:
    """The connection of a client, without its bytes."""

    def __init__(self) -> None:
        self.attempt: DirectAttempt | None = None
        self.rest: asyncio.Future[object] | None = None
        self.ended = 0

    def under_way(self, attempt: DirectAttempt) -> None:
        self.attempt = attempt

    def go_on(self, rest: Rest, call: Call, outcome: Outcome) -> None:
        self.rest = asyncio.ensure_future(rest)

    def call_ended(self) -> None:
        self.ended += 1


class Seen(NamedTuple):
    """The traces of a call, for its client, its pool and its server."""

    said: list[str]
    status: int
    body: bytes
    outcome: tuple[str, str, int | None, bool, bool]
    requests: dict[tuple[str, str], int]
    feedback: tuple[int, bool]
    busy: tuple[int, int, int]
    reusable: bool


def with_line(text: str = ONE_ATTEMPT) -> tuple[ServerPool, Line]:
    """A pool with one endpoint and one connection to it."""
    pool, line = pool_of(text, "a"), Line()
    connections = pool.endpoints["http://a/mcp"].connections
    line.connection.owner = connections
    line.connection.stale_at = float("inf")
    connections._idle.append(line.connection)
    return pool, line


async def answered(pieces: list[bytes], *, direct: bool, text: str = ONE_ATTEMPT) -> Seen:
    """A call that gets an answer in these pieces, and then the end of the connection if it still waits."""
    pool, line = with_line(text)
    call, heard, outcome, client = tool_call("read", id=1), Heard(), Outcome(), Client()
    if direct:
        assert pool.begin(call, heard, outcome, client) is None
        assert client.rest is None
    else:
        client.rest = asyncio.ensure_future(pool.serve(call, heard, outcome))
    while not line.transport.written:
        line.connection.flush()
        await asyncio.sleep(0)
    for piece in pieces:
        line.says(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    if not client.ended and not (client.rest is not None and client.rest.done()):
        await line.ends()
    if client.rest is not None:
        await client.rest
    endpoint = pool.endpoints["http://a/mcp"]
    seen = Seen(
        heard.said, heard.status, RANDOM.sub(b"random", heard.body),
        (outcome.status, outcome.delivered, outcome.code, outcome.neutral, outcome.failure is None),
        pool.metrics.requests, (endpoint.stats.failures, endpoint.stats.answered_at > 0),
        (endpoint.active, pool.metrics.in_flight, len(endpoint.connections.leased)),
        line.connection in endpoint.connections._idle,
    )  # fmt: skip
    line.transport.dispose()
    return seen


@pytest.mark.parametrize("answer", ANSWERS)
@given(places=st.lists(st.integers(0, 400), max_size=3))
@settings(max_examples=4, deadline=None)
def test_a_call_ends_alike_with_and_without_a_task(answer: str, places: list[int]) -> None:
    async def check() -> None:
        pieces = cut(ANSWERS[answer], places)
        assert await answered(pieces, direct=True) == await answered(pieces, direct=False)

    asyncio.run(check())


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_client_sees_the_same_whether_an_answer_comes_at_once_or_in_parts(answer: str) -> None:
    data = ANSWERS[answer]
    at_once = await answered([data], direct=True)
    in_parts = await answered(cut(data, [len(data) * tenth // 10 for tenth in range(1, 10)]), direct=True)
    assert (at_once.status, at_once.body, at_once.outcome) == (in_parts.status, in_parts.body, in_parts.outcome)


async def test_each_endpoint_has_its_turn_though_it_has_no_idle_connection() -> None:
    pool = pool_of(ONE_ATTEMPT + '\n[load_balancer]\nstrategy = "round_robin"', "a", "b")
    outcomes = [Outcome(), Outcome()]
    tasks = []
    for id, outcome in enumerate(outcomes):
        rest = pool.begin(tool_call("read", id=id), Heard(), outcome, Client())
        assert rest is not None
        tasks.append(asyncio.ensure_future(rest))
        await asyncio.sleep(0)  # the first step of the task chooses the endpoint
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert {outcome.endpoint for outcome in outcomes} == set(pool.endpoints.values())


@pytest.mark.parametrize("answer", ["JSON", "chunked JSON", "one event"])
async def test_a_call_with_its_answer_in_one_piece_has_no_task(answer: str) -> None:
    pool, line = with_line()
    client, before = Client(), asyncio.all_tasks()
    assert pool.begin(tool_call("read", id=1), Heard(), Outcome(), client) is None
    line.connection.flush()
    line.says(ANSWERS[answer])
    assert (client.ended, client.rest) == (1, None)
    assert asyncio.all_tasks() == before
    line.transport.dispose()


@pytest.mark.parametrize("answer", ["JSON", "chunked JSON", "one event"])
async def test_a_second_answer_behind_the_first_closes_the_connection(answer: str) -> None:
    seen = await answered([ANSWERS[answer] * 2], direct=True)
    assert (seen.said[-1], seen.outcome[0], seen.reusable) == ("whole", "success", False)


class Front:
    """A client's connection, with calls of one tool that a pool serves."""

    def __init__(self, lifetime: Any = None) -> None:
        self.pool, self.line = with_line()
        self.outcome = Outcome()
        self.calls = 0
        self.lifetime = lifetime
        self.wire = Wire(self.handle)
        self.endpoint = self.pool.endpoints["http://a/mcp"]

    def handle(self, request: HttpRequest, connection: HttpConnection) -> Rest | None:
        self.calls += 1
        call, worker = tool_call("write", id=self.calls), connection.worker
        connection.lifetime = self.lifetime or connection.lifetime
        self.outcome = Outcome()
        worker.guard = guarded
        return self.pool.begin(call, connection.response, self.outcome, worker)

    async def call(self) -> None:
        self.wire.connection.data_received(b"POST /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
        self.line.connection.flush()
        assert self.wire.connection.worker.task is None
        assert self.endpoint.active == 1

    async def settled(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_a_modern_client_that_leaves_cancels_its_call() -> None:
    front = Front()
    await front.call()
    front.wire.transport.abort()
    await front.settled()
    assert (front.outcome.status, front.outcome.delivered) == ("cancelled", "unknown")
    assert (front.endpoint.active, front.pool.metrics.in_flight) == (0, 0)
    assert front.line.transport.is_closing()
    assert front.pool.metrics.requests == {("tools/call", "cancelled"): 1}


async def test_a_legacy_call_goes_on_without_its_client() -> None:
    front = Front(OUTLIVES_CLIENT)
    await front.call()
    front.wire.transport.abort()
    await front.settled()
    assert len(front.wire.shared.detached) == 1
    front.line.says(ANSWERS["JSON"])
    await front.settled()
    assert front.outcome.status == "success"
    assert not front.wire.shared.detached
    assert front.endpoint.active == 0
    front.line.transport.dispose()


async def test_a_client_that_leaves_behind_the_answer_of_a_stream_ends_the_call() -> None:
    front = Front(OUTLIVES_CLIENT)
    await front.call()
    front.line.says(STREAM + EVENT)
    front.wire.transport.abort()
    await front.settled()
    assert (front.outcome.status, front.endpoint.active) == ("success", 0)
    assert not front.wire.shared.detached


async def test_a_drain_ends_the_call_with_a_reply() -> None:
    front = Front()
    await front.call()
    front.wire.connection.cut()
    await front.settled()
    assert b"503" in front.wire.said.split(b"\r\n")[0]
    assert b'"delivered":"unknown"' in front.wire.said
    assert (front.endpoint.active, front.wire.transport.gone) == (0, True)


async def test_calls_follow_each_other_on_one_connection_with_and_without_a_task() -> None:
    front = Front()
    for answer, has_task in (("JSON", False), ("progress and the answer", True), ("one event", True), ("JSON", True)):
        front.wire.connection.data_received(b"POST /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
        front.line.connection.flush()
        front.line.says(ANSWERS[answer].replace(b'"id":1', b'"id":%d' % front.calls))
        await front.settled()
        assert front.outcome.status == "success"
        assert (front.wire.connection.worker.task is not None) is has_task
        assert not front.wire.connection.busy
    assert front.pool.metrics.requests == {("tools/call", "success"): 4}
    front.wire.transport.abort()
    front.line.transport.dispose()
    await front.settled()
