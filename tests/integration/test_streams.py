"""Streams through the gateway equal those of the bare server: ids, comments, `retry`, and clean ends."""

from __future__ import annotations

import asyncio
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
from tests.integration.get_streams import said
from tests.integration.raw_http import RawClient, ask, tool_call
from tests.integration.raw_session import HELLO, RawSession, call, opened
from tests.servers import pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, reset_after, silent
from tests.servers.handshakes import Handshakes
from tests.waiting import until

PRIMING = b"id: 1\nretry: 500\ndata: \n\n"


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


def silent_behind_its_id(left: asyncio.Event) -> Behaviour:
    """Begin a stream with an event id, and say no more; `left` is set when its reader has gone."""

    async def behave(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, PRIMING)
        await silent(exchange)
        left.set()

    return behave


async def test_the_servers_stream_ends_with_its_client_which_gets_the_rest_at_once_when_it_resumes(
    gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    left = asyncio.Event()

    handshakes.call = silent_behind_its_id(left)
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with posting(http, front, session, call("write")) as blocks:
        assert (await blocks.next()).startswith(b"id: 1")
        assert not left.is_set()
    await until(left.is_set, "until then the server holds back the rest from a stream that resumes it")


async def test_a_client_that_resumes_a_stream_before_its_end_was_noticed_gets_the_rest(
    gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    left = asyncio.Event()

    async def resume(exchange: Exchange) -> None:
        await left.wait()
        await begin(exchange)
        await send(exchange, event({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}, 2))
        await end(exchange)

    handshakes.call, handshakes.stream = silent_behind_its_id(left), resume
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with posting(http, front, session, call("write")) as broken:
        assert (await broken.next()).startswith(b"id: 1")
        async with getting(http, front, session, "1") as blocks:
            assert message_of(await blocks.next())["result"] == {"content": []}
        assert await broken.rest() == [], "it ends without an error"


async def test_the_answer_to_a_repeated_call_has_the_clients_id_on_the_stream_that_resumes_it(
    gateway: GatewayFactory, server: FaultServer, handshakes: Handshakes, http: aiohttp.ClientSession
) -> None:
    seen: list[Any] = []

    async def work(exchange: Exchange) -> None:
        seen.append(exchange.body["id"])
        if len(seen) > 1:
            await begin(exchange)
            await send(exchange, log_message(0, 1))
        exchange.reset()

    async def resume(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, event({"jsonrpc": "2.0", "id": seen[-1], "result": {"content": []}}, 2))
        await end(exchange)

    handshakes.call, handshakes.stream = work, resume
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    session = await opened(http, front)
    async with posting(http, front, session, call("read")) as blocks:
        assert said(await blocks.next()) == 0
        assert await blocks.rest() == []
    assert seen[0] == 1
    assert seen[1] != 1, "it is repeated under another id"
    async with getting(http, front, session, "1") as blocks:
        assert message_of(await blocks.next()) == {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}


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
