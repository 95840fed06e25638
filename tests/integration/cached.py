"""A pool with a cache in the test's own loop, and a server whose hints the test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.caching.step import Caching
from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec import loads_toml
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.sealing import Key, KeyRing
from tests.principals import principal_of
from tests.servers import modern_request, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer
from tests.waiting import until

READ_CACHED = '[pools.tools.read]\ncache_ttl = "1m"\n'

FORWARD = b"content-type: application/json\r\naccept: application/json, text/event-stream\r\n"


class HintServer(FaultServer):
    """Gives results `hints`: the `ttlMs` and `cacheScope` of a server. Each answer has a number of its own."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.hints: dict[str, Any] = {"ttlMs": 60_000, "cacheScope": "private"}
        self.extra: dict[str, Any] = {}
        self.capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
        self.answers = 0

    def result(self, rpc: dict[str, Any]) -> dict[str, Any]:
        result = super().result(rpc)
        method = rpc.get("method", "")
        if method == "server/discover":
            return {**result, "capabilities": self.capabilities}
        if method == "tools/call" or method.startswith("resources/") or method.endswith("/list"):
            self.answers += 1
            hints = {} if method == "tools/call" else self.hints
            return {**result, **hints, "number": self.answers, "said": rpc.get("params", {}), **self.extra}
        return result


class ListeningServer(HintServer):
    """A `HintServer` that serves `subscriptions/listen`. `filters` are those of the open streams, newest last."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.streams: list[Exchange] = []
        self.opened = 0

    @property
    def filters(self) -> list[dict[str, Any]]:
        return [stream.body["params"]["notifications"] for stream in self.streams]

    async def announce(self, method: str, **params: Any) -> None:
        """Send a notification on the newest stream."""
        await self._event(self.streams[-1], {"jsonrpc": "2.0", "method": method, "params": params})

    def _choose(self, exchange: Exchange) -> Behaviour:
        listens = isinstance(exchange.body, dict) and exchange.body.get("method") == "subscriptions/listen"
        return self._listen if listens else super()._choose(exchange)

    async def _listen(self, exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await self._event(exchange, {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"})
        self.streams.append(exchange)
        self.opened += 1
        try:
            while await exchange.reader.read(65536):
                pass
        finally:
            self.streams = [stream for stream in self.streams if stream is not exchange]
        exchange.close()

    @staticmethod
    async def _event(exchange: Exchange, message: dict[str, Any]) -> None:
        event = b"data: %b\n\n" % json.dumps(message).encode()
        await exchange.send(b"%x\r\n%b\r\n" % (len(event), event))


class Answer:
    """A client's side: its answer, and the time of `begin`."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.done = False

    def aside(self, chunk: bytes, headers: bytes) -> None:
        self.body += chunk

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        self.status, self.body, self.done = status, body, True

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        self.status, self.body, self.done = 200, self.body + events, True

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        self.status = status
        self.body += part

    def write(self, chunk: bytes) -> None:
        self.body += chunk

    def within_event(self, inside: bool) -> None:
        pass

    def resumable(self) -> None:
        pass

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def end(self) -> None:
        self.done = True

    def abort(self) -> None:
        self.done = True

    @property
    def json(self) -> Any:
        """The JSON-RPC answer, even if it came as the last event of a stream."""
        if self.body.startswith(b"{"):
            return json.loads(self.body)
        return json.loads([line for line in self.body.split(b"\n") if line.startswith(b"data:")][-1][5:])


class Client:
    """Calls a pool, as one principal after another. `legacy` calls have a session with that upstream id."""

    def __init__(self, pool: ServerPool) -> None:
        self.pool = pool
        self._ids = 0

    @property
    def caching(self) -> Caching:
        """The pool's cache, which must exist."""
        assert self.pool.caching is not None
        return self.pool.caching

    @property
    def counters(self) -> Any:
        """The counters of the pool's cache."""
        return self.pool.metrics.cache(self.pool.spec.cache.type)

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        principal: str = "anonymous",
        headers: bytes = b"",
        timeout: float | None = None,
    ) -> Any:
        """The JSON-RPC answer, under the request's own id."""
        self._ids += 1
        _, body = modern_request(method, params, request_id=self._ids)
        forward = FORWARD + b"mcp-protocol-version: 2026-07-28\r\nmcp-method: %b\r\n" % method.encode() + headers
        return await self.send(body, forward, Era.MODERN, principal=principal_of(principal), timeout=timeout)

    async def send(self, body: bytes, forward: bytes, era: Era, **more: Any) -> Any:
        """One call as it is."""
        reply = Answer()
        call = Call(parse_request(body), body, forward, era, monotonic(), **more)
        await self.pool.serve(call, reply)
        assert reply.done
        answer = reply.json
        assert answer["id"] == json.loads(body)["id"]
        return answer

    async def number(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> int:
        """The number of the answer: a repeated number means a cached answer."""
        answer = await self.ask(method, params, **more)
        number: int = answer["result"]["number"]
        return number

    async def tool(self, name: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> int:
        """The number of the answer of a tool."""
        return await self.number("tools/call", {"name": name, "arguments": dict(arguments or {})}, **more)


@contextlib.asynccontextmanager
async def caching_pool(
    *servers: FaultServer, sections: str = "", cache: str = 'type = "memory"'
) -> AsyncIterator[Client]:
    """A pool over `servers`, warm; `cache` are the lines of that section, `sections` are more of them."""
    text = 'profile = "test"\n' + pool_toml(*(s.url for s in servers), sections=f"[pools.cache]\n{cache}\n{sections}")
    pool = ServerPool(loads_toml(text).pools[0], PoolMetrics("demo"), KeyRing([Key("k", bytes(32))]), random.Random(1))
    pool.start()
    try:
        await until(pool.warm.is_set, "the pool has a catalog")
        yield Client(pool)
    finally:
        await pool.stop()
