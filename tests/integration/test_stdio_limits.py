"""Bounds on the processes of local servers, and the messages about them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_session import HEADERS, HELLO
from tests.integration.stdio_helpers import ODD, Caller, answered, odd, value_of
from tests.integration.test_stdio import runs
from tests.servers import modern_call
from tests.waiting import until


@pytest.mark.parametrize(
    ("limits", "most", "key"),
    [
        ("max_processes = 5", 4, "local.max_processes"),
        ("max_processes_per_client = 3", 3, "local.max_processes_per_client"),
    ],
    ids=["all", "per client"],
)
async def test_processes_are_bounded_and_a_session_too_many_gets_an_error_without_effect_on_others(
    gateway: GatewayFactory, http: aiohttp.ClientSession, limits: str, most: int, key: str
) -> None:
    front = await asyncio.to_thread(gateway, odd(sections=f"[pools.local]\n{limits}"))
    callers = [await answered(http, front, modern=False) for _ in range(most)]
    for _ in range(3):
        async with http.post(front.url, json=HELLO, headers=HEADERS) as response:
            refused = await response.json()
        assert refused["error"]["data"]["reason"] == "overloaded", refused
        assert key in refused["error"]["message"]
        assert "Mcp-Session-Id" not in response.headers
    await until(lambda: key in front.log, "the log names the limit")
    for caller in callers:
        assert isinstance(value_of(await caller.call("pid")), int), "who has a process keeps it"
    headers = {**HEADERS, "Mcp-Session-Id": callers[0].session, "MCP-Protocol-Version": "2025-11-25"}
    async with http.delete(front.url, headers=headers):
        pass
    await answered(http, front, modern=False)


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_client_that_does_not_read_holds_up_its_own_program_and_no_memory(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd())
    caller = await answered(http, front, modern=False)
    before = resident(front.pid)
    message = {
        "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": {"name": "flood", "arguments": {"count": 3000, "size": 100_000}, "_meta": {"progressToken": "t"}},
    }  # fmt: skip
    headers = {**HEADERS, "Mcp-Session-Id": caller.session, "MCP-Protocol-Version": "2025-11-25"}
    async with aiohttp.ClientSession(read_bufsize=1024) as slow:
        response = await slow.post(front.url, json=message, headers=headers)
        other = await answered(http, front, modern=False)
        highest = 0
        for _ in range(20):
            assert isinstance(value_of(await other.call("pid")), int)
            highest = max(highest, resident(front.pid))
        assert highest - before < 64 << 20, "of 300 MB"
        total = 0
        with contextlib.suppress(aiohttp.ClientError):
            async for chunk in response.content.iter_any():
                total += len(chunk)
        assert total > 300_000_000, "and nothing is lost"


async def test_a_program_that_does_not_read_takes_no_memory_and_others_go_on(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd("--deaf"))
    deaf, other = Caller(http, front, modern=False), Caller(http, front, modern=False)
    for caller in (deaf, other):
        await caller.open()
    before = resident(front.pid)
    big = "x" * 3_000_000
    calls = [asyncio.ensure_future(deaf.call("echo", id=n, value=big)) for n in range(30)]
    started = asyncio.ensure_future(other.call("pid"))
    assert isinstance(value_of(await started), int)
    assert resident(front.pid) - before < 200 << 20
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_changed_settings_take_effect_and_running_processes_go_on(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd())
    async with aiohttp.ClientSession() as own:
        caller = Caller(own, front, modern=False)
        await caller.open()
        pid = value_of(await caller.call("pid"))
        loads = front.log.count("configuration_loaded")
        more = '[pools.local]\nidle_timeout = "200ms"\nmax_processes = 20\n[pools.sessions]\nidle_timeout = "20m"'
        front.edit(odd(sections=more))
        await until(lambda: front.log.count("configuration_loaded") > loads, "taken over")
        assert value_of(await caller.call("pid")) == pid
    await until(lambda: not runs(pid), "the new idle time holds")
    loads = front.log.count("configuration_loaded")
    front.edit(odd(sections="[pools.sessions]\nstateless = true"))
    await until(lambda: front.log.count("configuration_loaded") > loads, "taken over")
    pids = set()
    for _ in range(3):
        caller = await answered(http, front, modern=False)
        pids.add(value_of(await caller.call("pid")))
    assert len(pids) == 1, "sessions share a process now"


async def test_the_page_warns_of_several_processes_whose_tools_write(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern", replicas=2))
    await answered(http, front, modern=True)

    def warnings() -> list[str]:
        found: list[str] = json.loads(front.get("/status.json")[1])["pools"][0]["warnings"]
        return found

    assert any("replicas = 1" in sentence for sentence in warnings())
    front.edit(odd("--modern", replicas=1))
    await until(lambda: not warnings(), "one process is one memory")


async def test_the_command_line_passes_variables_on_and_says_which_profile_is_in_force() -> None:
    from tests.servers.process import free_port

    port = free_port()
    command = [
        sys.executable, "-m", "mcppool", "serve", "--listen", f"127.0.0.1:{port}", "--admin-port", str(free_port()),
        "--replicas", "1", "--env", "GIVEN=a=b", "--env", "PASSED", "--", sys.executable, "-S", ODD, "--modern",
    ]  # fmt: skip
    environment = {**os.environ, "PASSED": "on", "SECRET": "no"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        said = ""
        async with asyncio.timeout(120), aiohttp.ClientSession() as http:
            while "Profile development" not in said:
                said += (await process.stderr.readline()).decode()
            headers, body = modern_call("env", {})
            while True:
                with contextlib.suppress(aiohttp.ClientError, KeyError):
                    async with http.post(f"http://127.0.0.1:{port}/mcp", data=body, headers=headers) as response:
                        found = (await response.json())["result"]["structuredContent"]["result"]
                    break
                await asyncio.sleep(0.05)
        assert (found["GIVEN"], found["PASSED"]) == ("a=b", "on")
        assert "SECRET" not in found
    finally:
        process.terminate()
        await process.communicate()
