"""Rates of each client, each tool and the pool: counted by one gateway, or by several that share a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.conftest import GatewayFactory
from tests.integration.cached import Client, caching_pool
from tests.integration.raw_http import ask, tool_call
from tests.servers import aserving, pool_toml
from tests.servers.faults import FaultServer
from tests.servers.redis_server import RedisServer
from tests.waiting import until

RATE, BURST = 1, 12


@contextlib.asynccontextmanager
async def pools(store: str, kind: str, folder: Path) -> AsyncIterator[list[Client]]:
    """One pool that counts by itself, or two, as in two gateways, that count in Redis."""
    limit = f'[pools.rate_limit]\nstore = "{store}"\n{kind} = {{requests_per_second = {RATE}, burst = {BURST}}}\n'
    async with FaultServer() as server, contextlib.AsyncExitStack() as stack:
        cache = 'type = "none"'
        if store == "redis":
            (redis,) = await stack.enter_async_context(aserving(RedisServer(folder)))
            cache += f'\nredis_url = "{redis.address}"\nredis_timeout = "10s"'
        number = 2 if store == "redis" else 1
        yield [
            await stack.enter_async_context(caching_pool(server, cache=cache, sections=limit)) for _ in range(number)
        ]


class Tally:
    """Calls at one pool after another; returns the number admitted, and the upper bound of the bucket."""

    def __init__(self, clients: list[Client]) -> None:
        self._clients = itertools.cycle(clients)

    async def __call__(self, tool: str, principal: str) -> bool:
        """Whether a full bucket lets exactly its burst through, and the tokens that come meanwhile."""
        began, answers = monotonic(), []
        for _ in range(3 * BURST):
            params = {"name": tool, "arguments": {}}
            answers.append(await next(self._clients).ask("tools/call", params, principal=principal))
        refused = [answer["error"] for answer in answers if "error" in answer]
        for error in refused:
            self.demand(error)
        admitted = len(answers) - len(refused)
        assert admitted <= BURST + RATE * (monotonic() - began) + 1
        return admitted >= BURST

    @staticmethod
    def demand(error: dict[str, Any]) -> None:
        data = error["data"]
        assert (data["reason"], data["delivered"], data["attempts"]) == ("rate_limited", "no", 0)
        assert 0 < data["retryAfterMs"] <= 1000 / RATE


@pytest.mark.parametrize("store", ["memory", "redis"])
@pytest.mark.parametrize(
    ("kind", "another_principal", "another_tool"),
    [("principal", True, False), ("tool", False, True), ("pool", False, False)],
)
async def test_each_has_a_bucket_of_its_own_and_no_more_than_that(
    kind: str, another_principal: bool, another_tool: bool, store: str, tmp_path: Path
) -> None:
    async with pools(store, kind, tmp_path) as clients:
        calls = Tally(clients)
        assert await calls("read", "ann")
        assert not await calls("read", "ann")
        assert await calls("read", "bob") == another_principal
        assert await calls("write", "ann") == another_tool


async def test_a_client_that_waits_for_retry_after_is_admitted(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        section = "[pools.rate_limit]\npool = {requests_per_second = 1, burst = 1}\n"
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=section))
        assert (await ask(front, tool_call("read"))).status == 200
        refused = await ask(front, tool_call("read"))
        assert refused.status == 429
        wait = refused.error["data"]["retryAfterMs"] / 1000
        assert refused.headers["retry-after"] == str(ceil(wait))
        due = monotonic() + wait
        await until(lambda: monotonic() >= due, "the time is over")
        assert (await ask(front, tool_call("read"))).status == 200
        assert len(server.calls()) == 2
