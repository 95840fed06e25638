"""`mcppool advise` on a gateway at work: what it samples, what it says, and that the change helps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mcppool.cli.main import main
from tests.conftest import GatewayFactory
from tests.integration.cached import HintServer, caching_pool
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, Replica, modern_call, pool_toml, urls_of
from tests.servers.faults import gated
from tests.waiting import until

SECTIONS = """
[pools.retry_policy]
trust_annotations = false
[pools.load_balancer]
strategy = "round_robin"
"""


async def repeated_calls(front: Gateway, rules: set[str]) -> list[dict[str, Any]]:
    """Make equal calls until there is advice by these rules; return all advice."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(120):
        while True:
            for number in range(20):
                headers, body = modern_call("add", {"a": number % 4, "b": 2})
                async with http.post(front.url, data=body, headers=headers) as response:
                    assert response.status == 200, await response.text()
            advice = json.loads((await asyncio.to_thread(front.get, "/advice.json"))[1])["advice"]
            if rules <= {each["rule"] for each in advice}:
                return list(advice)


async def test_repeated_calls_of_an_annotated_tool_lead_to_advice_which_the_file_takes_over(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=SECTIONS))
    advice = await repeated_calls(front, {"cache.tool", "idempotent.tool"})
    keys = {change["key"]: change["proposed"] for each in advice for change in each["changes"]}
    assert keys["tools.add.idempotent"] is True
    assert keys["tools.add.cache_ttl"] == "1m"
    (cache,) = (each for each in advice if each["rule"] == "cache.tool")
    assert cache["figures"]["different results"] == 0

    file = str(front.config)
    assert await asyncio.to_thread(main, ["advise", "--write", file]) == 0
    said = capsys.readouterr()
    assert 'tools.add.cache_ttl = "1m"   (not set)' in said.out
    assert "Expected: At least" in said.out
    assert "First ask:" in said.out
    changes = await asyncio.to_thread(Path(f"{file}.diff").read_text)
    assert "+tools.add.idempotent = true" in changes
    assert await asyncio.to_thread(main, ["advise", "-o", "json", front.admin]) == 0
    assert {each["rule"] for each in json.loads(capsys.readouterr().out)["advice"]} >= {"cache.tool"}


async def test_a_cache_is_advised_for_calls_of_sessions_once_the_sessions_hold_no_state(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
    async with aiohttp.ClientSession() as http, asyncio.timeout(120):
        sessions = [RawSession(http), RawSession(http)]
        for session in sessions:
            await session.open(front)
        advised: set[str] = set()
        while "sessions.stateless" not in advised:
            for session in sessions:
                status, answer = await session.post(front, call("add", a=1, b=2))
                assert status == 200, answer
            advised = await rules_of(front)
        assert "cache.tool" not in advised, "the cache answers no call of a session that may hold state"
        front.edit(pool_toml(*urls_of(replicas), sections="[pools.sessions]\nstateless = true\n"))
        while "cache.tool" not in advised:
            advised = await rules_of(front)


async def rules_of(front: Gateway) -> set[str]:
    """The rules whose advice the gateway gives now."""
    body = json.loads((await asyncio.to_thread(front.get, "/advice.json"))[1])
    return {each["rule"] for each in body["advice"]}


async def test_a_gateway_without_work_gets_no_advice_and_an_older_diff_does_not_stay(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas)))
    older = Path(f"{front.config}.diff")
    await asyncio.to_thread(older.write_text, "of yesterday")
    assert await asyncio.to_thread(main, ["advise", "--write", str(front.config)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Nothing to change, by the figures of the last ")
    assert "patch" not in said.err
    assert not await asyncio.to_thread(older.exists)


async def test_a_file_that_nobody_serves_and_one_with_mistakes_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing.toml")
    assert await asyncio.to_thread(main, ["advise", missing]) == 1
    assert "no such file" in capsys.readouterr().err
    file = tmp_path / "pools.toml"
    file.write_text("pools = 3\n")
    assert await asyncio.to_thread(main, ["advise", str(file)]) == 1
    assert "has mistakes" in capsys.readouterr().err
    assert await asyncio.to_thread(main, ["advise", "--write", "http://127.0.0.1:1"]) == 1
    assert "--write needs the configuration file" in capsys.readouterr().err


async def test_a_burst_of_calls_is_counted_however_short_it_is() -> None:
    gate = asyncio.Event()
    async with HintServer(gated(gate)) as server, caching_pool(server, cache='type = "none"\n') as client:
        calls = [asyncio.create_task(client.tool("read")) for _ in range(7)]
        metrics = client.pool.metrics
        await until(lambda: metrics.in_flight == 7, "all of them have, or wait for, a connection")
        gate.set()
        await asyncio.gather(*calls)
        assert (metrics.in_flight, metrics.take_peak(), metrics.take_peak()) == (0, 7, 0)
