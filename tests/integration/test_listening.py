"""`subscriptions/listen` over a pool: events of every replica are seen, and gaps are reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.conftest import GatewayFactory
from tests.servers import (
    Gateway,
    Replica,
    ServerProcess,
    aserving,
    everything_server,
    modern_call,
    modern_request,
    pool_toml,
    urls_of,
)
from tests.waiting import until

IN_TURN = '[pools.load_balancer]\nstrategy = "round_robin"\n'
LIST_CHANGED = "notifications/tools/list_changed"


class Stream:
    """The messages of an event stream, one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> dict[str, Any]:
        """The next message; comments are passed over."""
        async with asyncio.timeout(60):
            async for line in self._response.content:
                if line.startswith(b"data: "):
                    message: dict[str, Any] = json.loads(line[6:])
                    return message
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listening(front: Gateway) -> AsyncIterator[Stream]:
    """A client that listens for changes of the tools, acknowledged."""
    wanted = {"notifications": {"toolsListChanged": True}}
    headers, body = modern_request("subscriptions/listen", wanted, request_id="mine")
    async with aiohttp.ClientSession() as client, client.post(front.url, data=body, headers=headers) as response:
        stream = Stream(response)
        assert (await stream.next())["method"] == "notifications/subscriptions/acknowledged"
        yield stream


def available(front: Gateway, server: ServerProcess) -> float:
    return front.metric(f'mcppool_endpoint_available{{pool="demo",endpoint="{server.url}"}}')


async def test_a_change_on_any_replica_reaches_every_listener_under_its_own_id(gateway: GatewayFactory) -> None:
    async with aserving(*(everything_server(name) for name in "abc")) as servers, aiohttp.ClientSession() as client:
        front = gateway(pool_toml(*urls_of(servers), sections=IN_TURN))
        async with listening(front) as one, listening(front) as other:
            for _ in servers:  # in turn: one call on each of them
                headers, body = modern_call("test_trigger_tool_change")
                async with client.post(front.url, data=body, headers=headers) as response:
                    assert response.status == 200
            for stream in (one, other):
                for _ in servers:
                    event = await stream.next()
                    assert event["method"] == LIST_CHANGED
                    assert event["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "mine"}


async def test_a_subscriber_hears_that_lists_may_have_changed_when_a_replica_joins(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas[:2])))
    async with listening(front) as stream:
        front.edit(pool_toml(*urls_of(replicas)))
        assert (await stream.next())["method"] == LIST_CHANGED


async def test_a_subscriber_hears_that_lists_may_have_changed_when_a_replica_comes_back(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas[:2])))
    async with listening(front) as stream:
        replicas[0].kill()
        await until(lambda: available(front, replicas[0]) == 0, "seen to be gone")
        await replicas[0].restart()
        assert (await stream.next())["method"] == LIST_CHANGED
