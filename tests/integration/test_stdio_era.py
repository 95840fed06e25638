"""The era of a local program is found for every reaction to `server/discover`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.integration.stdio_helpers import Caller, answered, odd, value_of
from tests.written_lines import written_json


@pytest.mark.parametrize(
    "options",
    [
        ["--only-initialize"],
        ["--discover", "exit"],
        ["--discover", "silent"],
        ["--discover", "-32600"],
        ["--discover", "-32603"],
        ["--discover", "0"],
        ["--discover", "-32001"],
    ],
    ids=lambda options: " ".join(options).removeprefix("--"),
)
async def test_a_program_of_the_handshake_era_is_served(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path, options: list[str]
) -> None:
    log = tmp_path / "log"
    front = await asyncio.to_thread(gateway, odd(*options, "--log", str(log), replicas=2))
    callers = [await answered(http, front, modern=False) for _ in range(3)]
    pids = [value_of(await caller.call("pid")) for caller in callers]
    assert len(set(pids)) == 3
    lines = written_json(log)
    for pid in pids:
        heard = [line["method"] for line in lines if line["pid"] == pid and "method" in line]
        assert heard[0] == "initialize", "nothing before it reached a session's process"
    asked = {line["pid"] for line in lines if line.get("method") == "server/discover"}
    assert len(asked) <= 2, "what was found is remembered"


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_a_program_of_both_eras_is_served_in_both(
    gateway: GatewayFactory, http: aiohttp.ClientSession, *, modern: bool
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern", replicas=2))
    caller = await answered(http, front, modern=modern)
    assert isinstance(value_of(await caller.call("pid")), int)


async def test_a_modern_version_that_a_program_would_agree_to_in_a_handshake_is_not_offered_to_it(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    """The client would send modern requests from then on, and this program does not know them."""
    front = await asyncio.to_thread(gateway, odd("--only-initialize", "--agrees"))
    caller = Caller(http, front, modern=False)
    answer = await caller.open(version="2026-07-28")
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    assert isinstance(value_of(await caller.call("pid")), int)


async def test_clients_that_come_at_once_to_a_program_that_starts_slowly_are_all_served(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd("--only-initialize", "--initialize-takes", "3"))

    async def work(number: int) -> int:
        caller = Caller(http, front, modern=False)
        answer = await caller.open()
        assert "result" in answer, answer
        return int(value_of(await caller.call("count", id=number)))

    assert await asyncio.gather(*(work(n) for n in range(8))) == [1] * 8, "each has a process of its own"


async def test_one_spare_process_waits_for_the_next_session(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    front = await asyncio.to_thread(gateway, odd("--log", str(log)))
    caller = await answered(http, front, modern=False)
    pid = value_of(await caller.call("pid"))

    def spare() -> set[int]:
        lines = written_json(log)
        spoken = {line["pid"] for line in lines if "method" in line}
        return {line["pid"] for line in lines if "started" in line} - spoken

    async with asyncio.timeout(60):
        while not spare():
            await asyncio.sleep(0.02)
    waiting = spare()
    other = Caller(http, front, modern=False)
    await other.open()
    assert value_of(await other.call("pid")) in waiting
    assert value_of(await caller.call("pid")) == pid


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
async def test_the_sdks_client_that_comes_before_a_slow_program_has_started_is_served(
    gateway: GatewayFactory, *, modern: bool
) -> None:
    options = ("--modern",) if modern else ()
    front = await asyncio.to_thread(gateway, odd(*options, "--starts-after", "7"))

    async def work() -> None:
        async with Client(front.url) as client:
            assert (await client.call_tool("wait", {"seconds": 0})).structured_content == {"result": "waited"}

    async with asyncio.timeout(240):
        await asyncio.gather(*(work() for _ in range(5)))
