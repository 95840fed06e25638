"""Resumed streams of the handshake era: `Last-Event-ID` is valid at one replica only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.integration.raw_session import HEADERS, RawSession, call
from tests.servers import (
    Gateway,
    ServerProcess,
    aserving,
    everything_server,
    npm_everything_server,
    pool_toml,
    text_of,
    urls_of,
)
from tests.waiting import until


@dataclass
class Event:
    """One event of a stream: its id and its message, None if it is to be remembered only."""

    id: str | None
    message: dict[str, Any] | None


class Events:
    """A stream's events, one by one; None at its end."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._lines = response.content

    async def next(self) -> Event | None:
        """The next event; comments are passed over."""
        id, data = None, None
        async with asyncio.timeout(60):
            async for raw in self._lines:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("id: "):
                    id = line[4:]
                elif line.startswith("data:"):
                    data = line[5:].strip()
                elif not line and (id is not None or data is not None):
                    return Event(id, json.loads(data) if data else None)
        return None

    async def message(self) -> Event:
        """The next event that has a message."""
        while (event := await self.next()) is not None:
            if event.message is not None:
                return event
        raise AssertionError("the stream ended")


@asynccontextmanager
async def stream(
    http: aiohttp.ClientSession, front: Gateway, session: RawSession, last: str | None = None
) -> AsyncIterator[Events]:
    """The session's GET stream, resumed after the event `last`."""
    headers = {
        "Accept": "text/event-stream",
        "Mcp-Session-Id": session.id,
        "MCP-Protocol-Version": "2025-11-25",
        **({"Last-Event-ID": last} if last is not None else {}),
    }
    async with http.get(front.url, headers=headers) as response:
        assert response.status == 200
        yield Events(response)


@pytest.fixture
async def servers() -> AsyncIterator[tuple[ServerProcess, ...]]:
    """Servers that end streams before an answer, and remember events."""
    async with aserving(*(everything_server(name) for name in "abc")) as servers:
        yield servers


@pytest.fixture
async def npm_servers() -> AsyncIterator[tuple[ServerProcess, ...]]:
    """Servers that send events on their own, and remember events."""
    async with aserving(*(npm_everything_server(name) for name in "abc")) as servers:
        yield servers


async def make_it_speak(front: Gateway, session: RawSession) -> None:
    """The session's server says one thing on its stream (and begins, and ends, to do so every five seconds)."""
    for _ in range(2):
        status, answer = await session.post(front, call("toggle-simulated-logging"))
        assert (status, answer.get("error")) == (200, None)


async def spoken(events: Events) -> Event:
    """The next of the server's events that says so."""
    while (event := await events.message()).message is not None:
        if event.message.get("method") == "notifications/message":
            break
    return event


async def test_missed_events_come_when_a_stream_is_resumed(
    gateway: GatewayFactory, npm_servers: tuple[ServerProcess, ...], http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(npm_servers)))
    for _ in range(3):
        session = RawSession(http)
        await session.open(front)
        async with stream(http, front, session) as events:
            await make_it_speak(front, session)
            seen = await spoken(events)
        assert seen.id is not None
        await make_it_speak(front, session)
        await make_it_speak(front, session)
        async with stream(http, front, session, seen.id) as events:
            missed = [await spoken(events) for _ in range(2)]
        assert len({seen.id, *(event.id for event in missed)}) == 3


async def test_an_answer_is_fetched_where_the_server_has_ended_the_stream_before_it(
    gateway: GatewayFactory, servers: tuple[ServerProcess, ...], http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers)))
    for _ in range(3):
        session = RawSession(http)
        await session.open(front)
        headers = {**HEADERS, "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25"}
        last = None
        async with http.post(front.url, json=call("test_reconnection"), headers=headers) as response:
            events = Events(response)
            while (event := await events.next()) is not None:
                assert event.message is None or "result" not in event.message
                last = event.id or last
        assert last is not None
        async with stream(http, front, session, last) as events:
            while (event := await events.message()).message is not None and "result" not in event.message:
                pass
        assert event.message is not None
        assert event.message["id"] == 1
        assert "completed" in event.message["result"]["content"][0]["text"]


async def test_the_sdks_client_takes_a_stream_up_again_through_the_gateway(
    gateway: GatewayFactory, servers: tuple[ServerProcess, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers)))
    async with Client(front.url, mode="legacy") as client:
        result = await client.call_tool("test_reconnection", {})
    assert not result.is_error
    assert "completed" in text_of(result)


async def test_at_its_new_home_a_session_has_a_new_stream_whatever_it_saw_of_the_old_one(
    gateway: GatewayFactory, npm_servers: tuple[ServerProcess, ...], http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(npm_servers)))
    session = RawSession(http)
    await session.open(front)
    async with stream(http, front, session) as events:
        await make_it_speak(front, session)
        seen = await spoken(events)
    home = next(
        server for server in npm_servers if f"endpoint={server.url} " in front.log.split("method=initialize")[1]
    )
    home.kill()
    async with stream(http, front, session, seen.id) as events:
        await make_it_speak(front, session)
        assert (await spoken(events)).id != seen.id
    await until(lambda: "session_moved" in front.log, "it is logged")
