"""Changes that a server announces invalidate cached answers."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.cached import READ_CACHED, Client, HintServer, ListeningServer, caching_pool
from tests.servers.faults import gated
from tests.waiting import until


async def test_an_announced_change_is_not_answered_from_before_it() -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        watching = client.caching.watching
        kept = await client.number("tools/list")
        tool = await client.tool("read")
        prompts = await client.number("prompts/list")
        a, b = [await client.number("resources/read", {"uri": f"file:///{name}"}) for name in "ab"]
        watching.changed("notifications/tools/list_changed", None)
        watching.changed("notifications/resources/updated", "file:///a/part")
        assert await client.number("tools/list") != kept
        assert await client.tool("read") != tool
        assert await client.number("prompts/list") == prompts
        assert await client.number("resources/read", {"uri": "file:///a"}) != a
        assert await client.number("resources/read", {"uri": "file:///b"}) == b


async def test_an_answer_that_was_asked_for_before_a_change_is_not_kept() -> None:
    gate = asyncio.Event()
    async with HintServer(gated(gate)) as server, caching_pool(server, sections=READ_CACHED) as client:
        before = asyncio.create_task(client.tool("read"))
        await until(lambda: server.calls("read"), "the call is there")
        client.caching.watching.changed("notifications/tools/list_changed", None)
        await asyncio.sleep(0)
        gate.set()
        assert await client.tool("read") != await before


async def test_a_changed_catalog_invalidates_the_lists() -> None:
    async with HintServer() as server, caching_pool(server) as client:
        kept = await client.number("tools/list")
        assert await client.number("tools/list") == kept
        server.tools.append({"name": "new", "inputSchema": {"type": "object"}})
        await until(lambda: "new" in client.pool.settings.catalog.tools, "the prober has seen it")
        assert await client.number("tools/list") != kept


async def test_the_gateway_listens_for_changes_of_cached_answers_and_invalidates_them() -> None:
    async with ListeningServer() as server, caching_pool(server) as client:
        await client.number("prompts/list")
        assert server.filters == [], "nothing is listened for that the server does not announce"
        await client.number("tools/list")
        await until(lambda: server.filters == [{"toolsListChanged": True}], "the gateway listens")
        kept = await client.number("tools/list")
        assert await client.number("tools/list") == kept
        await server.announce("notifications/tools/list_changed")
        await changed(client, "tools/list", {}, kept)
        a = {"uri": "file:///a"}
        await client.number("resources/read", a)
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]}
        await until(
            lambda: server.filters == [wanted], "the resource is watched too, on a stream instead of the old one"
        )
        kept, tools = await client.number("resources/read", a), await client.number("tools/list")
        assert await client.number("resources/read", a) == kept
        await server.announce("notifications/resources/updated", uri="file:///a")
        await changed(client, "resources/read", a, kept)
        assert await client.number("tools/list") == tools


async def changed(client: Client, method: str, params: dict[str, Any], kept: int) -> None:
    """Wait until another answer than `kept` is given."""
    for _ in range(1000):
        if await client.number(method, params) != kept:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{method} is still answered from before the change")


async def test_a_change_is_taken_in_that_only_clients_listen_for_yet() -> None:
    async with ListeningServer() as server, caching_pool(server) as client:
        await until(lambda: client.pool.hub._observer is not None, "the pool sweeps")
        kept = await client.number("tools/list")
        client.pool.hub.dispatch("notifications/tools/list_changed", None, b"{}")
        assert await client.number("tools/list") != kept


async def test_answers_that_may_have_changed_during_a_broken_stream_are_not_given() -> None:
    async with ListeningServer() as server, caching_pool(server) as client:
        await client.number("tools/list")
        await until(lambda: server.filters, "the gateway listens")
        watching = client.caching.watching
        await until(lambda: watching._fresh.empty, "it has listened for a while")
        kept = await client.number("tools/list")
        server.streams[-1].close()
        await until(lambda: server.opened == 2, "the stream broke, and the gateway listens again")
        await changed(client, "tools/list", {}, kept)
