"""A prober among legacy servers, whose methods react in their own ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcppool.spec import EndpointSpec, PoolSpec, loads_toml
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.prober import Prober
from tests.servers.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    close_without_answer,
    garbage,
    healthy,
    not_json,
    reset_before,
    silent,
    status,
)
from tests.servers.handshakes import Handshakes

TOML = """
profile = "test"
[[pools]]
name = "p"
endpoints = ["http://127.0.0.1:1/mcp"]
connection_pool = {health_check_interval = "50ms", reconnect_backoff = "10ms", max_reconnect_backoff = "20ms"}
health_check = {timeout = "5s"}
"""
SPEC = loads_toml(TOML).pools[0]


def waiting(timeout: str, more: str = "") -> PoolSpec:
    """For servers that are silent on purpose: a check takes so long at most."""
    return loads_toml(TOML.replace('"5s"', f'"{timeout}"') + more).pools[0]


PATIENT = waiting("1s")  # also a slow machine answers within this time
IMPATIENT = waiting("300ms")


def error(code: int, line: str = "200 OK") -> Behaviour:
    """A JSON-RPC error."""

    async def behave(exchange: Exchange) -> None:
        body = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": {"code": code, "message": "no"}}
        await exchange.respond(body, status=line)

    return behave


REFUSALS = {
    "silence": silent,
    "close": close_without_answer,
    "reset": reset_before,
    "garbage": garbage,
    "not-json": not_json,
    "400": status("400 Bad Request"),
    "401": status("401 Unauthorized"),
    "403": status("403 Forbidden"),
    "405": status("405 Method Not Allowed"),
    "429": status("429 Too Many Requests"),
    "500": status("500 Internal Server Error"),
    "503": status("503 Service Unavailable"),
    "no-method": error(-32601),
    "bad-params": error(-32602),
    "internal": error(-32603),
    "not-initialised": error(-32002, "400 Bad Request"),
    "parse": error(-32700, "400 Bad Request"),
    "broken-result": healthy,
}


class Legacy(Handshakes):
    """A legacy server: `methods` have their own behaviour, the rest is answered correctly."""

    def __init__(self, **methods: Behaviour) -> None:
        super().__init__()
        self.methods = methods
        self.released = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        method = exchange.body.get("method", "") if isinstance(exchange.body, dict) else ""
        own = self.methods.get(method.replace("/", "_"))
        if own is not None:
            await own(exchange)
        await (asyncio.sleep(0) if own not in (None, self.slowly) else super().__call__(exchange))

    async def slowly(self, exchange: Exchange) -> None:
        """Pass it for a method that is answered once `released` is set."""
        await self.released.wait()

    @property
    def ours(self) -> int:
        """Sessions that were opened and not ended."""
        return sum(not session.ended for session in self.sessions.values())


@asynccontextmanager
async def probed(server: FaultServer, spec: PoolSpec = SPEC) -> AsyncIterator[tuple[Endpoint, list[int]]]:
    """An endpoint with its prober, and a list that grows with each round."""
    endpoint = Endpoint(EndpointSpec(url=server.url), spec)
    rounds: list[int] = []
    prober = Prober(endpoint, spec, on_round=lambda _: rounds.append(1))
    try:
        yield endpoint, rounds
    finally:
        await prober.stop()
        endpoint.connections.abort()


async def broken_result(exchange: Exchange) -> None:
    await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "result": {"ok": True}})
