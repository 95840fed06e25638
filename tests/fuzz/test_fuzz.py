"""A running gateway between clients that send anything and servers that answer anything: no defect, no hang, no growth.

`make fuzz MINUTES=10` does it for longer than the few seconds of `make test`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import answers, broken, requests
from tests.integration.raw_http import request, tool_call
from tests.servers import Gateway, modern_request, pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy

SECONDS = float(os.environ.get("MCPPOOL_FUZZ_SECONDS", "8"))
"""How long each side is tried."""
PATIENCE = 60.0
"""Seconds in which the gateway must have answered a call or ended its connection, on a busy machine."""
GROWTH = 64
"""MiB by which the gateway may be larger at the end: caches and allocators fill within the first seconds."""
BATCH = 200
SECTIONS = """[pools.cache]
type = "memory"
[pools.tools.read]
cache_ttl = "1ms"
[pools.timeouts]
request = "2s"
[pools.connection_pool]
acquire_timeout = "1s"
"""


def initialize() -> bytes:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    accepted = "application/json, text/event-stream"
    return request(body, {"Content-Type": "application/json", "Accept": accepted}, more=LAST)


def modern(method: str, **params: str) -> bytes:
    headers, body = modern_request(method, params)
    return request(body, headers, more=LAST)


LAST = "Connection: close\r\n"
CALLS = {
    "tools/call": tool_call("read", more=LAST),
    "prompts/list": modern("prompts/list"),
    "prompts/get": modern("prompts/get", name="x"),
    "resources/read": modern("resources/read", uri="file:///x"),
    "initialize": initialize(),
}
"""What the servers answer anything to: what is passed on, read whole, kept, or opens a session."""


class Liar:
    """A server whose answer to a call of `CALLS` is `script`; healthy where that is None."""

    def __init__(self) -> None:
        self.script: bytes | None = None

    async def __call__(self, exchange: Exchange) -> None:
        script = self.script
        method = exchange.body.get("method") if isinstance(exchange.body, dict) else None
        if script is None or method not in CALLS:
            await healthy(exchange)
            return
        id = exchange.answer()["id"]
        await exchange.send(
            script.replace(b"@ID@", str(id).encode() if isinstance(id, int) else b'"%b"' % str(id).encode())
        )
        exchange.close()


class Target:
    """A gateway with its server, which runs on a loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.liar = Liar()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = FaultServer(self.liar, everything=True)
        self._do(self._server.__aenter__())
        self.front = Gateway(folder, pool_toml(self._server.url, sections=SECTIONS), level="warning")
        self.front.start()

    def close(self) -> None:
        self.front.close()
        self._do(self._server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def say(self, data: bytes) -> bytes:
        """Send bytes, end our side, and return all that comes until the gateway ends its side."""
        with socket.create_connection(("127.0.0.1", self.front.port), PATIENCE) as connection:
            parts = []
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(1 << 16):
                    parts.append(part)
            except (ConnectionError, BrokenPipeError):
                pass  # it has ended the connection before it had read all
            return b"".join(parts)

    def call(self, method: str = "tools/call") -> bytes:
        """What a call gets."""
        with socket.create_connection(("127.0.0.1", self.front.port), PATIENCE) as connection:
            connection.sendall(CALLS[method])
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
            return b"".join(parts)

    def resident(self) -> int:
        """MiB."""
        status = Path(f"/proc/{self.front.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    def demand_health(self) -> None:
        assert self.front.alive
        log = self.front.log
        for word in ("defect", "unhandled_exception", "Traceback"):
            assert word not in log, log[-5000:]

    def _do(self, coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)  # type: ignore[arg-type]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    target = Target(tmp_path)
    yield target
    target.close()


def until_time_is_over(target: Target, batch: object) -> None:
    """Batches with a seed each, then a look at what the gateway has become."""
    batch(0)  # type: ignore[operator]
    before = target.resident()
    end, number = monotonic() + SECONDS, int(monotonic() * 1000)
    while monotonic() < end:
        batch(number)  # type: ignore[operator]
        number += 1
    assert b" 200 " in target.call()
    target.demand_health()
    assert target.resident() < before + GROWTH


def few(number: int) -> settings:
    return settings(
        max_examples=number, deadline=None, database=None, suppress_health_check=[*HealthCheck], print_blob=True
    )


def test_clients_may_send_anything(target: Target) -> None:
    def batch(number: int) -> None:
        @seed(number)
        @few(BATCH)
        @given(broken(requests()))
        def one(data: bytes) -> None:
            assert b"A defect in the gateway" not in target.say(data)
            target.demand_health()

        one()

    until_time_is_over(target, batch)


def test_servers_may_answer_anything(target: Target) -> None:
    def batch(number: int) -> None:
        @seed(number)
        @few(BATCH)
        @given(broken(answers()), st.sampled_from(sorted(CALLS)))
        def one(data: bytes, method: str) -> None:
            target.liar.script = data
            got = target.call(method)
            assert got.startswith(b"HTTP/1.1 ") or got == b"", "an answer, or none at all"
            assert b"A defect in the gateway" not in got
            target.demand_health()

        one()
        target.liar.script = None

    until_time_is_over(target, batch)
