"""Cancellations and answers to servers' questions follow a call to its current id and endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.event_streams import begin, end, event, message_of, posting, send, session_headers
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, aserving, mcp1_client, npm_everything_server, pool_toml, typescript_client
from tests.servers.faults import Exchange, FaultServer, reset_after, silent
from tests.servers.handshakes import Handshakes, SessionLog
from tests.waiting import until


@pytest.fixture
async def servers() -> AsyncIterator[list[FaultServer]]:
    """Two servers of the handshake era."""
    servers = [FaultServer(Handshakes(), everything=True) for _ in range(2)]
    async with servers[0], servers[1]:
        yield servers


def of(server: FaultServer) -> Handshakes:
    assert isinstance(server.behaviour, Handshakes)
    return server.behaviour


def ours(server: FaultServer) -> SessionLog:
    """The test's session at the server, the last if there were several."""
    return of(server).of("mcppool-tests")[-1]


async def opened(http: aiohttp.ClientSession, front: Gateway) -> RawSession:
    session = RawSession(http)
    await session.open(front)
    return session


def cancelled(id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": "x"}}


async def raw_post(http: aiohttp.ClientSession, front: Gateway, session: RawSession, message: Any) -> tuple[str, bytes]:
    """Content type and body of an answer."""
    async with http.post(front.url, json=message, headers=session_headers(session)) as response:
        assert response.status == 200
        return response.content_type, await response.read()


async def test_a_cancellation_names_the_id_that_the_call_has_at_the_server(
    gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    server, tries = servers[0], []

    async def work(exchange: Exchange) -> None:
        tries.append(exchange.body["id"])
        await (reset_after if len(tries) == 1 else silent)(exchange)

    of(server).call = work
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    calling = asyncio.create_task(raw_post(http, front, session, call("read")))
    await until(lambda: len(tries) == 2, "the call was repeated")
    assert tries[1] != tries[0] == 1
    assert (await session.post(front, cancelled(1)))[0] == 202
    assert ours(server).cancelled == [tries[1]]
    assert await calling == ("text/event-stream", b""), "no error: its client has forgotten the id"


async def test_a_cancellation_follows_the_call_to_its_sessions_new_home(
    gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    for server in servers:
        of(server).call = silent
    front = await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers)))
    session = await opened(http, front)
    calling = asyncio.create_task(raw_post(http, front, session, call("read")))
    await until(lambda: any(server.calls("read") for server in servers), "the call is at the first home")
    home, other = servers if servers[0].calls("read") else reversed(servers)
    await home.refuse()
    await until(lambda: other.calls("read"), "the call is at the new home")
    assert (await session.post(front, cancelled(1)))[0] == 202
    assert ours(other).cancelled == [other.calls("read")[0].body["id"]]
    assert await calling == ("text/event-stream", b"")


@pytest.mark.parametrize("token", ["mine", 7])
async def test_progress_of_a_repeated_call_comes_under_the_clients_token(
    token: str | int, gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    server, tries = servers[0], []

    async def work(exchange: Exchange) -> None:
        tries.append(exchange.body)
        if len(tries) == 1:
            await reset_after(exchange)
            return
        now = exchange.body["params"]["_meta"]["progressToken"]
        await begin(exchange)
        for n in (1, 2):
            params = {"progressToken": now, "progress": n}
            await send(exchange, event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
        await send(exchange, event(exchange.answer()))
        await end(exchange)

    of(server).call = work
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    asked = call("read")
    asked["params"]["_meta"] = {"progressToken": token}
    async with posting(http, front, session, asked) as blocks:
        messages = [message_of(await blocks.message()) for _ in range(3)]
    assert [m["params"] for m in messages[:2]] == [{"progressToken": token, "progress": n} for n in (1, 2)]
    assert (messages[2]["id"], "result" in messages[2]) == (1, True)
    assert tries[1]["id"] != tries[0]["id"] == 1


async def test_unanswered_cancelled_calls_count_against_no_endpoint(
    gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    server = servers[0]
    of(server).call = silent
    sections = "[pools.circuit_breaker]\nfailure_threshold = 1\n[pools.outlier_detection]\nconsecutive_failures = 1\n"
    front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
    session = await opened(http, front)
    calls = [asyncio.create_task(raw_post(http, front, session, {**call("write"), "id": n})) for n in range(3)]
    await until(lambda: len(server.calls("write")) == 2, "as many as there are connections are at the server")
    for n in range(3):
        assert (await session.post(front, cancelled(n)))[0] == 202
    assert await asyncio.gather(*calls) == [("text/event-stream", b"")] * 3
    assert len(server.calls("write")) == 2, "the one that waited was never sent"
    of(server).call = Handshakes().call
    status, answer = await session.post(front, call("write"))
    assert (status, "result" in answer) == (200, True)


QUESTION = {"jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": {"message": "?"}}


async def test_time_in_which_the_client_is_asked_something_does_not_count(
    gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    server = servers[0]

    async def ask(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, event(QUESTION))
        if exchange.tool == "read":
            await until(lambda: [r for r in server.requests if r.body and r.body.get("id") == 0], "the answer")
            await send(exchange, event(exchange.answer()))
            await end(exchange)
        else:
            await silent(exchange)

    async def no_question(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, b": here\n\n")
        await silent(exchange)

    of(server).call = ask
    sections = (
        '[pools.timeouts]\nstream_idle = "1500ms"\nrequest = "2s"\n[pools.connection_pool]\nmax_connections = 9\n'
    )
    front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
    session = await opened(http, front)
    async with posting(http, front, session, call("read")) as blocks:
        assert message_of(await blocks.next()) == QUESTION
        of(server).call = no_question
        other = await opened(http, front)
        for _ in range(2):  # as long as two others need to be ended by their silence
            _, answer = await other.post(front, call("write"))
            assert "timeouts.stream_idle" in answer["error"]["message"]
        status, _ = await session.post(front, {"jsonrpc": "2.0", "id": 0, "result": {"action": "accept"}})
        assert status < 300
        assert "result" in message_of(await blocks.next())


async def test_an_answer_goes_to_the_server_that_asked_and_to_no_other(
    gateway: GatewayFactory, servers: list[FaultServer], http: aiohttp.ClientSession
) -> None:
    async def ask(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, event(QUESTION))
        await silent(exchange)

    def answers(server: FaultServer) -> list[Any]:
        return [r.body for r in server.requests if isinstance(r.body, dict) and "result" in r.body]

    for server in servers:
        of(server).call = ask
    front = await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers)))
    session = await opened(http, front)
    async with posting(http, front, session, call("write")) as blocks:
        assert message_of(await blocks.next()) == QUESTION
        home, other = servers if servers[0].calls("write") else reversed(servers)
        await home.refuse()
        assert "error" in message_of(await blocks.next())
    async with posting(http, front, session, call("write")) as blocks:
        again = message_of(await blocks.next())
        assert again["id"] != 0, "the client may still answer the question that had this id"
        assert {**again, "id": 0} == QUESTION
        late = {"jsonrpc": "2.0", "id": 0, "result": {"action": "late"}}
        assert (await session.post(front, late))[0] == 202
        reply = {"jsonrpc": "2.0", "id": again["id"], "result": {"action": "accept"}}
        assert (await session.post(front, reply))[0] < 300
        assert answers(other) == [{"jsonrpc": "2.0", "id": 0, "result": {"action": "accept"}}]


@pytest.mark.parametrize("kind", ["legacy", "1.x"])
async def test_the_typescript_client_gets_no_message_about_a_cancelled_call(kind: str, gateway: GatewayFactory) -> None:
    async with aserving(npm_everything_server("a")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with typescript_client(front.url, kind) as client:
            answer = await client.cancel("trigger-long-running-operation", 500, duration=60, steps=1)
            assert "error" in answer
            await until(lambda: "status=cancelled" in front.log, "the call is over")
            assert (await client.call("echo", message="hello"))["result"]["content"][0]["text"] == "Echo: hello"
            assert await client.errors() == []


async def test_the_python_client_1x_gets_no_message_about_a_cancelled_call(gateway: GatewayFactory) -> None:
    async with aserving(npm_everything_server("a")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with mcp1_client(front.url) as client:
            answer = await client.cancel("trigger-long-running-operation", 500, duration=60, steps=1)
            assert "error" not in answer, answer
            await until(lambda: "status=cancelled" in front.log, "the call is over")
            assert (await client.call("echo", message="hello"))["result"]["content"][0]["text"] == "Echo: hello"
            assert await client.errors() == []


@pytest.mark.parametrize("kind", ["legacy", "1.x"])
async def test_the_typescript_client_connects_to_a_pool_without_sessions_without_an_error(
    kind: str, gateway: GatewayFactory
) -> None:
    async with FaultServer(everything=True) as server:  # it gives out no session ids
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with typescript_client(front.url, kind) as client:
            assert client.hello["session"] is None
            assert "result" in await client.call("read")
            assert await client.errors() == []
