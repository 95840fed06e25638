"""Nothing of one client ever reaches another: 10,000 interleavings, with cancellations and failures of all kinds.

In an interleaving some clients of both eras call at once, over the same few connections to the same few replicas. A
seed decides the order, the pieces and the absence of answers, the cancellations, and the replica that forgets
everything. All clients use the same JSON-RPC ids, so that only the gateway's own care keeps their answers apart.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from time import monotonic
from typing import Any

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from tests.principals import principal_of
from tests.unit.pipeline.pools import Heard, call_of, pool_of
from tests.unit.pipeline.virtual import World

pytestmark = pytest.mark.slow

SECTIONS = """
[connection_pool]
min_connections = 0
max_connections = 3
connection_timeout = "50ms"
[health_check]
timeout = "50ms"
[retry_policy]
base_delay = "1ms"
max_delay = "1ms"
hedge_after = "1ms"
budget_percent = 100
[outlier_detection]
consecutive_failures = 1000
"""
ROUNDS = 1_000
SEEDS = range(10)
AT_ONCE = 4
STEPS = 400  # of a round, after which the remaining waiters time out
STREAMS = 3  # of a client, at once: each restart of a server breaks all, so that rounds would take ever longer

SECRET = re.compile(rb"secret-\w+")
PRIVATE = re.compile(rb"sid!|mcppool-[0-9a-f]{8}-|mcppool-listen")  # upstream session ids, and ids of our own


class Client:
    """Calls with its secret, and believes nothing."""

    def __init__(self, name: str, era: Era, pool: ServerPool) -> None:
        self.secret = f"secret-{name}"
        self.era = era
        self.pool = pool
        self.token: str | None = None
        self.problems: list[str] = []
        self.did: Counter[str] = Counter()
        self.streams: list[asyncio.Task[None]] = []

    async def act(self, rng: random.Random) -> None:
        """One call, chosen by `rng`."""
        number = rng.randrange(3)
        if self.era is Era.MODERN:
            method = rng.choice(["tools/call", "tools/call", "tools/list", "resources/read"])
            await self._call(method, number, rng)
        elif self.token is None:
            await self._initialize(number)
        else:
            method = rng.choice(["tools/call", "tools/call", "tools/list", "ping", "GET", "DELETE"])
            if method == "GET":
                self.follow(self._bodiless(b"GET"))
            elif method == "DELETE":
                call, self.token = self._bodiless(b"DELETE"), None
                await self._serve(call)
            else:
                await self._call(method, number, rng)

    def listen(self) -> None:
        """Watch a resource that is this client's alone."""
        notifications = {"resourceSubscriptions": [f"x://{self.secret}"]}
        self.follow(call_of("subscriptions/listen", id=1, era=self.era, notifications=notifications))

    def follow(self, call: Call) -> None:
        """Open a stream that stays, in place of the oldest if there are enough."""
        if len(self.streams) == STREAMS:
            self.streams.pop(0).cancel()
        self.streams.append(asyncio.ensure_future(self._stream(call)))

    async def _stream(self, call: Call) -> None:
        heard = Heard()
        try:
            await self.pool.serve(call, heard)
        finally:
            self._check(heard)
            self.did["events"] += heard.body.count(b"data: ")

    async def _call(self, method: str, number: int, rng: random.Random) -> None:
        name = rng.choice(["read", "write"])
        params = {"name": name, "secret": self.secret, "_meta": {"progressToken": number}}
        call = self._message(method, number, params)
        heard = await self._serve(call)
        answer = self._answer(heard, number)
        if answer is not None and "result" in answer:
            self.did[method] += 1
            got = answer["result"]
            if (got["echo"], got["owner"]) != (self.secret, self.secret):
                self.problems.append(f"{self.secret} got {got}")
        elif heard.status == 404:
            self.token = None

    async def _initialize(self, number: int) -> None:
        info = {"name": self.secret, "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        heard = await self._serve(self._message("initialize", number, params))
        for line in heard.headers.decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "mcp-session-id":
                self.token = value
                self.did["initialize"] += 1

    def _message(self, method: str, number: int, params: dict[str, Any]) -> Call:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        body = json.dumps(message).encode()
        return self._with_session(parse_request(body), body, b"POST")

    def _bodiless(self, verb: bytes) -> Call:
        return self._with_session(parse_request(b'{"jsonrpc":"2.0","method":"x"}'), b"", verb)

    def _with_session(self, request: Any, body: bytes, verb: bytes) -> Call:
        session = None
        if self.token is not None and request.method != "initialize":
            session = self.pool.sessions.open(self.token, self.secret)
            if session is None:
                self.problems.append(f"{self.secret} cannot open its own session")
        if verb == b"DELETE" and session is not None:
            self.pool.sessions.end(session)
        line = f"x-secret: {self.secret}\r\n".encode()
        return Call(
            request, body, line, self.era, monotonic(), principal=principal_of(self.secret), session=session, verb=verb
        )

    async def _serve(self, call: Call) -> Heard:
        heard = Heard()
        try:
            await self.pool.serve(call, heard)
        finally:
            self._check(heard)
        if heard.said[-1:] not in (["whole"], ["end"], ["abort"]):
            self.problems.append(f"{self.secret} was left with {heard.said}")
        return heard

    def _check(self, heard: Heard) -> None:
        """The received bytes, also of an abandoned call."""
        seen = heard.headers + heard.body
        foreign = set(SECRET.findall(seen)) - {self.secret.encode()}
        if foreign or PRIVATE.search(seen):
            self.problems.append(f"{self.secret} got {seen!r}")

    def _answer(self, heard: Heard, number: int) -> dict[str, Any] | None:
        """The answer's envelope, which must carry the client's own id."""
        texts = [line[6:] for line in heard.body.splitlines() if line.startswith(b"data: ")] or [heard.body]
        answer = None
        for text in texts:
            if text and heard.said != ["begin", "write", "abort"]:
                message = json.loads(text)
                if "method" in message:
                    if message.get("params", {}).get("progressToken", number) != number:
                        self.problems.append(f"{self.secret} got the progress of another: {message}")
                    continue
                answer = message
                if message["id"] != number and not (message["id"] is None and heard.status >= 400):
                    self.problems.append(f"{self.secret} got an answer to {message['id']!r}")
        return answer


class Play:
    """Rounds of calls on one pool, which keeps the leftovers of earlier rounds."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pool = pool_of(SECTIONS, "a", "b", "c", rng=random.Random(seed))
        self.world = World(self.rng, self.pool, fault_share=0.25)
        names = [(f"m{n}", Era.MODERN) for n in range(5)] + [(f"l{n}", Era.LEGACY) for n in range(5)]
        self.clients = [Client(name, era, self.pool) for name, era in names]

    async def round(self) -> None:
        """One interleaving."""
        rng = self.rng
        for endpoint in self.pool.endpoints.values():
            if not endpoint.available and rng.random() < 0.5:
                endpoint.health.checked(True, self.pool.spec)  # as its prober would
        calls = [asyncio.ensure_future(client.act(rng)) for client in rng.sample(self.clients, AT_ONCE)]
        patience = STEPS
        while any(not call.done() for call in calls):
            patience -= 1
            if patience == 0:
                for endpoint in self.pool.endpoints.values():
                    endpoint.connections.sweep(monotonic() + 1000)
                patience = 50
            await self._step(calls)
        for call in calls:
            if not call.cancelled():
                call.result()

    async def _step(self, calls: list[asyncio.Task[None]]) -> None:
        rng = self.rng
        chance = rng.random()
        if chance < 0.50:
            self.world.arrive()
        elif chance < 0.98:
            await asyncio.sleep(0)
        elif chance < 0.99:
            rng.choice(calls).cancel()
            await asyncio.sleep(0)  # the next call comes at once, on the leftovers of the cancelled one
            calls.append(asyncio.ensure_future(rng.choice(self.clients).act(rng)))
        else:
            self._something_else()

    def _something_else(self) -> None:
        rng = self.rng
        server = rng.choice(self.world.servers)
        endpoint = self.pool.endpoints[server.name]
        match rng.randrange(7):
            case 0:
                server.restart()
            case 1:
                endpoint.health.unreachable()
            case 2 | 3:
                endpoint.health.checked(True, self.pool.spec)
            case 4:
                server.notify()
            case 5:
                server.update(f"x://{rng.choice(self.clients).secret}")
            case 6:
                client = rng.choice(self.clients)
                if client.streams:
                    client.streams.pop(0).cancel()
                elif client.era is Era.MODERN:
                    client.listen()

    async def end(self) -> None:
        """All leave; nothing may remain."""
        streams = [stream for client in self.clients for stream in client.streams]
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        assert self.pool.hub.clients == 0
        for endpoint in self.pool.endpoints.values():
            assert endpoint.active == 0
            assert not endpoint.connections.leased, "a lease that nobody gives back"
            assert endpoint.connections.waiting == 0
        await self.pool.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        async with asyncio.timeout(60):  # a session's move in progress is bounded by its time-outs
            await asyncio.gather(*left, return_exceptions=True)

    @property
    def problems(self) -> list[str]:
        return self.world.violations + [problem for client in self.clients for problem in client.problems]


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_of_one_client_reaches_another(seed: int) -> None:
    play = Play(seed)
    for number in range(ROUNDS):
        await play.round()
        assert not play.problems, f"round {number}: {play.problems}"
    await play.end()
    done = sum((client.did for client in play.clients), Counter())
    assert done["tools/call"] > ROUNDS, "most calls are answered, or nothing was proven"
    assert min(done["initialize"], done["events"], done["tools/list"]) > ROUNDS / 50
