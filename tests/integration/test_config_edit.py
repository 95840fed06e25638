"""Editing the file while the gateway serves: in effect within a second, no call fails, and nonsense is refused."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from mcp import Client

from tests.conftest import GatewayFactory
from tests.integration.load import reading
from tests.servers import Replica, executions, modern_call, pool_toml, urls_of
from tests.servers.faults import FaultServer
from tests.servers.process import HOST
from tests.waiting import until


async def test_an_added_replica_takes_calls_within_a_second_and_no_call_fails(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    two, three = pool_toml(*urls_of(replicas[:2])), pool_toml(*urls_of(replicas))
    front = gateway(two)
    in_force = front.configz()["hash"]

    async def calls(number: int) -> float:
        """Seconds in which so many calls are answered: the pace of this machine at this moment."""
        wanted, began = load.answered.total() + number, time.monotonic()
        await until(lambda: load.answered.total() >= wanted, "calls go on")
        return time.monotonic() - began

    async def add() -> float:
        """Seconds from the edit that adds c to its first call, without those that the work for it takes here: as many
        as a hundred calls."""
        work = await calls(100)
        seen = load.answered["c"]
        front.edit(three)
        edited = time.monotonic()
        await until(lambda: load.answered["c"] > seen, "c takes calls")
        return time.monotonic() - edited - work

    async def remove() -> None:
        front.edit(two)
        await until(lambda: front.configz()["hash"] == in_force, "c is gone")
        await calls(20)  # and so are those that it had

    async with reading(front.url) as load:
        await until(lambda: load.answered.total() >= 20, "calls go through")
        assert load.answered["c"] == 0
        took: list[float] = []
        for _ in range(10):
            took.append(await add())
            await until(lambda: load.has("c", 20), "c goes on taking calls")
            await remove()
            if took[-1] < 1.0:  # a busy machine makes it longer, and nothing makes it shorter
                break
    assert load.failed == []
    assert min(took) < 1.0, took


async def test_a_removed_replica_finishes_its_calls_and_gets_no_more(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = gateway(pool_toml(replicas[0].url))
    async with Client(front.url) as client, reading(front.url, callers=1) as load:
        slow = asyncio.create_task(client.call_tool("slow", {"seconds": 2}))
        await until(lambda: executions(ledger, "slow"), "the slow call runs on a")
        front.edit(pool_toml(*urls_of(replicas[1:])))
        await until(lambda: load.answered["b"] + load.answered["c"] >= 20, "the others take calls")
        served = len(executions(ledger, "whoami"))
        since = [line["name"] for line in executions(ledger, "whoami")]
        await until(lambda: len(executions(ledger, "whoami")) >= served + 50, "calls go on")
        assert "a" not in [line["name"] for line in executions(ledger, "whoami")][len(since) :]
        assert (await slow).structured_content == {"name": "a", "pid": replicas[0].pid}
    assert load.failed == []


async def test_an_invalid_edit_is_refused_and_reported_while_the_old_configuration_goes_on(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    good = pool_toml(*urls_of(replicas))
    front = gateway(good)
    in_force = front.configz()
    async with reading(front.url) as load:
        front.edit(good + '[[pools]]\nname = "Not A Name"\nendpoints = ["nowhere"]\n')
        await until(lambda: "Not A Name" in front.get("/configz")[1], "the refusal is on /configz")
        assert front.configz()["hash"] == in_force["hash"]
        await until(lambda: "Not A Name" in front.log, "it is logged")
        answered = load.answered.total()
        await until(lambda: load.answered.total() >= answered + 50, "calls go on")
        front.edit(good)
        await until(lambda: "Not A Name" not in front.get("/configz")[1], "the repaired file is in force")
    assert load.failed == []


async def test_a_pool_that_is_added_is_served_under_its_name(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    one = pool_toml(replicas[0].url, name="one")
    front = gateway(one)
    root = front.url.removesuffix("/mcp")
    headers, body = modern_call("whoami", {})
    async with aiohttp.ClientSession() as http:

        async def answers(path: str) -> int:
            async with http.post(root + path, data=body, headers=headers) as response:
                return response.status

        assert await answers("/two/mcp") == 404
        front.edit(one + pool_toml(replicas[1].url, name="two"))
        async with asyncio.timeout(60):
            while await answers("/two/mcp") != 200:
                await asyncio.sleep(0.02)
        assert await answers("/one/mcp") == 200
        assert await answers("/mcp") == 404, "with two pools there is no answer to which one is meant"


async def test_it_starts_on_an_empty_file_names_the_missing_pool_and_serves_it_once_added(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway("", wait=False)
    await until(lambda: front.reachable("/livez"), "the gateway lives without a pool")
    await until(lambda: "[[pools]]" in front.log, "it says what to add")
    empty = front.configz()["hash"]
    front.edit(pool_toml(*urls_of(replicas)))
    await until(lambda: front.configz()["hash"] != empty and front.answers(), "the pool is there and ready")
    async with Client(front.url) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}


async def test_another_host_of_the_same_address_is_another_server(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:

        def pool(host: str) -> str:
            return f'[[pools]]\nname = "demo"\nendpoints = [{{url = "{server.url}", host = "{host}"}}]\n'

        def hosts() -> str | None:
            return server.requests[-1].headers.get("host") if server.requests else None

        front = await asyncio.to_thread(gateway, pool("first.example"))
        await until(lambda: hosts() == "first.example", "it is asked by its first name")
        front.edit(pool("second.example"))
        await until(lambda: hosts() == "second.example", "and then by its second")


async def test_sighup_reads_the_file_again_and_reports_a_refusal_once_more(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(replicas[0].url))
    front.edit("nonsense")
    await until(lambda: front.configz()["rejected"], "the edit is refused")
    assert front.log.count("configuration_refused") == 1
    front.signal(signal.SIGHUP)
    await until(lambda: front.log.count("configuration_refused") == 2, "it is read and refused again")
    front.edit(pool_toml(replicas[0].url))
    await until(lambda: not front.configz()["rejected"], "the good one is in force")
    loaded = front.log.count("configuration_loaded")
    front.signal(signal.SIGHUP)
    await until(lambda: front.log.count("configuration_loaded") == loaded + 1, "it is read again, and reported")


async def test_the_settings_in_force_are_shown_with_where_each_came_from(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(replicas[0].url, sections='[pools.timeouts]\nrequest = "7s"'))
    page = front.configz()
    setting = page["pools"]["demo"]["timeouts.request"]
    assert setting["value"] == "7s"
    assert setting["origin"].startswith(f"{front.config}:")
    assert page["process"]["listener.listen"]["value"] == f"{HOST}:{front.port}"

    async def config() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mcppool", "config", front.admin]
        return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)

    shown = await config()
    assert shown.returncode == 0
    assert 'timeouts.request = "7s"' in shown.stdout
    front.edit("nonsense")
    await until(lambda: front.configz()["rejected"], "the edit is refused")
    refused = await config()
    assert refused.returncode == 1
    assert "nonsense" in refused.stderr


async def test_a_refused_edit_shows_no_secret_in_log_health_or_page(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        pools = pool_toml(server.url)
        front = await asyncio.to_thread(gateway, pools)
        front.edit(f'{pools}\n[cache]\nredis_url = "redis://:hunter2@h:1"\npassword = "hunter2"\n')
        await until(lambda: "configuration_refused" in front.log, "the edit is refused")
        assert "(hidden)" in str(await asyncio.to_thread(front.configz))
        for path in ("/configz", "/health", "/", "/metrics"):
            _, shown = await asyncio.to_thread(front.get, path)
            assert "hunter2" not in shown
        assert "hunter2" not in front.log


async def test_the_log_has_the_format_of_the_file_from_its_first_line_on(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(replicas[0].url), profile="production")  # its format is json
    events = [line for line in front.log.splitlines() if "endpoint_added" in line or "configuration_loaded" in line]
    assert len(events) == 2
    assert all(line.startswith("{") for line in events), events
