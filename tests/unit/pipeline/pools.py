"""Pools and calls for tests of the pipeline's parts; nothing listens at their endpoints."""

from __future__ import annotations

import json
import random
from time import monotonic
from typing import Any

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.call import Call
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.plan import Plan, make_plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.sessions.session import Session
from mcppool.policy.principal import Principal
from mcppool.spec import PoolSpec, loads_toml
from mcppool.upstream.catalog import ToolInfo
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.sealing import Key, KeyRing
from tests.principals import principal_of

RING = KeyRing([Key("test", bytes(32))])
TOOLS = {"read": ToolInfo("read", True, None), "write": ToolInfo("write", None, None)}


def spec_of(text: str, *names: str) -> PoolSpec:
    """A specification with these sections and endpoints."""
    urls = json.dumps([f"http://{name}/mcp" for name in names])
    return loads_toml(f'profile = "test"\n{text}\n[[pools]]\nname = "p"\nendpoints = {urls}').pools[0]


def pool_of(text: str, *names: str, rng: random.Random | None = None) -> ServerPool:
    """A pool that has not started, and knows the tools `read` (safe to repeat) and `write` (not)."""
    pool = ServerPool(spec_of(text, *names), PoolMetrics("p"), RING, rng or random.Random(1))
    pool.settings.learn(PoolCatalog(tools=TOOLS))
    return pool


def planned(call: Call, pool: ServerPool) -> Plan:
    """The plan of a call."""
    return make_plan(call, pool.settings, pool.pins)


def call_of(
    method: str, *, id: Any = 1, era: Era = Era.MODERN, session: Session | None = None,
    principal: str | Principal = "anonymous", address: str = "", **params: Any,
) -> Call:  # fmt: skip
    """A call of a client."""
    who = principal_of(principal) if isinstance(principal, str) else principal
    message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    body = json.dumps(message, separators=(",", ":")).encode()
    return Call(parse_request(body), body, b"", era, monotonic(), session=session, principal=who, address=address)


def tool_call(name: str, **more: Any) -> Call:
    """A `tools/call`."""
    return call_of("tools/call", name=name, arguments={}, **more)


class Heard:
    """A client's side that records its answer."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.status = 0
        self.headers = b""
        self.body = b""
        self.parts = 0  # of events, before their last

    def aside(self, chunk: bytes, headers: bytes) -> None:
        self.said.append("aside")
        self.body += chunk

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        self.said.append("whole")
        self.status, self.headers, self.body = status, headers, body

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        self.said.append("whole")
        self.status, self.headers, self.body = 200, headers, self.body + events

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        self.said.append("begin")
        self.status, self.headers = status, headers
        if part:
            self.write(part)

    def write(self, chunk: bytes) -> None:
        self.said.append("write")
        self.body += chunk

    def within_event(self, inside: bool) -> None:
        self.parts += inside

    def resumable(self) -> None:
        pass

    async def drain(self) -> None:
        pass

    def end(self) -> None:
        self.said.append("end")

    def abort(self) -> None:
        self.said.append("abort")
