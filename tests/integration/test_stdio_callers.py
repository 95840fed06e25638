"""Callers of one local process are never mixed up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.stdio_helpers import Caller, odd, rows_in, value_of
from tests.integration.test_stdio import SERVER as SDK_SERVER
from tests.integration.test_stdio import pool
from tests.requirements import need_path
from tests.servers.kinds import MCP1_PYTHON
from tests.waiting import until
from tests.written_lines import written_json

SDK_PROGRAM = """
import asyncio
from mcp.server.{module} import {server}, Context
server = {server}("s")
@server.tool()
async def chatter(who: str, rows: int, ctx: Context) -> str:
    for row in range(rows):
        await ctx.info(f"{{who}}: row {{row}}")
        await asyncio.sleep(0.02)
    return who
@server.tool()
async def wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"
server.run("stdio")
"""


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
@pytest.mark.parametrize("server", ["odd", "sdk"])
async def test_log_messages_are_in_the_answer_of_the_call_they_are_about_and_in_order(
    gateway: GatewayFactory, http: aiohttp.ClientSession, *, modern: bool, server: str
) -> None:
    text = odd("--modern")
    if server == "sdk":
        text = pool(sys.executable, "-c", SDK_PROGRAM.format(module="mcpserver", server="MCPServer"), replicas=1)
    front = await asyncio.to_thread(gateway, text)
    names = ("ann", "bob", "eve")
    callers = {name: Caller(http, front, modern=modern) for name in names}
    for caller in callers.values():
        await caller.open()
    waiting = asyncio.ensure_future(callers["eve"].call("wait", seconds=1.0))
    two = await asyncio.gather(*(callers[name].call("chatter", who=name, rows=20) for name in ("ann", "bob")))
    for name, messages in zip(("ann", "bob"), two, strict=True):
        assert rows_in(messages) == [f"{name}: row {n}" for n in range(20)]
        assert value_of(messages) == name
    assert rows_in(await waiting) == []


async def test_a_client_of_today_that_asks_for_no_log_messages_gets_none(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern"))
    asks, does_not = (Caller(http, front, modern=True, logs=logs) for logs in (True, False))
    asked, silent = await asyncio.gather(
        asks.call("chatter", who="asks", rows=20), does_not.call("chatter", who="silent", rows=20)
    )
    assert rows_in(asked) == [f"asks: row {n}" for n in range(20)], "none of the other's either"
    assert rows_in(silent) == []


async def test_one_client_that_makes_one_call_after_another_stays_with_one_process(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern"))
    caller = Caller(http, front, modern=True)
    assert [value_of(await caller.call("count")) for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_a_client_stays_with_one_process_while_the_gateway_reads_the_list_of_its_tools(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log, held = tmp_path / "log", tmp_path / "held"

    def lists() -> int:
        return [line.get("method") for line in written_json(log)].count("tools/list")

    front = await asyncio.to_thread(gateway, odd("--modern", "--log", str(log), "--holds-lists", str(held)))
    caller = Caller(http, front, modern=True)
    assert value_of(await caller.call("count")) == 1
    held.touch()
    before = lists()
    await until(lambda: lists() > before, "the list is being read, and not answered")
    assert [value_of(await caller.call("count")) for _ in range(3)] == [2, 3, 4]


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_progress_comes_under_each_callers_own_token_though_all_give_the_same(
    gateway: GatewayFactory, http: aiohttp.ClientSession, *, modern: bool
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern"))
    callers = [Caller(http, front, modern=modern, logs=False) for _ in range(3)]
    for caller in callers:
        await caller.open()
    many = await asyncio.gather(
        *(caller.call("chatter", who=str(n), rows=10 + n, token="same") for n, caller in enumerate(callers))
    )
    for n, messages in enumerate(many):
        progress = [m["params"] for m in messages if m.get("method") == "notifications/progress"]
        assert [p["progress"] for p in progress] == list(range(1, 11 + n))
        assert {p["progressToken"] for p in progress} == {"same"}


async def test_two_calls_of_one_session_do_not_get_each_others_log_messages(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd())
    caller = Caller(http, front, modern=False)
    await caller.open()
    waiting = asyncio.ensure_future(caller.call("wait", id=1, seconds=0.8))
    chatter = await caller.call("chatter", id=2, who="two", rows=5)
    assert value_of(chatter) == "two"
    assert rows_in(await waiting) == []
    alone = await caller.call("chatter", id=3, who="three", rows=5)
    assert rows_in(alone) == [f"three: row {n}" for n in range(5)]


@pytest.mark.parametrize("python", ["mcp 2", "mcp 1"])
async def test_each_client_negotiates_its_own_version_also_where_sessions_share_a_process(
    gateway: GatewayFactory, http: aiohttp.ClientSession, python: str
) -> None:
    sections = "[pools.sessions]\nstateless = true"
    text = pool(sys.executable, SDK_SERVER, replicas=1, sections=sections)
    if python == "mcp 1":
        program = SDK_PROGRAM.format(module="fastmcp", server="FastMCP")
        text = pool(
            str(need_path(MCP1_PYTHON, "mcp 1", "`make servers`")), "-c", program, replicas=1, sections=sections
        )
    front = await asyncio.to_thread(gateway, text)
    for version in ("2025-11-25", "2025-03-26", "2025-06-18", "2025-03-26"):
        caller = Caller(http, front, modern=False)
        answer = await caller.open(version)
        assert answer["result"]["protocolVersion"] == version


async def test_questions_to_sessions_that_share_a_process_get_an_error(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "heard"
    text = odd("--log", str(log), sections="[pools.sessions]\nstateless = true")
    front = await asyncio.to_thread(gateway, text)
    one, two = (Caller(http, front, modern=False) for _ in range(2))
    for caller in (one, two):
        await caller.open(capabilities={"sampling": {}})
    waiting = asyncio.ensure_future(two.call("wait", seconds=0.5))
    messages = await one.call("ask", who="one")
    assert value_of(messages)["code"] == -32601
    assert len(messages) == 1
    assert len(await waiting) == 1
    hellos = written_json(log)
    assert all(m["params"]["capabilities"] == {} for m in hellos if m.get("method") == "initialize")
