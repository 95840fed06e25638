"""One connection in each of its states: slow clients, vanishing clients, queues, limits, the end."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from mcppool.gateway.http1 import NEVER, HttpConnection, Stage
from mcppool.gateway.request_reader import HttpRequest
from mcppool.gateway.strictness import MAX_HEAD, MAX_HEADERS
from tests.unit.gateway.driving import Wire

HEAD = b"POST /mcp HTTP/1.1\r\nHost: a\r\n"
EMPTY = HEAD + b"\r\n"
WITH_BODY = HEAD + b"Content-Length: 5\r\n\r\n"
EVENTS = b"content-type: text/event-stream\r\n"


class Gate:
    """A handler whose calls wait until the test lets one go on."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.cancelled = 0
        self.finished = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.detach = False

    async def __call__(self, request: HttpRequest, connection: HttpConnection) -> None:
        self.targets.append(request.target)
        connection.detach = self.detach
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self.cancelled += 1
            if not connection.ending:
                raise
            connection.whole(503, b"", b"last words")
            return
        connection.whole(200, b"", request.target)
        self.finished += 1

    async def open(self) -> None:
        self._waiting.pop(0).set_result(None)
        await turn()


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def late(wire: Wire) -> None:
    """The sweep comes by when the connection's deadline is just over."""
    wire.shared.sweep(wire.connection.deadline)


def post(target: bytes) -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"


# ---- pipelining ----


async def test_pipelined_requests_are_answered_one_at_a_time_and_in_order() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2") + post(b"/3"))
    await turn()
    assert gate.targets == [b"/1"]
    assert wire.transport.paused, "nothing more is read while one waits"
    for _ in range(3):
        await gate.open()
    assert gate.targets == [b"/1", b"/2", b"/3"]
    assert wire.said.index(b"/1") < wire.said.index(b"/2") < wire.said.index(b"/3")
    assert not wire.transport.paused


async def test_garbage_behind_a_call_is_answered_after_it() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + b"\x00\x01 nonsense \r\n\r\n" * 40_000)
    await turn()
    assert wire.statuses == []
    await gate.open()
    assert wire.statuses == [200, 400]
    assert wire.metrics.malformed == {"not_http": 1}


async def test_nothing_is_read_behind_a_request_that_was_the_last() -> None:
    wire = Wire()
    await wire.say(HEAD + b"Connection: close\r\n\r\n" + post(b"/2"))
    assert [request.target for request in wire.requests] == [b"/mcp"]
    assert wire.transport.gone
    assert b"connection: close\r\n" in wire.said
    assert wire.metrics.malformed == {}


# ---- the clock ----


async def test_an_idle_connection_is_closed_in_silence() -> None:
    wire = Wire()
    assert wire.connection.deadline - monotonic() == pytest.approx(Stage.IDLE.seconds, abs=1)
    late(wire)
    assert wire.transport.gone
    assert wire.said == b""


@pytest.mark.parametrize(
    ("beginning", "stage"), [(HEAD, Stage.HEAD), (WITH_BODY + b"x", Stage.BODY)], ids=["head", "body"]
)
async def test_a_request_that_drips_in_is_refused_in_time(beginning: bytes, stage: Stage) -> None:
    wire = Wire()
    wire.connection.data_received(beginning)
    deadline = wire.connection.deadline
    assert deadline - monotonic() == pytest.approx(stage.seconds, abs=1)
    wire.connection.data_received(b"X")
    assert wire.connection.deadline == deadline, "a byte does not buy time"
    late(wire)
    assert wire.statuses == [408]
    assert wire.metrics.malformed == {"timeout": 1}
    late(wire)
    assert wire.transport.aborted


async def test_a_call_has_no_deadline_here_and_a_dripping_next_request_does_not_end_it() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + WITH_BODY + b"x")
    assert wire.connection.deadline == NEVER
    await turn()
    await gate.open()
    assert wire.statuses == [200]
    assert wire.connection.deadline - monotonic() == pytest.approx(Stage.BODY.seconds, abs=1)


# ---- clients that are slow to read ----


async def test_a_client_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() -> None:
    wire = Wire(Gate())
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.backlog = 100_000
    wire.connection.pause_writing()
    wire.transport.backlog = 90_000
    late(wire)
    assert not wire.transport.gone, "it has taken some"
    late(wire)
    assert wire.transport.aborted


async def test_a_stream_waits_for_its_client() -> None:
    steps: list[str] = []

    async def stream(request: HttpRequest, connection: HttpConnection) -> None:
        connection.begin(200, EVENTS)
        connection.write(b"one")
        await connection.drain()
        steps.append("drained")
        connection.end()

    wire = Wire(stream)
    wire.connection.data_received(EMPTY)
    wire.connection.pause_writing()
    await turn()
    assert steps == []
    wire.connection.resume_writing()
    await turn()
    assert steps == ["drained"]
    assert wire.said.endswith(b"3\r\none\r\n0\r\n\r\n")
    assert wire.connection.deadline - monotonic() == pytest.approx(Stage.IDLE.seconds, abs=1)


async def test_a_closing_connection_does_not_wait_forever_for_its_client() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    wire.transport.gone = False
    wire.transport.close = lambda: None  # type: ignore[method-assign]  # unsent bytes keep it open
    await turn()
    assert wire.connection.deadline < NEVER


# ---- clients that go away ----


async def test_a_client_that_goes_cancels_its_call() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2"))
    await turn()
    wire.transport.close()
    await turn()
    assert (gate.cancelled, gate.targets) == (1, [b"/1"])
    assert wire.shared.connections == set()
    assert wire.shared.detached == set()


async def test_a_detached_call_goes_on_without_its_client() -> None:
    gate = Gate()
    gate.detach = True
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.close()
    await turn()
    assert len(wire.shared.detached) == 1
    await gate.open()
    assert (gate.finished, gate.cancelled) == (1, 0)
    assert wire.shared.detached == set()
    assert wire.said == b""


async def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing_behind() -> None:
    for part in (b"", b"PO", HEAD, WITH_BODY + b"x"):
        wire = Wire()
        if part:
            wire.connection.data_received(part)
        wire.transport.close()
        await turn()
        assert wire.shared.connections == set()
        assert wire.requests == []
        assert wire.connection.deadline == NEVER


# ---- versions and methods ----


async def test_http_1_0_gets_a_whole_answer_and_the_end_of_the_connection() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.whole(200, b"", b"hello")

    wire = Wire(answer)
    await wire.say(b"POST /mcp HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
    assert wire.said == b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
    assert wire.transport.gone


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    async def stream(request: HttpRequest, connection: HttpConnection) -> None:
        connection.begin(200, EVENTS)
        connection.write(b"data: 1\n\n")
        connection.end()

    wire = Wire(stream)
    await wire.say(b"POST /mcp HTTP/1.0\r\n\r\n")
    assert wire.said == b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n"
    assert wire.transport.gone


async def test_the_answer_to_head_has_no_body_and_the_next_request_works() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.whole(405, b"allow: POST\r\n", b"not here")

    wire = Wire(answer)
    await wire.say(b"HEAD /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.said == b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 8\r\n\r\n"
    await wire.say(EMPTY)
    assert wire.said.endswith(b"not here")


async def test_an_upgrade_is_ignored_and_its_body_is_read() -> None:
    wire = Wire()
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    await wire.say(HEAD + upgrade + b"Content-Length: 5\r\n\r\nhello" + post(b"/2"))
    assert [(request.target, request.body) for request in wire.requests] == [(b"/mcp", b"hello"), (b"/2", b"")]
    assert wire.statuses == [200, 200]


async def test_a_status_that_nobody_knows_is_passed_on() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.whole(499, b"", b"")

    wire = Wire(answer)
    await wire.say(EMPTY)
    assert wire.said == b"HTTP/1.1 499 \r\ncontent-length: 0\r\n\r\n"


# ---- 100-continue ----


async def test_a_client_that_waits_for_the_word_gets_it_once() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD + b"Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
    assert wire.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.say([b"he", b"llo"])
    assert wire.statuses == [100, 200]


async def test_it_gets_it_in_its_turn() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    await turn()
    assert wire.statuses == []
    await gate.open()
    assert wire.statuses == [200, 100]


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    wire = Wire(max_body=10)
    wire.connection.data_received(HEAD + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
    assert wire.statuses == [413]
    assert wire.metrics.malformed == {"body_too_large": 1}


# ---- limits ----


@pytest.mark.parametrize("size", [1, 4096, 1 << 20], ids=["byte by byte", "in packets", "at once"])
async def test_a_head_over_the_limit_is_refused_however_it_arrives(size: int) -> None:
    data = HEAD + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    wire = Wire()
    await wire.say([data[at : at + size] for at in range(0, len(data), size)])
    assert wire.requests == []
    assert wire.metrics.malformed == {"head_too_large": 1}
    assert wire.statuses == [431]


async def test_more_headers_than_the_limit_are_refused() -> None:
    wire = Wire()
    await wire.say(HEAD + b"X: y\r\n" * MAX_HEADERS + b"\r\n")
    assert wire.statuses == [431]


async def test_a_chunked_body_over_the_limit_is_refused() -> None:
    wire = Wire(max_body=10)
    await wire.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
    assert (wire.requests, wire.statuses) == ([], [413])


async def test_chunks_that_are_mostly_framing_are_refused() -> None:
    wire = Wire(max_body=1 << 20)
    await wire.say([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1;" + b"x" * 1000 + b"\r\ny\r\n"] * 100])
    assert wire.requests == []
    assert wire.metrics.malformed == {"chunk_overhead": 1}


async def test_single_byte_chunks_are_not() -> None:
    wire = Wire(max_body=1 << 20)
    await wire.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 20_000 + b"0\r\n\r\n")
    assert [len(request.body) for request in wire.requests] == [20_000]


# ---- after a refusal ----


async def test_what_a_refused_client_still_sends_is_thrown_away_until_it_ends() -> None:
    wire = Wire(max_body=10)
    await wire.say([HEAD + b"Content-Length: 100000\r\n\r\n", *[b"x" * 1000] * 100])
    assert wire.statuses == [413]
    assert wire.transport.eof, "we have said all"
    assert not wire.transport.gone, "closing now would reset the connection under the answer"
    late(wire)
    assert wire.transport.aborted


async def test_where_a_side_cannot_be_ended_alone_the_connection_is_closed() -> None:
    wire = Wire(half_closes=False)
    await wire.say(b"\x00")
    assert (wire.statuses, wire.transport.gone) == ([400], True)


async def test_a_defect_is_answered_with_500_and_the_connection_goes_on() -> None:
    async def defect(request: HttpRequest, connection: HttpConnection) -> None:
        if request.target == b"/bad":
            raise RuntimeError("a defect")
        connection.whole(200, b"", b"")

    wire = Wire(defect)
    await wire.say(post(b"/bad") + post(b"/good"))
    assert wire.statuses == [500, 200]


# ---- the end of the listener ----


async def test_a_drain_closes_the_idle_and_serves_the_rest_once_more() -> None:
    idle, kept, late_one = Wire(), Wire(), Wire()
    kept.connection.data_received(HEAD)
    for wire in (idle, kept, late_one):
        wire.shared.draining = True
    idle.connection.shut()
    kept.connection.shut()
    assert (idle.transport.gone, kept.transport.gone) == (True, False)
    await kept.say(b"\r\n")
    await late_one.say(EMPTY)
    for wire in (kept, late_one):
        assert wire.statuses == [200]
        assert b"connection: close\r\n" in wire.said
        assert wire.transport.gone


async def test_a_drain_answers_all_that_was_pipelined() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2"))
    await turn()
    wire.shared.draining = True
    wire.connection.shut()
    await gate.open()
    assert b"connection: close" not in wire.said
    await gate.open()
    assert wire.statuses == [200, 200]
    assert wire.said.count(b"connection: close") == 1
    assert wire.transport.gone


async def test_a_call_that_is_cut_has_last_words() -> None:
    gate = Gate()
    gate.detach = True
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.shared.draining = True
    wire.connection.cut()
    await turn()
    assert wire.said.endswith(b"last words")
    assert (wire.transport.gone, wire.transport.aborted) == (True, False)
