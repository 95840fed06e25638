"""The commonest first failures are explained: to the client, in the log, on the page, to the library."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from mcp import Client

import mcppool
from mcppool.observe.limited_log import BURST, PER_SECOND
from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, ask, request, tool_call
from tests.servers import Gateway, pool_toml, sdk1_replica
from tests.servers.clients import modern_request
from tests.servers.faults import FaultServer, healthy, status
from tests.servers.process import aserving, free_port
from tests.waiting import until

QUICK = """
[pools.connection_pool]
health_check_interval = "1s"
reconnect_backoff = "100ms"
max_reconnect_backoff = "500ms"
[pools.health_check]
unhealthy_threshold = 1
"""


def command_toml(program: str) -> str:
    return f'[[pools]]\nname = "demo"\ncommand = ["{program}"]\n{QUICK}'


async def page(front: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await asyncio.to_thread(front.get, "/status.json"))[1])
    return found


async def eventually(condition: Callable[[dict[str, Any]], object], front: Gateway, what: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while not condition(found := await page(front)):
            await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize(
    ("what", "said", "seen"),
    [
        ("nobody listens", "unreachable", "refused"),
        ("a wrong path", "not as an MCP server", "404"),
        ("a program that ends", "a program that does not start", "ended"),
    ],
)
async def test_each_fault_is_named_in_the_answer_the_log_and_on_the_page(
    what: str, said: str, seen: str, gateway: GatewayFactory
) -> None:
    async with FaultServer(status("404 Not Found"), everything=True) as server:
        address = f"http://127.0.0.1:{free_port()}/mcp" if what == "nobody listens" else server.url
        toml = command_toml("/bin/false") if what == "a program that ends" else pool_toml(address, sections=QUICK)
        front = await asyncio.to_thread(gateway, toml)
        await until(lambda: " no_server pool=demo" in front.log, "the gateway warns")
        warning = next(line for line in front.log.splitlines() if " no_server pool=demo" in line)
        assert said in warning
        assert seen in warning
        if what != "a program that ends":
            assert address in warning
        found = await eventually(lambda p: p["health"]["overall"] == "unhealthy", front, "it is unhealthy")
        component = found["health"]["components"]["pool demo"]
        assert component["status"] == "unhealthy"
        assert said in component["message"]
        assert (await asyncio.to_thread(front.get, "/health"))[0] == 503

        answer = await ask(front, tool_call("write"))
        if what != "a wrong path":
            assert answer.error["data"]["reason"] == "no_endpoint"
            assert said in answer.error["message"]
            assert "127.0.0.1" not in answer.body.decode()
            id = answer.headers["mcppool-request-id"]
            assert answer.error["data"]["requestId"] == id
            assert answer.error["data"]["notProcessed"] is True
            assert answer.headers["cache-control"] == "no-store"
            await until(lambda: "call_failed" in front.log, "it is logged")
            failed = next(line for line in front.log.splitlines() if "call_failed" in line)
            assert f"id={id}" in failed
            assert "tool=write" in failed
            assert "pool=demo" in failed
            assert "warning" in failed
            found = await page(front)
            assert found["pools"][0]["callsPerSecond"] > 0
            assert ("-", "no_endpoint") in [(e["endpoint"], e["reason"]) for e in found["pools"][0]["events"]]
        else:  # such servers get calls when there are no others, because they may answer these
            assert answer.error["data"]["reason"] == "request_rejected"
            assert "404" in answer.error["message"]


@pytest.mark.parametrize(
    ("what", "said"), [("a wrong path", "HTTP 404"), ("a program", "a program that does not start")]
)
async def test_the_official_client_shows_the_fault(what: str, said: str, gateway: GatewayFactory) -> None:
    async with FaultServer(status("404 Not Found"), everything=True) as server:
        toml = command_toml("/no/such/program") if what == "a program" else pool_toml(server.url, sections=QUICK)
        front = await asyncio.to_thread(gateway, toml)
        await until(lambda: " no_server pool=demo" in front.log, "the gateway warns")
        words = ""
        try:
            async with Client(front.url) as client:
                await client.list_tools()
        except Exception as error:  # a group of the SDK's, which holds it somewhere
            words = "".join(traceback.format_exception(error))
        assert said in words


async def test_a_discover_that_is_dropped_is_counted_and_logged(gateway: GatewayFactory) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(f"http://127.0.0.1:{free_port()}/mcp", sections=QUICK))
    body = b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/'
    body += b'protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
        "Mcp-Method: server/discover\r\n\r\n"
    )
    async with RawClient(front) as client:
        await client.send(head.encode() + body)
        assert await client.ended()
    await until(lambda: "reason=no_catalog" in front.log, "it is logged")
    assert front.metric('mcppool_requests_total{pool="demo",method="server/discover",outcome="error"}') == 1


async def test_the_library_names_place_and_cause_and_no_gateway() -> None:
    address = f"http://127.0.0.1:{free_port()}/mcp"
    async with mcppool.Pool([address], profile="test") as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await pool.call_tool("read", {}, timeout=1.0)
    said = str(caught.value)
    assert address in said
    assert "refused" in caught.value.cause
    assert "gateway" not in said.lower()


async def test_a_pool_whose_calls_all_fail_is_unhealthy_until_one_is_answered(gateway: GatewayFactory) -> None:
    async with FaultServer(status("500 Internal Server Error")) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=QUICK))
        assert (await page(front))["health"]["components"]["pool demo"]["status"] == "healthy"
        for n in range(6):
            await ask(front, tool_call("read", request_id=n))
        component = (await page(front))["health"]["components"]["pool demo"]
        assert component["status"] == "unhealthy"
        assert "HTTP 500" in component["message"]
        assert (await asyncio.to_thread(front.get, "/health"))[0] == 503
        command = [str(Path(sys.executable).with_name("mcppool")), "status", f"http://127.0.0.1:{front.admin_port}"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=120, check=False)
        assert done.returncode == 1, done.stdout
        assert b"pool demo" in done.stdout
        server.behaviour = status("400 Bad Request")
        await ask(front, tool_call("read"))
        assert (await page(front))["health"]["overall"] == "unhealthy", "what is about a request says nothing"
        server.behaviour = healthy
        assert (await ask(front, tool_call("read"))).status == 200
        assert (await page(front))["health"]["components"]["pool demo"]["status"] == "healthy"


async def test_checks_of_ours_are_no_calls(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=QUICK))
        found = await eventually(lambda p: p["pools"][0]["endpoints"][0]["checks"] >= 3, front, "it was checked")
        (pool,) = found["pools"]
        assert (pool["callsPerSecond"], pool["endpoints"][0]["attempts"]) == (0, 0)
        assert not pool["outcomes"]


async def test_a_flood_of_failures_writes_few_lines_with_a_count_of_the_rest(gateway: GatewayFactory) -> None:
    async with FaultServer(status("500 Internal Server Error")) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=QUICK))
        async with RawClient(front) as client:
            began = monotonic()
            for n in range(300):
                await client.send(tool_call("write", request_id=n))
                await client.answer()
            took = monotonic() - began
        lines = [line for line in front.log.splitlines() if " call_failed " in line]
        assert BURST <= len(lines) <= BURST + PER_SECOND * took + 1

        def left_out() -> int:
            words = [word for line in front.log.splitlines() for word in line.split() if word.startswith("left_out=")]
            return sum(int(word.partition("=")[2]) for word in words)

        await until(lambda: left_out() + front.log.count(" call_failed ") == 300, "each is written or counted")


async def test_a_legacy_client_at_a_modern_server_gets_an_error_that_names_both_eras(gateway: GatewayFactory) -> None:
    async def modern_only(exchange: Any) -> None:
        if exchange.body["method"] == "initialize":
            error = {"code": -32601, "message": "Method not found"}
            await exchange.respond(
                {"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}, status="404 Not Found"
            )
        else:
            await exchange.respond(exchange.answer())

    async with FaultServer(modern_only, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=QUICK))
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": params}).encode()
        head = (
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        answer = await ask(front, head.encode() + body)
        assert (answer.status, answer.json["id"]) == (200, 7)
        assert "2026-07-28" in answer.error["message"]
        assert "2025-11-25" in answer.error["message"]


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call"])
async def test_a_modern_request_at_legacy_servers_is_refused_as_they_refuse_it_themselves(
    gateway: GatewayFactory, method: str
) -> None:
    """A client that gets -32020 to -32022 takes the server for modern, and sends no `initialize`."""
    async with aserving(sdk1_replica("legacy")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        headers, body = modern_request(method, {"name": "add", "arguments": {}} if method == "tools/call" else {})
        answer = await ask(front, request(body, headers))
    assert (answer.status, answer.error["code"]) == (400, -32600)
    assert "2026-07-28" in answer.error["message"]
    assert "2025-11-25" in answer.error["message"]
    assert "2025-11-25" in answer.error["data"]["supported"]
