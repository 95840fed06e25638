"""The official SDKs' clients and an error of ours: `reason`, `delivered` and `attempts` reach their users."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from tests.conftest import GatewayFactory
from tests.servers import mcp1_client, pool_toml, typescript_client
from tests.servers.fault_replica import FaultReplica
from tests.servers.faults import Exchange, cut_short, healthy, reset_after, silent, status
from tests.servers.framing import event_stream
from tests.servers.process import free_port
from tests.waiting import until

# The fates of calls of the server's tools.
OUTCOME = {
    "read": healthy,
    "look": healthy,
    "reset": reset_after,
    "cut": cut_short,
    "stream": event_stream(split=4096, ends=False),
    "crash": status("500 Internal Server Error", executes=True),
    "full": status("429 Too Many Requests", retry_after="30"),
    "hang": silent,
    "broken": status("500 Internal Server Error"),
}
READS = {"read", "look"}

SECTIONS = """
[pools.timeouts]
request = "15s"
[pools.tools.hang]
timeout = "1s"
[pools.circuit_breaker]
failure_threshold = 2
open_duration = "1m"
[pools.rate_limit.tool]
requests_per_second = 1
burst = 6
[pools.outlier_detection]
consecutive_failures = 1000
suspect_after = "1m"
"""

Ask = Callable[[str], Any]
"""Calls a tool; gives `{"result": …}` or `{"error": message, "code": …, "data": …}`."""


@contextlib.asynccontextmanager
async def python2(url: str, mode: str) -> AsyncIterator[Ask]:
    async with Client(url, mode=mode) as client:

        async def ask(tool: str) -> dict[str, Any]:
            try:
                return {"result": await client.call_tool(tool, {})}
            except MCPError as error:
                return {"error": error.message, "code": error.code, "data": error.data}

        yield ask


@contextlib.asynccontextmanager
async def in_a_process(client: contextlib.AbstractAsyncContextManager[Any]) -> AsyncIterator[Ask]:
    async with client as process:
        yield process.call


CLIENTS: dict[str, Callable[[str], contextlib.AbstractAsyncContextManager[Ask]]] = {
    "Python 2.x, modern": lambda url: python2(url, "2026-07-28"),
    "Python 2.x, legacy": lambda url: python2(url, "legacy"),
    "Python 1.x": lambda url: in_a_process(mcp1_client(url)),
    "TypeScript 2.x, modern": lambda url: in_a_process(typescript_client(url, "modern")),
    "TypeScript 2.x, legacy": lambda url: in_a_process(typescript_client(url, "legacy")),
    "TypeScript 1.x": lambda url: in_a_process(typescript_client(url, "1.x")),
}


class Server(FaultReplica):
    """Keeps sessions with legacy clients. Its `tools` are `OUTCOME`."""

    def __init__(self, folder: Path) -> None:
        super().__init__("a", free_port(), folder / "ledger.jsonl")
        self.tools = [
            {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": name in READS}}
            for name in OUTCOME
        ]
        self.behaviour = self._by_tool

    async def _by_tool(self, exchange: Exchange) -> None:
        await OUTCOME[exchange.tool or ""](exchange)


def shown(answer: dict[str, Any]) -> tuple[Any, ...]:
    """The three members as the client's user sees them, and whether a time to wait is among the rest."""
    assert "error" in answer, answer
    error = answer
    if answer["code"] == "CLIENT_HTTP_NOT_IMPLEMENTED":  # TypeScript 2.x reads no JSON-RPC of HTTP 429 and 5xx, and
        error = json.loads(answer["data"]["text"])["error"]  # gives its user the body instead
        assert answer["data"]["text"] in answer["error"]
    assert error["code"] == -32603, answer
    data = error["data"]
    return data["reason"], data["delivered"], data["attempts"], "retryAfterMs" in data


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_client_shows_its_user_reason_delivery_and_attempts(
    name: str, gateway: GatewayFactory, tmp_path: Path
) -> None:
    async with Server(tmp_path) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        async with CLIENTS[name](front.url) as ask:
            for _ in range(6):
                assert "error" not in await ask("read")
            answer: dict[str, Any] = {}
            for _ in range(60):  # a slow client may have been given another call meanwhile: one a second
                if "error" in (answer := await ask("read")):
                    break
            seen = {
                "more calls than its rate allows": shown(answer),
                "reset after it was executed": shown(await ask("reset")),
                "an answer that is cut short": shown(await ask("cut")),
                "a stream that ends before its answer": shown(await ask("stream")),
                "HTTP 500": shown(await ask("crash")),
                "no answer in the tool's time": shown(await ask("hang")),
                "fails the first time": shown(await ask("broken")),
                "fails the second time": shown(await ask("broken")),
                "is open now": shown(await ask("broken")),
                "HTTP 429 and a long Retry-After": shown(await ask("full")),
            }
            await server.refuse()
            await until(lambda: "state=unreachable" in front.log, "the gateway knows that nobody is there")
            seen["a read with nobody there"] = shown(await ask("look"))
    assert seen == {
        "more calls than its rate allows": ("rate_limited", "no", 0, True),
        "reset after it was executed": ("connection_lost", "unknown", 1, False),
        "an answer that is cut short": ("connection_lost", "yes", 1, False),
        "a stream that ends before its answer": ("connection_lost", "yes", 1, False),
        "HTTP 500": ("upstream_error", "yes", 1, False),
        "no answer in the tool's time": ("timeout", "unknown", 1, False),
        "fails the first time": ("upstream_error", "yes", 1, False),
        "fails the second time": ("upstream_error", "yes", 1, False),
        "is open now": ("circuit_open", "no", 0, True),
        "HTTP 429 and a long Retry-After": ("upstream_refused", "no", 1, True),
        "a read with nobody there": ("no_endpoint", "no", 0, True),
    }
