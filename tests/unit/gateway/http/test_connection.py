"""One connection in each of its states: queues, the clock, slow clients, vanishing clients, the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcppool.gateway.http.client_caps import UNLIMITED
from mcppool.gateway.http.connection import CROWDED_IDLE, HttpConnection
from mcppool.gateway.http.connection_state import (
    CLOSED,
    CLOSING,
    ENDING,
    IDLE,
    IDLE_TIMEOUT,
    MIN_RECEIVED,
    NEVER,
    OUTLIVES_CLIENT,
    READING_BODY,
    READING_HEAD,
    ClientConnectionState,
)
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.send_buffer import MIN_TAKEN, MIN_TAKEN_SHARE, STALLED
from mcppool.policy.memory_budget import MemoryBudget
from tests.unit.gateway.http.calls import EMPTY, EVENTS, HEAD, WITH_BODY, Gate, has_just_entered, late, post, turn
from tests.unit.gateway.http.driving import Wire
from tests.waiting import until


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


async def test_an_idle_connection_is_closed_in_silence() -> None:
    wire = Wire()
    assert has_just_entered(wire, IDLE)
    late(wire)
    assert wire.transport.gone
    assert wire.said == b""


@pytest.mark.parametrize(
    ("beginning", "state"), [(HEAD, READING_HEAD), (WITH_BODY + b"x", READING_BODY)], ids=["head", "body"]
)
async def test_a_request_that_drips_in_is_refused_in_time(beginning: bytes, state: ClientConnectionState) -> None:
    wire = Wire()
    wire.connection.data_received(beginning)
    deadline = wire.connection.deadline
    assert has_just_entered(wire, state)
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
    assert has_just_entered(wire, READING_BODY)


async def test_a_client_that_takes_next_to_nothing_is_cut_off_and_a_slow_one_is_not() -> None:
    wire = Wire(Gate())
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.backlog = 1_000_000
    wire.connection.pause_writing()
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert not wire.transport.gone, "it has taken some"
    wire.transport.backlog -= 100
    late(wire)
    assert wire.transport.aborted, "a byte now and then is not taking an answer"


async def test_a_large_answer_is_to_be_taken_faster_than_a_small_one() -> None:
    wire = Wire(Gate())
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.backlog = 64 << 20
    wire.connection.pause_writing()
    wire.transport.backlog -= (64 << 20) // MIN_TAKEN_SHARE
    late(wire)
    assert not wire.transport.gone
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert wire.transport.aborted, "it would take a day"


async def test_no_request_is_read_while_answers_wait_to_be_taken() -> None:
    """A client that only asks would fill our memory with its answers."""

    async def large(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"x" * 100_000)
        wire.transport.backlog = 100_000
        connection.pause_writing()

    wire = Wire(large)
    asked = 0
    while not wire.transport.paused:
        wire.connection.data_received(post(b"/next") * 10)
        asked += 10
        assert asked < 10_000
        await turn()
    assert wire.statuses == [200]
    assert wire.connection.held == wire.shared.answers.used == 100_000
    for answered in range(1, asked):
        wire.transport.backlog = 0
        wire.connection.resume_writing()
        await wire.settle(lambda answered=answered: len(wire.statuses) > answered)
        assert len(wire.statuses) == answered + 1, "one more answer has been taken, so one more request is read"
    wire.transport.close()
    await turn()
    assert wire.shared.answers.used == 0


@pytest.mark.parametrize("last", ["a refusal", "the word to go on"])
async def test_no_comments_are_written_while_answers_wait_either(last: str) -> None:
    async def large(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"x" * 100_000)
        connection.pause_writing()

    wire = Wire(large)
    more = b"garbage\r\n\r\n" if last == "a refusal" else HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    wire.connection.data_received(EMPTY + more)
    await turn()
    assert wire.statuses == [200]
    wire.connection.resume_writing()
    await turn()
    assert wire.statuses == [200, 400 if last == "a refusal" else 100]


async def test_while_memory_is_full_only_stalled_clients_are_cut() -> None:
    memory = MemoryBudget(100 << 20, base=50 << 20)
    stalled = Wire(Gate(), memory=memory)
    taking = stalled.another()
    for wire in (stalled, taking):
        wire.connection.data_received(EMPTY)
        await turn()
        wire.connection._buffer.write(b"x" * (1 << 20))
        wire.transport.backlog = 1 << 20
        wire.connection.pause_writing()
    for _ in range(2 * STALLED):
        taking.transport.backlog -= 1000
        stalled.sweep(0.0)
    assert not stalled.transport.gone, "there is memory"
    memory.watch(101 << 20)
    for _ in range(2 * STALLED):
        taking.transport.backlog -= 1000
        stalled.sweep(0.0)
    assert stalled.transport.aborted
    assert not taking.transport.gone
    assert stalled.metrics.turned_away == {"unread_answer": 1}


async def test_a_large_body_may_take_its_time_as_long_as_it_comes() -> None:
    size = 3 * MIN_RECEIVED
    wire = Wire(max_body=size)
    wire.connection.data_received(HEAD + b"Content-Length: %d\r\n\r\n" % size)
    for _ in range(2):
        wire.connection.data_received(b"x" * MIN_RECEIVED)
        late(wire)
        assert has_just_entered(wire, READING_BODY)
    wire.connection.data_received(b"x" * 1000)
    late(wire)
    assert wire.statuses == [408]
    assert wire.shared.limits.bodies.used == wire.connection.usage.address.held == 0


async def test_a_stream_waits_for_its_client() -> None:
    steps: list[str] = []

    async def stream(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.begin(200, EVENTS)
        connection.response.write(b"one")
        await connection.response.drain()
        steps.append("drained")
        connection.response.end()

    wire = Wire(stream)
    wire.connection.data_received(EMPTY)
    wire.connection.pause_writing()
    await turn()
    assert steps == []
    wire.connection.resume_writing()
    await turn()
    assert steps == ["drained"]
    assert wire.said.endswith(b"3\r\none\r\n0\r\n\r\n")
    assert has_just_entered(wire, IDLE)


async def test_a_closing_connection_does_not_wait_forever_for_its_client() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    wire.transport.gone = False
    wire.transport.close = lambda: None  # type: ignore[method-assign]  # unsent bytes keep it open
    await turn()
    assert wire.connection.deadline < NEVER


async def test_a_client_that_goes_cancels_its_call() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2"))
    await turn()
    wire.transport.close()
    await turn()
    assert (gate.cancelled, gate.targets) == (1, [b"/1"])
    assert wire.connections == set()
    assert wire.shared.detached == set()


async def test_a_detached_call_goes_on_without_its_client() -> None:
    gate = Gate()
    gate.lifetime = OUTLIVES_CLIENT
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


async def test_a_detached_call_ends_with_its_client_if_the_client_can_resume_its_stream() -> None:
    gate = Gate()
    gate.lifetime = OUTLIVES_CLIENT
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.connection.response.resumable()
    wire.transport.close()
    await turn()
    assert gate.cancelled == 1
    assert wire.shared.detached == set()


@pytest.mark.parametrize("last", ["nothing", "a stream without an end", "an answer that is cut"])
async def test_a_call_that_may_outlive_its_client_and_cuts_the_connection_leaves_no_task(last: str) -> None:
    async def cut(request: HttpRequest, connection: HttpConnection) -> None:
        connection.lifetime = OUTLIVES_CLIENT
        if last == "a stream without an end":
            connection.response.begin(200, EVENTS)
        elif last == "an answer that is cut":
            connection.response.whole(200, b"", b"")
            connection.response.abort()

    wire = Wire(cut)
    wire.connection.data_received(EMPTY)
    await turn()
    assert wire.transport.aborted
    assert wire.connection.state is CLOSED
    assert (wire.shared.detached, wire.connections) == (set(), set())


async def test_a_client_that_goes_while_its_call_is_cut_gets_no_last_words() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.connection.cut()
    assert wire.connection.state is ENDING
    wire.connection.connection_lost(None)
    await turn()
    assert (gate.cancelled, wire.said) == (1, b"")
    assert wire.shared.detached == set()


async def test_a_closing_connection_lasts_as_long_as_its_client_takes_the_answer() -> None:
    wire = Wire()
    wire.transport.close = lambda: None  # type: ignore[method-assign]  # unsent bytes keep it open
    wire.transport.backlog = 1_000_000
    wire.connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    await turn()
    assert has_just_entered(wire, CLOSING)
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert has_just_entered(wire, CLOSING)
    assert not wire.transport.aborted
    late(wire)
    assert wire.transport.aborted, "the client has taken nothing since"


async def test_a_body_is_awaited_again_once_the_client_has_read_100_continue() -> None:
    wire = Wire()
    write = wire.transport.write

    def fill(data: bytes | bytearray | memoryview) -> None:
        write(data)
        wire.connection.pause_writing()

    wire.transport.write = fill  # type: ignore[method-assign]
    wire.connection.data_received(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    wire.transport.write = write  # type: ignore[method-assign]
    assert wire.statuses == [100]
    wire.connection.resume_writing()
    assert has_just_entered(wire, READING_BODY)
    await wire.say(b"hello")
    assert [request.body for request in wire.requests] == [b"hello"]
    assert wire.statuses == [100, 200]


async def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing_behind() -> None:
    for part in (b"", b"PO", HEAD, WITH_BODY + b"x"):
        wire = Wire()
        if part:
            wire.connection.data_received(part)
        wire.transport.close()
        await turn()
        assert wire.connections == set()
        assert wire.requests == []
        assert wire.connection.deadline == NEVER


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
    gate.lifetime = OUTLIVES_CLIENT
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.shared.draining = True
    wire.connection.cut()
    await turn()
    assert wire.said.endswith(b"last words")
    assert (wire.transport.gone, wire.transport.aborted) == (True, False)


async def test_one_client_cannot_have_all_connections() -> None:
    caps = replace(UNLIMITED, connections=5, connections_per_client=2)
    first = Wire(caps=caps, peer="10.0.0.1")
    second, third = first.another("10.0.0.1"), first.another("::ffff:10.0.0.1")
    assert third.statuses == [503]
    assert b"listener.max_connections_per_client" in third.said
    assert third.transport.gone
    await turn()
    other = first.another("10.0.0.2")
    for wire in (first, second, other):
        await wire.say(EMPTY)
        assert wire.statuses == [200]
    assert first.metrics.turned_away == {"max_connections_per_client": 1}
    second.transport.close()
    await turn()
    again = first.another("10.0.0.1")
    await again.say(EMPTY)
    assert again.statuses == [200], "a place is free again"
    many = [first.another(f"10.0.1.{n}") for n in range(4)]
    assert [wire.statuses for wire in many] == [[], [], [503], [503]]
    assert b"listener.max_connections " in many[2].said


async def test_a_network_of_ipv6_addresses_is_one_client() -> None:
    first = Wire(caps=replace(UNLIMITED, connections_per_client=1), peer="2001:db8::1")
    assert first.another("2001:db8::2").statuses == [503]
    assert first.another("2001:db8:0:1::1").statuses == []


async def test_where_few_places_are_left_idle_connections_make_room_early() -> None:
    caps = replace(UNLIMITED, connections=10)
    gate = Gate()
    wires = [Wire(gate, caps=caps)]
    wires += [wires[0].another() for _ in range(9)]
    wires[0].connection.data_received(EMPTY)
    await turn()
    began = wires[1].connection.deadline - IDLE_TIMEOUT
    wires[0].sweep(began + CROWDED_IDLE - 1)
    assert not any(wire.transport.gone for wire in wires)
    wires[0].sweep(began + CROWDED_IDLE + 1)
    assert [wire.transport.gone for wire in wires] == [False] + [True] * 9


async def test_bytes_of_an_unfinished_request_are_given_back_when_the_client_goes() -> None:
    wire = Wire(max_body=1 << 20)
    wire.connection.data_received(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    assert wire.connection.usage.address.held >= 500_000
    wire.transport.close()
    await turn()
    assert wire.connection.usage.address.held == wire.shared.limits.bodies.used == 0


@pytest.mark.parametrize("pieces", [1, 10])
async def test_a_body_is_charged_until_its_call_is_over(pieces: int) -> None:
    gate = Gate()
    wire = Wire(gate, max_body=1 << 20)
    data = HEAD + b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000
    step = len(data) // pieces + 1
    for at in range(0, len(data), step):
        wire.connection.data_received(data[at : at + step])
    await turn()
    assert wire.shared.limits.bodies.used >= 500_000
    await gate.open()
    assert wire.statuses == [200]
    assert wire.shared.limits.bodies.used == wire.connection.usage.address.held == 0


async def test_chunks_of_one_connection_are_read_in_turns() -> None:
    wire = Wire(max_body=16 << 20)
    wire.connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    wire.connection.data_received(b"1\r\nx\r\n" * 1_000_000)
    assert wire.transport.paused
    other = wire.another()
    other.connection.data_received(EMPTY)
    await turn()
    assert other.statuses == [200]
    assert wire.transport.paused, "there is more to read, and the other one had its turn meanwhile"
    await until(lambda: not wire.transport.paused, "all is read")
    wire.connection.data_received(b"0\r\n\r\n")
    await turn()
    assert [len(request.body) for request in wire.requests] == [0, 1_000_000], "of both connections"


async def test_bodies_that_are_thrown_away_are_read_slowly_and_to_their_end() -> None:
    caps = replace(UNLIMITED, memory_per_client=1000)
    wires = [Wire(max_body=1 << 20, caps=caps)]
    wires += [wires[0].another() for _ in range(3)]
    for wire in wires:
        wire.connection.data_received(HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert wire.transport.paused
    wires[0].transport.close()
    for wire in wires[1:]:
        await until(lambda wire=wire: not wire.transport.paused, "its turn comes")  # type: ignore[misc]
        wire.connection.data_received(b"x" * 100_000)
        await turn()
        assert wire.statuses == [200], "as its handler says, which is told that the body is lost"
    assert [request.lost for request in wires[0].requests] == [True] * 3
