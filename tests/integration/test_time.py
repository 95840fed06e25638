"""Each time limit ends its step, and the error names the limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, silent
from tests.servers.handshakes import Handshakes
from tests.servers.process import HOST
from tests.waiting import until

SHORT = 0.8
LONG = "50s"  # a later end has another cause
SOON = 25.0  # seconds, on a busy machine
WHOLE_CALL = "timeouts.request, or the tool's own timeout"


def events(number: int, *, pause: float, ends: bool) -> Behaviour:
    """Sends so many events that are no answer, each after a pause; then it answers, or says nothing any more."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        messages: list[dict[str, Any]] = [
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": n}}
            for n in range(number)
        ]
        for message in (*messages, exchange.answer()) if ends else messages:
            await asyncio.sleep(pause)
            event = b"data: %b\n\n" % json.dumps(message).encode()
            await exchange.send(b"%x\r\n%b\r\n" % (len(event), event))
        if ends:
            await exchange.send(b"0\r\n\r\n")
        else:
            await silent(exchange)

    return behave


async def failure(front: Gateway, tool: str = "write") -> tuple[dict[str, Any], str, float]:
    """The members of an error, its message, and how many seconds it took to come."""
    began = monotonic()
    answer = await ask(front, tool_call(tool))
    if answer.headers["content-type"] == "text/event-stream":
        last = [line for line in answer.body.split(b"\n") if line.startswith(b"data: ")][-1]
        said = json.loads(last.removeprefix(b"data: "))
    else:
        assert answer.status == (502 if "connect_failed" in answer.body.decode() else 504)
        said = answer.json
    data = said["error"]["data"]
    return data, said["error"]["message"], monotonic() - began


def timeouts(**values: str) -> str:
    bounds = {"request": LONG, "stream_idle": LONG, **values}
    return "[pools.timeouts]\n" + "".join(f'{name} = "{value}"\n' for name, value in bounds.items())


CASES: dict[str, tuple[str, Behaviour, str, str]] = {
    # The configuration, the server's behaviour, the delivery of the call, and the name of the limit.
    "first byte": (timeouts(first_byte="800ms"), silent, "unknown", "timeouts.first_byte"),
    "between events": (
        timeouts(stream_idle="800ms"), events(1, pause=0, ends=False), "yes", "timeouts.stream_idle",
    ),
    "total, nothing comes": (timeouts(request="800ms"), silent, "unknown", WHOLE_CALL),
    "total of a tool": (
        timeouts() + '[pools.tools."wr*"]\ntimeout = "800ms"\n', silent, "unknown", WHOLE_CALL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
async def test_an_answer_that_does_not_come_in_time_is_an_error_that_names_the_time(
    what: str, gateway: GatewayFactory
) -> None:
    sections, behaviour, delivered, name = CASES[what]
    async with FaultServer(behaviour) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        data, message, took = await failure(front)
        assert (data["reason"], data["delivered"], data["attempts"]) == ("timeout", delivered, 1)
        assert f"({name})" in message
        assert SHORT <= took < SOON
        await until(lambda: f"did not come in time ({name})" in front.log, "it is logged")
        assert len(server.calls("write")) == 1


async def test_a_tool_with_a_time_of_its_own_does_not_shorten_that_of_others(gateway: GatewayFactory) -> None:
    sections = timeouts() + '[pools.tools.write]\ntimeout = "100ms"\n'
    opened = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        if exchange.tool == "read":
            await opened.wait()
        await healthy(exchange)

    async with FaultServer(silent) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        server.behaviour = late
        read = asyncio.create_task(ask(front, tool_call("read")))
        await until(lambda: server.calls("read"), "the read is at the server")
        server.behaviour = silent
        assert (await failure(front))[0]["reason"] == "timeout"
        opened.set()
        assert (await read).status == 200


@pytest.mark.parametrize("block", ["progress", "comments"])
async def test_a_call_that_is_alive_is_cut_by_nothing_but_silence(block: str, gateway: GatewayFactory) -> None:
    async def comments(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(24):
            await exchange.send(b"8\r\n: here\n\n\r\n")
            await asyncio.sleep(0.25)
        event = b"data: %b\n\n" % json.dumps(exchange.answer()).encode()
        await exchange.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))

    async with FaultServer(events(24, pause=0.25, ends=True) if block == "progress" else comments) as server:
        sections = timeouts(request="4s", first_byte="4s") + '[pools.tools.write]\ntimeout = "4s"\n'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        answer = await ask(front, tool_call("write"))
        assert b'"result"' in answer.body


@contextlib.asynccontextmanager
async def black_hole(port: int) -> AsyncIterator[None]:
    """A port on which connections are neither accepted nor refused: its queue is full."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect((HOST, port))
        yield


NO_CHECKS = 'health_check_interval = "1h"\n'


async def test_a_call_whose_session_has_to_move_waits_until_its_deadline(gateway: GatewayFactory) -> None:
    async with (
        FaultServer(Handshakes(), everything=True) as home,
        FaultServer(Handshakes(), everything=True) as other,
        aiohttp.ClientSession() as http,
    ):
        sections = (
            f'{timeouts()}[pools.connection_pool]\n{NO_CHECKS}[pools.health_check]\ntimeout = "40s"\n'
            '[pools.tools.write]\ntimeout = "800ms"\n[pools.outlier_detection]\nsuspect_after = "50s"\n'
        )
        front = await asyncio.to_thread(gateway, pool_toml(home.url, sections=sections))
        session = RawSession(http)
        await session.open(front)
        front.edit(pool_toml(home.url, other.url, sections=sections))
        there = f'mcppool_endpoint_available{{pool="demo",endpoint="{other.url}"}}'
        await until(lambda: front.metric(there) == 1, "the other is there")
        other.behaviour = silent
        await home.refuse()
        began = monotonic()
        _, answer = await session.post(front, call("write"))
        took = monotonic() - began
    data = answer["error"]["data"]
    assert (data["reason"], data["delivered"]) == ("connect_failed", "no"), "why it had to move"
    assert SHORT <= took < SOON


async def test_a_connection_that_does_not_come_about_in_time_is_an_error_that_names_the_time(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer() as server:
        sections = f'{timeouts()}[pools.connection_pool]\nconnection_timeout = "800ms"\n{NO_CHECKS}'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        await until(lambda: front.metric('mcppool_pool_catalog_tools{pool="demo"}') == 2, "the first check is over")
        await server.refuse()
        async with black_hole(server.port):
            data, message, took = await failure(front)
    assert (data["reason"], data["delivered"], data["attempts"]) == ("connect_failed", "no", 1)
    assert "(connection_pool.connection_timeout)" in message
    assert SHORT <= took < SOON


async def test_a_call_waits_for_a_connection_until_its_deadline(gateway: GatewayFactory) -> None:
    async with FaultServer(silent) as server:
        sections = (
            f"{timeouts()}[pools.connection_pool]\nmax_connections = 1\n{NO_CHECKS}"
            'acquire_timeout = "40s"\n[pools.tools.write]\ntimeout = "800ms"\n'
        )
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        read = asyncio.create_task(ask(front, tool_call("read")))
        await until(lambda: server.calls("read"), "the only connection is in use")
        data, message, took = await failure(front)
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
    assert (data["reason"], data["delivered"]) == ("timeout", "no")
    assert f"({WHOLE_CALL})" in message
    assert SHORT <= took < SOON
    assert not server.calls("write")


@pytest.mark.parametrize("calls", [1, 3], ids=["one call", "equal calls, of which one is made"])
async def test_an_answer_that_waits_in_its_socket_is_read_before_anything_expires(
    gateway: GatewayFactory, calls: int
) -> None:
    gate, answered = asyncio.Event(), []

    async def late(exchange: Exchange) -> None:
        if exchange.tool == "another":
            await healthy(exchange)
            return
        await gate.wait()
        body = json.dumps({**exchange.answer(), "padding": "x" * 100_000}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        await exchange.send(head + b"".join(b"1\r\n%c\r\n" % byte for byte in body))  # more than one read takes
        answered.append(exchange)
        await exchange.send(b"0\r\n\r\n")

    async with FaultServer(late) as server:
        kept = '[pools.cache]\ntype = "memory"\n[pools.tools."*"]\nidempotent = true\ncache_ttl = "1m"\n'
        sections = timeouts(request="5s", first_byte="5s") + (kept if calls > 1 else "")
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        calling = [asyncio.create_task(ask(front, tool_call("write")))]
        await until(lambda: server.calls("write"), "the call is at the server")
        calling += [asyncio.create_task(ask(front, tool_call("write"))) for _ in range(calls - 1)]
        if calls > 1:
            await ask(front, tool_call("another"))  # by its answer those before it wait
        front.pause()
        try:
            began = monotonic()
            gate.set()
            await until(lambda: answered, "it is answered")
            await until(lambda: monotonic() - began > 7.0, "every time-out is over")
        finally:
            front.resume()
        for answer in await asyncio.gather(*calling):
            assert b'"result"' in answer.body


async def test_a_check_whose_answer_waits_in_its_socket_makes_no_endpoint_hang(gateway: GatewayFactory) -> None:
    gate, checks, answered = asyncio.Event(), [], []

    async def late(exchange: Exchange) -> None:
        calls = bool(server.calls())
        if exchange.tool is None and not calls:
            await healthy(exchange)
            return
        checks.append(exchange) if exchange.tool is None else None
        await gate.wait()
        await healthy(exchange)
        answered.append(exchange)

    async with FaultServer(late, everything=True) as server:
        sections = (
            f'[pools.connection_pool]\n{NO_CHECKS}[pools.health_check]\ntimeout = "5s"\n'
            '[pools.outlier_detection]\nsuspect_after = "100ms"\n'
        )
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        calling = asyncio.create_task(ask(front, tool_call("read")))
        await until(lambda: checks, "the call waits, and a check is under way")
        front.pause()
        try:
            began = monotonic()
            gate.set()
            await until(lambda: len(answered) >= 2, "both are answered")
            await until(lambda: monotonic() - began > 7.0, "every time-out is over")
        finally:
            front.resume()
        assert b'"result"' in (await calling).body
        assert len(server.calls("read")) == 1
        assert "hung" not in front.log
