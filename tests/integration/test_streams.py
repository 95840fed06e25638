"""Streams through the gateway equal those of the bare server: ids, comments, `retry`, and clean ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.event_streams import (
    begin,
    end,
    event,
    getting,
    log_message,
    message_of,
    posting,
    send,
    streaming,
)
from tests.integration.raw_http import RawClient, ask, tool_call
from tests.integration.test_sessions import HELLO, RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, reset_after, reset_before, silent, status
from tests.servers.handshakes import Handshakes
from tests.waiting import until

PRIMING = b"id: 1\nretry: 500\ndata: \n\n"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    """A server of the handshake era with the behaviour `handshakes`."""
    async with FaultServer(Handshakes(), everything=True) as server:
        yield server


@pytest.fixture
def handshakes(server: FaultServer) -> Handshakes:
    assert isinstance(server.behaviour, Handshakes)
    return server.behaviour


async def opened(http: aiohttp.ClientSession, front: Gateway) -> RawSession:
    session = RawSession(http)
    await session.open(front)
    return session


# --- what is no message passes as it comes ---------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["read", "write"])
async def test_comments_ids_and_retry_of_a_server_pass_as_they_come(
    tool: str, gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    go_on = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, b": one\n\n", b"retry: 9000\n\n", PRIMING, b": two\r\n\r\n")
        await go_on.wait()
        await send(exchange, event(exchange.answer(), 2))
        await end(exchange)

    handshakes.call = behave
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with http.post(
        front.url,
        json=call(tool),
        headers={
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": session.id,
        },
    ) as response:
        wanted = b": one\n\nretry: 9000\n\n" + PRIMING + b": two\r\n\r\n"
        got = b""
        async with asyncio.timeout(90):
            while len(got) < len(wanted):
                got += await response.content.readany()
        assert got == wanted, "before there is an answer"
        go_on.set()
        assert message_of((await response.read()).strip())["id"] == 1


@pytest.mark.parametrize("answer", ["stream", "json", "large json"])
async def test_another_attempt_may_answer_after_comments_have_passed(answer: str, gateway: GatewayFactory) -> None:
    async def second(exchange: Exchange) -> None:
        body = exchange.answer()
        if answer == "large json":
            body["result"]["content"] = [{"type": "text", "text": "x" * 300_000 + "\n"}]
        await exchange.respond(body)

    script = [
        streaming(b": still here\n\n", answers=False, ends=False),
        streaming() if answer == "stream" else second,
    ]
    async with FaultServer(script=script) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        said = await ask(front, tool_call("read", request_id="mine"))
        assert (said.status, said.headers["content-type"]) == (200, "text/event-stream")
        first, *rest = [block for block in said.body.split(b"\n\n") if block]
        assert first == b": still here"
        assert [message_of(block)["id"] for block in rest] == ["mine"]
        assert "result" in message_of(rest[0])
        assert len(server.calls("read")) == 2


async def test_an_error_after_comments_comes_as_an_event(gateway: GatewayFactory) -> None:
    async with FaultServer(streaming(b": still here\n\n", answers=False, ends=False)) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with RawClient(front) as client:
            await client.send(tool_call("write"))
            said = await client.answer()
            data = message_of(said.body.split(b"\n\n")[1])["error"]["data"]
            assert (data["reason"], data["delivered"]) == ("connection_lost", "yes")
            server.behaviour = healthy
            await client.send(tool_call("write", request_id=2))
            assert (await client.answer()).json["id"] == 2, "and the connection goes on"
    assert len(server.calls("write")) == 2


async def test_an_answer_under_a_new_id_keeps_the_other_fields_of_its_event(gateway: GatewayFactory) -> None:
    async def second(exchange: Exchange) -> None:
        await begin(exchange)
        plain = event(exchange.answer()).rstrip(b"\n")
        await send(exchange, b"retry: 700\nevent: message\nid: 7\n: a comment\n" + plain + b"\n\n")
        await end(exchange)

    async with FaultServer(script=[reset_after, second]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        said = await ask(front, tool_call("read", request_id="mine"))
    lines = said.body.rstrip(b"\n").split(b"\n")
    assert lines[:4] == [b"retry: 700", b"event: message", b"id: 7", b": a comment"]
    assert message_of(said.body)["id"] == "mine"


# --- GET streams -----------------------------------------------------------------------------------------------------


class EventStore:
    """A GET at a server that remembers events: `say` makes one; a resuming client gets the missed ones."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self.asked: list[str | None] = []
        self.readers: list[Exchange] = []

    async def __call__(self, exchange: Exchange) -> None:
        last = exchange.headers.get("last-event-id")
        self.asked.append(last)
        await begin(exchange)
        for n in [n for n in self.events if last is not None and n > int(last)]:
            await send(exchange, log_message(n, n))
        self.readers = [exchange]
        await silent(exchange)

    async def say(self, n: int) -> None:
        self.events.append(n)
        for reader in self.readers:
            await send(reader, log_message(n, n))

    async def half(self, n: int) -> None:
        """Something happens, and half of its event is sent."""
        self.events.append(n)
        await send(self.readers[0], log_message(n, n)[:40])

    def break_off(self) -> None:
        for reader in self.readers:
            reader.reset()
        self.readers = []


def said(block: bytes) -> int:
    number: int = message_of(block)["params"]["data"]
    return number


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
    servers = [FaultServer(Handshakes(stream=store), everything=True) for store in stores]
    async with servers[0], servers[1]:
        front = await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers)))
        session = await opened(http, front)
        async with getting(http, front, session) as blocks:
            await until(lambda: any(store.readers for store in stores), "the stream is open")
            home = 0 if stores[0].readers else 1
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
    servers = [FaultServer(Handshakes(stream=store), everything=True) for store in stores]
    async with servers[0], servers[1]:
        front = await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers)))
        session = await opened(http, front)
        async with getting(http, front, session) as blocks:
            await until(lambda: any(store.readers for store in stores), "the stream is open")
            home = 0 if stores[0].readers else 1
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


SAMPLING = "sampling/createMessage"


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


# --- streams that their client can resume ----------------------------------------------------------------------------

ENDS = {
    "the connection breaks": "",
    "timeouts.stream_idle": '[pools.timeouts]\nstream_idle = "500ms"\n',
    "drain": '[pools.timeouts]\ndrain = "100ms"\n',
}


@pytest.mark.parametrize("told", [False, True], ids=["silent", "with progress"])
@pytest.mark.parametrize("why", ENDS)
async def test_a_stream_that_its_client_can_resume_ends_without_an_error_and_has_its_answer_when_it_is_resumed(
    why: str,
    told: bool,
    gateway: GatewayFactory,
    server: FaultServer,
    handshakes: Handshakes,
    http: aiohttp.ClientSession,
) -> None:
    breaks = asyncio.Event()

    async def work(exchange: Exchange) -> None:
        exchange.execute()
        await begin(exchange)
        await send(exchange, PRIMING)
        if told:
            await send(exchange, log_message(0, 2))
        if why == "the connection breaks":
            await breaks.wait()
            exchange.reset()
        else:
            await silent(exchange)

    async def resume(exchange: Exchange) -> None:
        await begin(exchange)
        if exchange.headers.get("last-event-id") == ("2" if told else "1"):
            await send(exchange, event({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}, 3))
        await end(exchange)

    handshakes.call, handshakes.stream = work, resume
    front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=ENDS[why]))
    session = await opened(http, front)
    async with posting(http, front, session, call("write")) as blocks:
        assert (await blocks.next()).startswith(b"id: 1")
        if told:
            assert said(await blocks.next()) == 0
        breaks.set()
        if why == "drain":
            await asyncio.to_thread(front.terminate)
        assert await blocks.rest() == [], "it ends, and no error says that there is no answer"
    if why != "drain":
        async with getting(http, front, session, "2" if told else "1") as blocks:
            assert message_of(await blocks.next())["result"] == {"content": []}
    assert server.executed("write") == 1


async def test_resuming_a_stream_of_a_lost_server_reports_the_lost_answer(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    async def work(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, PRIMING)
        await silent(exchange)

    servers = [FaultServer(Handshakes(call=work), everything=True) for _ in range(2)]
    async with servers[0], servers[1]:
        front = await asyncio.to_thread(gateway, pool_toml(*(server.url for server in servers)))
        session = await opened(http, front)
        async with posting(http, front, session, call("write")) as blocks:
            assert (await blocks.next()).startswith(b"id: 1")
            home = servers[0] if servers[0].calls("write") else servers[1]
            await home.refuse()
            assert await blocks.rest() == []
        async with getting(http, front, session, "1") as blocks:
            answer = message_of(await blocks.next())
            assert (answer["id"], answer["error"]["data"]["reason"]) == (1, "connection_lost")
            assert await blocks.rest() == []


async def test_the_stream_of_a_client_of_an_older_version_ends_with_an_error(
    gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    handshakes.call = streaming(PRIMING, answers=False, ends=False)
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    hello: dict[str, Any] = {**HELLO, "params": {**HELLO["params"], "protocolVersion": "2025-06-18"}}  # type: ignore[dict-item]
    session = RawSession(http)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with http.post(front.url, json=hello, headers=headers) as response:
        session.id = response.headers["Mcp-Session-Id"]
    async with posting(http, front, session, call("write")) as blocks:
        *_, last = await blocks.rest()
    assert message_of(last)["error"]["data"]["reason"] == "connection_lost"
