"""Streams of the official SDK's 1.x servers with an event store, on which connections break."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.integration.event_streams import session_headers
from tests.integration.raw_session import RawSession, call
from tests.integration.test_resumption import Event, Events, stream
from tests.servers import Gateway, Replica, aserving, pool_toml, sdk1_replica
from tests.servers.process import HOST
from tests.waiting import until

STEPS = 12
QUICK = '[pools.timeouts]\ndrain = "200ms"\n'


class _End(asyncio.Protocol):
    """One end of a connection; its bytes go to the other."""

    def __init__(self, wire: Wire, other: _End | None = None) -> None:
        self._wire = wire
        self._other = other
        self._early = b""
        self._answer = bytearray()
        if other is not None:  # it is the server's end
            wire.answers.append(self._answer)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._wire.ends.add(self)
        if self._other is None:
            self._wire.connect(self)
        else:
            self._other.join(self)

    def join(self, other: _End) -> None:
        """The other end is there."""
        self._other = other
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._other is None:
            self._early += data
        elif self._other.transport is not None:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.ends.discard(self)
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


class Wire:
    """The network in front of a server, which can be cut."""

    def __init__(self, server: Replica) -> None:
        self._server = server
        self._connecting: set[asyncio.Task[Any]] = set()
        self.ends: set[_End] = set()
        self.answers: list[bytearray] = []
        self.url = ""

    async def __aenter__(self) -> Wire:
        """Listen."""
        self._listener = await asyncio.get_running_loop().create_server(lambda: _End(self), HOST, 0)
        self.url = f"http://{HOST}:{self._listener.sockets[0].getsockname()[1]}/mcp"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more, and wait until each connection is closed."""
        self._listener.close()
        for _turn in range(10):  # what was accepted just now becomes a connection
            await asyncio.sleep(0)
        await asyncio.gather(*self._connecting, return_exceptions=True)
        self.cut()
        await until(lambda: not self.ends, "all connections are closed")

    def connect(self, end: _End) -> None:
        """Go on to the server."""
        making = asyncio.get_running_loop().create_connection(lambda: _End(self, end), HOST, self._server.port)
        self._connecting.add(asyncio.ensure_future(making))

    @property
    def told(self) -> list[int]:
        """The progress that the server has sent, each step once.

        The SDK leaves out what happens between the events that it sends again and its entry of the stream, which takes
        long on a busy machine.
        """
        found = [int(n) for answer in self.answers for n in re.findall(rb'"progress":(\d+)', answer)]
        return list(dict.fromkeys(found))

    def cut(self) -> None:
        """Break all connections that are open."""
        for end in list(self.ends):
            if end.transport is not None:
                end.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[Replica]:
    async with aserving(sdk1_replica("a", events=True)) as (server,):
        yield server


def working() -> dict[str, Any]:
    """A call that reports its progress, under a token of an odd kind."""
    message = call("progress", n=STEPS, pause=0.1)
    message["params"]["_meta"] = {"progressToken": "tok/7"}
    return message


async def all_of(events: Events) -> list[Event]:
    found = []
    while (event := await events.next()) is not None:
        found.append(event)
    return found


async def broken_off(
    http: aiohttp.ClientSession, front: Gateway, session: RawSession, after: int, cut: Any
) -> list[Event]:
    """The result of a call with an event on its stream after so many messages; the stream ends cleanly."""
    async with http.post(front.url, json=working(), headers=session_headers(session)) as response:
        events = Events(response)
        seen: list[Event] = []
        while sum(e.message is not None for e in seen) < after:
            event = await events.next()
            assert event is not None
            seen.append(event)
        cut()
        return seen + await all_of(events)


def steps(events: list[Event]) -> list[int]:
    """The progress that was reported."""
    messages = [e.message for e in events if e.message is not None and e.message.get("method")]
    assert all(m["params"]["progressToken"] == "tok/7" for m in messages)
    return [m["params"]["progress"] for m in messages]


@pytest.mark.parametrize("again", [0, 2], ids=["once", "and again on the stream that resumes it"])
async def test_nothing_is_lost_and_nothing_comes_twice_though_connections_break(
    gateway: GatewayFactory, server: Replica, http: aiohttp.ClientSession, again: int
) -> None:
    async with Wire(server) as wire:
        front = await asyncio.to_thread(gateway, pool_toml(wire.url))
        session = RawSession(http)
        await session.open(front)
        seen = await broken_off(http, front, session, 2, wire.cut)
        async with stream(http, front, session, seen[-1].id) as events:
            while "result" not in (seen[-1].message or {}):
                seen.append(await events.message())
                if len(steps(seen)) in (5, 8)[:again]:
                    wire.cut()
    said = next(line for line in front.log.splitlines() if "call_failed" in line)
    assert "delivered=yes" in said, "the log says what is known"
    assert steps(seen) == wire.told
    assert steps(seen)[-1] == STEPS
    assert seen[-1].message is not None
    assert seen[-1].message["id"] == 1


@pytest.mark.parametrize("client", ["sdk 2"])
async def test_a_client_that_resumes_by_itself_has_its_answer(
    gateway: GatewayFactory, server: Replica, client: str
) -> None:
    progress: list[float] = []

    async def report(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with Wire(server) as wire:
        front = await asyncio.to_thread(gateway, pool_toml(wire.url))
        async with Client(front.url, mode="legacy") as caller:
            calling = asyncio.ensure_future(
                caller.call_tool("progress", {"n": STEPS, "pause": 0.1}, progress_callback=report)
            )
            await until(lambda: len(progress) >= 2, "it works")
            wire.cut()
            result = await calling
    assert result.structured_content == {"result": STEPS}
    assert progress == wire.told
    assert progress[-1] == STEPS


@pytest.mark.parametrize("how", ["killed", "drained"])
async def test_resuming_at_a_moved_session_reports_the_lost_answer(
    gateway: GatewayFactory, http: aiohttp.ClientSession, how: str
) -> None:
    async with aserving(*(sdk1_replica(name, events=True) for name in "ab")) as servers:
        front = await asyncio.to_thread(gateway, pool_toml(*(s.url for s in servers), sections=QUICK))
        session = RawSession(http)
        await session.open(front)
        name = await session.whoami(front)
        home, other = servers if name == "a" else reversed(servers)

        def leave() -> None:
            if how == "killed":
                home.kill()
            else:
                front.edit(pool_toml(other.url, sections=QUICK))

        seen = await broken_off(http, front, session, 2, leave)
        assert seen[-1].id is not None
        if "result" in (seen[-1].message or {}):
            assert how == "drained", "it was given the time to end"
            return
        assert "error" not in (seen[-1].message or {}), "its client can resume it"
        async with stream(http, front, session, seen[-1].id) as events:
            last = (await events.message()).message
        assert last is not None
        assert last["id"] == 1
        assert last["error"]["data"]["delivered"] == "yes"
        assert await session.whoami(front) != name, "the session goes on"
