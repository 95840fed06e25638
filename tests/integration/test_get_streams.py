"""GET streams through the gateway: they resume after what their client has seen, also at another replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.event_streams import (
    event,
    getting,
    log_message,
    message_of,
    send,
)
from tests.integration.get_streams import EventStore, said
from tests.integration.raw_session import call, opened
from tests.servers import Gateway, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, reset_before, silent, status
from tests.servers.handshakes import Handshakes
from tests.waiting import until

SAMPLING = "sampling/createMessage"


@asynccontextmanager
async def two_servers(
    gateway: GatewayFactory, stores: list[EventStore]
) -> AsyncIterator[tuple[Gateway, list[FaultServer]]]:
    """A gateway and its two servers, with the events of their GET streams."""
    servers = [FaultServer(Handshakes(stream=store), everything=True) for store in stores]
    async with servers[0], servers[1]:
        yield await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers))), servers


async def home_of(stores: list[EventStore]) -> int:
    """The number of the server that has the only stream, when it is open."""
    await until(lambda: any(store.readers for store in stores), "the stream is open")
    return 0 if stores[0].readers else 1


@pytest.mark.parametrize("last", [None, "5"])
@pytest.mark.parametrize("half", [False, True])
async def test_a_get_stream_whose_connection_breaks_resumes_after_the_clients_last_event(
    last: str | None,
    half: bool,
    gateway: GatewayFactory,
    server: FaultServer,
    handshakes: Handshakes,
    http: aiohttp.ClientSession,
) -> None:
    store = EventStore()
    handshakes.stream = store
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with getting(http, front, session, last) as blocks:
        await until(lambda: store.readers, "the stream is open")
        await store.say(6)
        assert said(await blocks.next()) == 6
        if half:
            await store.half(7)
        store.break_off()
        if not half:
            store.events.append(7)
        assert said(await blocks.next()) == 7
        await until(lambda: store.readers, "the stream is open again")
        await store.say(8)
        assert said(await blocks.next()) == 8
    assert store.asked == [last, "6"]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_partial_event_of_a_get_stream_is_charged_until_it_is_whole_or_broken_off(
    whole: bool,
    gateway: GatewayFactory,
    server: FaultServer,
    handshakes: Handshakes,
    http: aiohttp.ClientSession,
) -> None:
    size = 3 << 20
    store = EventStore()
    handshakes.stream = store
    front = await asyncio.to_thread(gateway, pool_toml(server.url))

    def charged() -> float:
        return front.metric('mcppool_memory_charged_bytes{account="streams"}')

    session = await opened(http, front)
    async with getting(http, front, session) as blocks:
        await until(lambda: store.readers, "the stream is open")
        large = log_message(1, 1).replace(b"\n\n", b"\n: " + b"x" * size)
        await send(store.readers[0], large)
        await until(lambda: charged() >= size, "what has come is charged")
        assert charged() < 2 * size
        if whole:
            await send(store.readers[0], b"\n\n")
        else:
            store.break_off()
        await until(lambda: charged() == 0, "it is given back")
        if whole:
            assert said(await blocks.next()) == 1


async def test_a_session_that_moves_takes_its_get_stream_along_and_resumes_it_at_its_new_home(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    stores = [EventStore(), EventStore()]
    async with two_servers(gateway, stores) as (front, servers):
        session = await opened(http, front)
        async with getting(http, front, session) as blocks:
            home = await home_of(stores)
            await stores[home].say(1)
            assert said(await blocks.next()) == 1
            # It hangs: the connection of the stream stays as it is, and another call moves the session.
            assert isinstance(servers[home].behaviour, Handshakes)
            servers[home].behaviour = silent
            status, _ = await session.post(front, call("read"))
            assert status == 200
            new = stores[1 - home]
            await until(lambda: new.readers, "the stream is open at the new home")
            await new.say(100)
            assert said(await blocks.message()) == 100
        assert new.asked == [None], "an id of the old home means nothing here"
        async with getting(http, front, session, "100"):
            await until(lambda: len(new.asked) == 2, "it was resumed")
            assert new.asked[1] == "100", "one of its own does"
        async with getting(http, front, session, "1"):
            await until(lambda: len(new.asked) == 3, "it was opened")
            assert new.asked[2] is None


async def test_a_get_stream_waits_for_its_server_to_come_back(
    gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    store = EventStore()
    handshakes.stream = store
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with getting(http, front, session) as blocks:
        await until(lambda: store.readers, "the stream is open")
        await store.say(1)
        assert said(await blocks.message()) == 1
        away = monotonic()
        await server.refuse()
        store.readers.clear()
        await until(lambda: monotonic() - away > 4, "it is away for longer than a few tries take")
        store.events.append(2)
        await server.listen()
        assert said(await blocks.message()) == 2
        await until(lambda: store.readers, "the stream is open again")
        await store.say(3)
        assert said(await blocks.message()) == 3


@pytest.mark.parametrize("line", ["200 OK", "400 Bad Request", "405 Method Not Allowed", "500 Internal Server Error"])
async def test_a_get_that_is_answered_with_no_stream_is_405(
    line: str, gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.respond(b"<html>no</html>", status=line, content_type="text/html")

    handshakes.stream = page
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": session.id}
    async with http.get(front.url, headers=headers) as response:
        assert response.status == 405
        assert "POST" in response.headers["Allow"]
        assert "html" not in await response.text()


@pytest.mark.parametrize(
    ("stream", "code", "wait"),
    [
        pytest.param(status("503 Service Unavailable", retry_after="7"), 405, "7", id="503"),
        pytest.param(status("429 Too Many Requests"), 405, "1", id="429"),
        pytest.param(reset_before, 502, "1", id="broken"),
    ],
)
async def test_a_get_stream_that_cannot_be_opened_is_given_up_after_five_attempts_and_may_be_opened_later(
    stream: Behaviour,
    code: int,
    wait: str,
    gateway: GatewayFactory,
    server: FaultServer,
    handshakes: Handshakes,
    http: aiohttp.ClientSession,
) -> None:
    handshakes.stream = stream
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": session.id}
    async with http.get(front.url, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (code, wait)
    assert sum(seen.method == "GET" for seen in server.requests) == 5
    store = handshakes.stream = EventStore()
    async with getting(http, front, session) as blocks:
        await until(lambda: store.readers, "the stream is open")
        await store.say(1)
        assert said(await blocks.message()) == 1


async def test_a_question_to_the_client_on_its_get_stream_comes_from_the_new_home_too(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    stores = [EventStore(), EventStore()]
    async with two_servers(gateway, stores) as (front, servers):
        session = await opened(http, front)
        async with getting(http, front, session) as blocks:
            home = await home_of(stores)
            for n, at in enumerate((home, 1 - home)):
                question = {"jsonrpc": "2.0", "id": 0, "method": SAMPLING, "params": {"maxTokens": n}}
                await send(stores[at].readers[0], event(question))
                asked = message_of(await blocks.message())
                assert {**asked, "id": 0} == question
                if at == home:  # the client has not answered when its session moves
                    await servers[home].refuse()
                    await until(lambda: stores[1 - home].readers, "the stream is open at the new home")
                    continue
                assert asked["id"] != 0, "the client may still answer the question that had this id"
                late = {"jsonrpc": "2.0", "id": 0, "result": {"of": "the old home"}}
                assert (await session.post(front, late))[0] == 202
                reply = {"jsonrpc": "2.0", "id": asked["id"], "result": {"of": "the new home"}}
                assert (await session.post(front, reply))[0] < 300
        answers = [r.body for r in servers[1 - home].requests if isinstance(r.body, dict) and "result" in r.body]
        assert answers == [{"jsonrpc": "2.0", "id": 0, "result": {"of": "the new home"}}]


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_a_pool_that_has_no_sessions_has_no_streams_either(
    verb: str, gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with http.request(verb, front.url, headers={"Accept": "text/event-stream"}) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_at_a_pool_that_has_sessions_a_get_must_name_one(
    gateway: GatewayFactory, server: FaultServer, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    await opened(http, front)
    async with http.get(front.url, headers={"Accept": "text/event-stream"}) as response:
        assert response.status == 400
