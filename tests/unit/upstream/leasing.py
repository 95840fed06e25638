"""A pool of connections under a clock that the test moves, and a server that accepts at once."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.connection_pool import ConnectionPool
from tests.unit.upstream.line import ask
from tests.unit.upstream.transports import OK, ScriptedTarget, pool_spec

ROUNDS = 6  # of the loop, after which nothing is left to be done without an event from outside


class Clock:
    """Stands where the modules look at the time; no two looks see the same one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-9
        return self.now


async def settle() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


class Server:
    """A target that accepts at once and, like uvicorn, closes connections that were idle for `keeps` seconds."""

    def __init__(self, clock: Clock, keeps: float = 5.0, **limits: Any) -> None:
        self.clock = clock
        self.keeps = keeps
        self.target = ScriptedTarget("server", 80)
        self.pool = ConnectionPool(self.target, pool_spec(**limits), rng=random.Random(1))
        self.accepted = 0
        self.closed_by_server = 0
        self._used: dict[int, float] = {}

    @property
    def idle(self) -> list[Connection]:
        """Connections that are open and carry nothing."""
        there = [transport.connection for transport in self.target.transports if not transport.is_closing()]
        return [connection for connection in there if connection not in self.pool.leased]

    async def settle(self) -> None:
        await settle()
        while dials := [dial for dial in self.target.dials if not dial.done()]:
            for dial in dials:
                self.accepted += 1
                dial.set_result("ok")
            await settle()

    async def call(self, *, unsafe: bool = False, answer: bytes = OK) -> Connection:
        """One call that is answered at once; the connection that carried it."""
        task = asyncio.ensure_future(self.pool.lease(self.clock.now, unsafe=unsafe))
        await self.settle()
        connection = await task
        response = ask(connection, b"x", self.clock.now, self.clock.now + 5, 5.0, self.clock.now + 60)
        connection.data_received(answer)
        await response
        connection.release()
        return connection

    async def passes(self, seconds: float, step: float = 0.1) -> None:
        """Time passes, with sweeps in it; the server closes connections that were idle for too long."""
        for _ in range(round(seconds / step)):
            self.clock.now += step
            self.pool.sweep(self.clock.now)
            await self.settle()
            for transport in self.target.transports:
                connection = transport.connection
                if connection in self.idle and self.clock.now - connection.last_used >= self.keeps:
                    self.closed_by_server += 1
                    transport.lose(None)
            await self.settle()


async def idle_connections(server: Server, clock: Clock, number: int) -> list[Connection]:
    """Connections that were given back just now."""
    tasks = [asyncio.ensure_future(server.pool.lease(clock.now)) for _ in range(number)]
    await server.settle()
    connections = [await task for task in tasks]
    for connection in connections:
        connection.release()
    return connections
