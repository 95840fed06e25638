"""`mcppool.Pool` and servers of the handshake era: sessions that are opened ahead, used once and ended."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import mcppool
from tests.integration.client_library import legacy_pool
from tests.servers.faults import (
    Exchange,
    delayed,
    gated,
    silent,
)
from tests.servers.handshakes import Handshakes
from tests.waiting import until


async def test_a_session_carries_one_call_at_a_time_and_is_used_once() -> None:
    server = Handshakes(delayed(0.01))
    async with legacy_pool(server, 2) as (pool, _), asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(pool.call_tool("write"))
    mine = server.of("the-program")
    assert all(session.most_at_work <= 1 and len(session.calls) <= 1 for session in mine)
    assert sum(len(session.calls) for session in mine) == 30
    assert all(session.ended for session in mine), "those that lay ready, too"


async def test_sessions_without_state_are_used_again_one_call_at_a_time() -> None:
    server = Handshakes(delayed(0.01))
    async with legacy_pool(server, 2, sessions={"stateless": True}) as (pool, _), asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(pool.call_tool("write"))
    mine = server.of("the-program")
    assert all(session.most_at_work <= 1 for session in mine)
    assert sum(len(session.calls) for session in mine) == 60
    assert len(mine) <= 8 + 2, "no more than may be leased, and the floor"
    assert all(session.ended for session in mine)


async def test_sessions_are_opened_ahead_and_replaced_in_the_background() -> None:
    server = Handshakes()
    async with legacy_pool(server) as (pool, _):
        await until(lambda: any(each.ready for each in server.of("the-program")), "one lies ready before any call")
        await pool.call_tool("write")
        assert server.of("the-program")[0].calls == ["write"]
        await until(lambda: server.of("the-program")[0].ended, "the used one is ended")
        await until(lambda: len(server.of("the-program")) == 2, "another takes its place")


async def test_a_session_that_its_server_has_ended_costs_no_call() -> None:
    server = Handshakes()
    async with legacy_pool(server) as (pool, (fake,)):
        await until(lambda: len(server.of("the-program")) == 1, "one lies ready")
        server.forgotten |= {id for id, session in server.sessions.items() if session.client == "the-program"}
        await pool.call_tool("write")
        assert fake.executed("write") == 1


async def test_a_call_that_is_cancelled_is_cancelled_in_its_session_which_is_ended() -> None:
    gate = asyncio.Event()
    server = Handshakes(gated(gate))
    async with legacy_pool(server) as (pool, _):
        call = asyncio.create_task(pool.call_tool("write"))
        await until(lambda: any(session.at_work for session in server.of("the-program")), "it is at work")
        (session,) = [session for session in server.of("the-program") if session.at_work]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: session.ended, "its session is ended")
        assert len(session.cancelled) == 1
        gate.set()


async def test_calls_wait_in_turn_for_a_session_and_no_longer_than_they_may() -> None:
    gate = asyncio.Event()
    server = Handshakes(gated(gate))
    limits = {"min_connections": 0, "max_connections": 1, "acquire_timeout": "200ms", "max_waiting": 2}
    async with legacy_pool(server, connection_pool=limits) as (pool, _):
        first = asyncio.create_task(pool.call_tool("write"))
        await until(lambda: any(session.at_work for session in server.of("the-program")), "the first is at work")
        others = [asyncio.create_task(pool.call_tool("write")) for _ in range(3)]
        failures = await asyncio.gather(*others, return_exceptions=True)
        reasons = Counter(str(getattr(failure, "reason", failure)) for failure in failures)
        assert reasons == {"acquire_timeout": 2, "queue_full": 1}
        assert {getattr(failure, "delivered", None) for failure in failures} == {"no"}
        gate.set()
        await first


async def test_a_servers_question_in_the_middle_of_a_call_gets_an_error() -> None:
    answers: list[Any] = []

    async def ask(exchange: Exchange) -> None:
        question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}
        events = [f"data: {json.dumps(message)}\n\n" for message in (question, exchange.answer())]
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.send(f"{len(events[0]):x}\r\n{events[0]}\r\n".encode())
        await until(lambda: any(told(seen) for seen in exchange.server.requests), "the answer to the question")
        answers.extend(seen.body for seen in exchange.server.requests if told(seen))
        await exchange.send(f"{len(events[1]):x}\r\n{events[1]}\r\n0\r\n\r\n".encode())

    def told(seen: Exchange) -> bool:
        return isinstance(seen.body, dict) and seen.body.get("id") == "q"

    async with legacy_pool(Handshakes(ask)) as (pool, _):
        assert (await pool.call_tool("write")).is_error is False
    assert answers[0]["error"]["code"] == -32601


def polling(rest: Callable[[Exchange], Awaitable[None]]) -> Handshakes:
    """A server that ends the stream of each call before the answer and expects its client to come back for the rest."""

    async def begin(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.respond(b"id: 7\ndata:\nretry: 10\n\n", content_type="text/event-stream")

    return Handshakes(begin, rest)


async def test_the_rest_of_a_stream_that_its_server_breaks_off_is_fetched() -> None:
    async def rest(exchange: Exchange) -> None:
        assert exchange.headers["last-event-id"] == "7"
        (call,) = exchange.server.calls("write")
        event = f"id: 8\ndata: {json.dumps(call.answer())}\n\n"
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.send(f"{len(event):x}\r\n{event}\r\n".encode())
        await silent(exchange)  # a stream of this kind goes on after the answer

    async with legacy_pool(polling(rest)) as (pool, (fake,)):
        assert (await asyncio.wait_for(pool.call_tool("write"), 60)).is_error is False
        assert fake.executed("write") == 1


async def test_a_rest_that_never_comes_ends_with_the_time_of_the_call() -> None:
    async with legacy_pool(polling(silent), timeouts={"request": "3s"}) as (pool, _):
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("write"), 60)
        assert (caught.value.reason, caught.value.delivered) == ("timeout", "yes")
