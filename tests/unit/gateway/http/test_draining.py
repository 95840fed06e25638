"""The end of a listener: idle connections are closed, and no request is lost on them."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
import uvloop

from mcppool.gateway.http import listener as module
from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener import Listener
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import ListenerSpec
from tests.waiting import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LINGER = 0.2


async def greet(request: HttpRequest, connection: HttpConnection) -> None:
    connection.response.whole(200, b"", b"hello")


async def ask(client: socket.socket) -> bytes:
    """Send a request and return the answer."""
    await asyncio.get_running_loop().sock_sendall(client, REQUEST)
    return await asyncio.get_running_loop().sock_recv(client, 65536)


async def drained_by_a_late_loop() -> bytes:
    """What a client reads whose request arrives while the loop of the draining listener stands still."""
    loop = asyncio.get_running_loop()
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start(["127.0.0.1"], 0)
    here, there = socket.socketpair()
    with socket.create_connection(listener.address) as client, here, there:
        client.setblocking(False)
        assert b"hello" in await ask(client)

        def stand_still() -> None:
            loop.remove_reader(here)
            client.sendall(REQUEST)
            time.sleep(2 * LINGER)  # the fault: what comes next are timers, and the time of idle connections is over

        loop.add_reader(here, stand_still)
        stopping = asyncio.create_task(listener.stop(30))
        await asyncio.sleep(0)  # it drains from here on
        there.send(b"!")
        answer = await loop.sock_recv(client, 65536)
        await stopping
    return answer


def test_a_request_that_has_arrived_is_answered_although_the_connection_was_idle_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LINGER", LINGER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # it runs timers before sockets
        answer = runner.run(drained_by_a_late_loop())
    assert b"hello" in answer
    assert b"connection: close" in answer.lower()


async def test_an_idle_connection_is_closed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", LINGER)
    listener = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec())
    await listener.start(["127.0.0.1"], 0)
    with socket.create_connection(listener.address) as client:
        client.setblocking(False)
        assert b"hello" in await ask(client)
        stopping = asyncio.create_task(listener.stop(600))
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), 60) == b""
        await stopping
        await until(lambda: listener.connections == 0, "no connection is left")
