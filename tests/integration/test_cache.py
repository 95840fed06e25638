"""Answers are cached if the server or the pool allows it, never for another client, and not after a change."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from mcp import Client as McpClient

from mcppool.pipeline.caching.step import MAX_KEPT
from mcppool.wire.bulk import BULK
from mcppool.wire.era import Era
from tests.conftest import GatewayFactory
from tests.integration.cached import FORWARD, READ_CACHED, HintServer, caching_pool
from tests.servers import Replica, executions, pool_toml, text_of, urls_of
from tests.servers.framing import event_stream


async def test_a_list_with_a_hint_is_cached_and_given_under_the_callers_id_with_its_remaining_lifetime() -> None:
    async with HintServer() as server, caching_pool(server) as client:
        first = await client.ask("tools/list")
        second = await client.ask("tools/list")
        assert second["result"]["number"] == first["result"]["number"]
        assert 0 <= second["result"]["ttlMs"] <= first["result"]["ttlMs"] == 60_000
        assert {**second["result"], "ttlMs": 0} == {**first["result"], "ttlMs": 0}
        assert (client.counters.hits, client.counters.misses) == ({"tools/list": 1}, {"tools/list": 1})


@pytest.mark.parametrize("hints", [{"ttlMs": 0}, {"ttlMs": -1}, {"ttlMs": "60000"}, {}])
async def test_a_list_without_a_good_hint_is_not_kept(hints: dict[str, Any]) -> None:
    async with HintServer() as server, caching_pool(server) as client:
        server.hints = hints
        assert await client.number("tools/list") != await client.number("tools/list")


async def test_pages_and_resources_are_kept_each_by_itself() -> None:
    async with HintServer() as server, caching_pool(server) as client:
        asked: list[tuple[str, dict[str, Any]]] = [
            ("resources/list", {}),
            ("resources/list", {"cursor": ""}),
            ("resources/list", {"cursor": "a"}),
            ("resources/templates/list", {}),
            ("resources/read", {"uri": "file:///a"}),
            ("resources/read", {"uri": "file:///b"}),
            ("prompts/list", {}),
        ]
        numbers = [await client.number(*each) for each in asked]
        assert len(set(numbers)) == len(asked)
        assert [await client.number(*each) for each in asked] == numbers


async def test_a_private_answer_is_for_its_principal_and_a_public_one_for_all_where_the_pool_is_trusted() -> None:
    async with HintServer() as server, caching_pool(server, sections="[pools.catalog]\ntrusted = true\n") as client:
        a = await client.number("tools/list", principal="a")
        b = await client.number("tools/list", principal="b")
        assert a != b
        assert await client.number("tools/list", principal="a") == a
        server.hints["cacheScope"] = "public"
        c = await client.number("prompts/list", principal="c")
        assert await client.number("prompts/list", principal="d") == c


async def test_a_public_hint_is_ignored_unless_the_pool_is_trusted() -> None:
    async with HintServer() as server, caching_pool(server) as client:
        server.hints["cacheScope"] = "public"
        a = await client.number("tools/list", principal="a")
        assert await client.number("tools/list", principal="b") != a
        assert await client.number("tools/list", principal="a", headers=b"x-tenant: t\r\n") != a


async def test_no_answer_of_one_principal_is_ever_given_to_another() -> None:
    rng = random.Random(7)
    sections = READ_CACHED + "[pools.catalog]\ntrusted = true\n"
    async with HintServer() as server, caching_pool(server, sections=sections) as client:
        owner: dict[int, str] = {}
        hits = 0

        async def one() -> None:
            nonlocal hits
            principal = rng.choice("abc")
            if rng.random() < 0.5:
                number = await client.tool("read", {"q": rng.randrange(3)}, principal=principal)
            else:
                uri = f"file:///{rng.randrange(3)}"
                number = await client.number("resources/read", {"uri": uri}, principal=principal)
            hits += number in owner
            assert owner.setdefault(number, principal) == principal

        for _ in range(40):
            await asyncio.gather(*(one() for _ in range(rng.randrange(1, 6))))
            if rng.random() < 0.1:
                client.caching.watching.changed("notifications/tools/list_changed", None)
        assert hits


async def test_lists_of_a_uniform_pool_are_shared_and_reads_are_not() -> None:
    async with HintServer() as server, caching_pool(server, sections="[pools.catalog]\nuniform = true\n") as client:
        server.hints["cacheScope"] = "private"
        a = await client.number("tools/list", principal="a")
        assert await client.number("tools/list", principal="b") == a
        read = await client.number("resources/read", {"uri": "x:y"}, principal="a")
        assert await client.number("resources/read", {"uri": "x:y"}, principal="b") != read


async def test_a_tools_result_is_cached_by_its_arguments_in_any_spelling() -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        first = await client.tool("read", {"a": 1, "b": {"c": 2, "d": 3}})
        assert await client.tool("read", {"b": {"d": 3, "c": 2}, "a": 1}) == first
        assert await client.tool("read", {"a": 1.0, "b": {"c": 2, "d": 3}}) != first
        assert await client.tool("write") != await client.tool("write")
        assert client.counters.hits == {"read": 1}


@pytest.mark.parametrize(
    "extra",
    [
        {"isError": True},
        {"resultType": "input_required", "inputRequests": {}},
        {"requestState": "s"},
        {"resultType": "task", "taskId": "t"},
    ],
)
async def test_only_complete_successes_are_cached(extra: dict[str, Any]) -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        server.extra = extra
        assert await client.tool("read") != await client.tool("read")


async def test_a_call_that_returns_state_or_input_bypasses_the_cache() -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        kept = await client.tool("read")
        for more in ({"requestState": "s"}, {"inputResponses": {}}, {"task": {}}):
            assert await client.number("tools/call", {"name": "read", "arguments": {}, **more}) != kept
        assert await client.tool("read") == kept


async def test_an_answer_that_comes_as_a_stream_is_kept_too() -> None:
    async with HintServer(event_stream(split=7)) as server, caching_pool(server, sections=READ_CACHED) as client:
        assert await client.tool("read") == await client.tool("read")


@pytest.mark.parametrize(("size", "kept"), [(BULK + 1, True), (MAX_KEPT, False)])
async def test_a_large_answer_is_kept_and_given_with_its_hint_unless_it_is_too_large(size: int, kept: bool) -> None:
    async with HintServer() as server, caching_pool(server) as client:
        server.extra = {"blob": "x" * size}
        first = (await client.ask("prompts/list"))["result"]
        second = (await client.ask("prompts/list"))["result"]
        assert (first["number"] == second["number"]) is kept
        assert second["blob"] == first["blob"]
        assert first["ttlMs"] == 60_000
        assert second["ttlMs"] <= 60_000


async def test_without_servers_an_expired_answer_is_given_except_for_a_tool() -> None:
    sections = '[pools.tools.read]\ncache_ttl = "50ms"\n'
    async with HintServer() as server, caching_pool(server, sections=sections) as client:
        server.hints["ttlMs"] = 500
        kept = await client.number("tools/list")
        await client.tool("read")
        await server.refuse()
        for _ in range(2000):
            answer = await client.ask("tools/list")
            if client.counters.stale:
                break
            await asyncio.sleep(0.01)
        assert answer["result"]["number"] == kept
        assert answer["result"]["ttlMs"] == 0
        assert "error" in await client.ask("tools/call", {"name": "read", "arguments": {}})
        assert "error" in await client.ask("prompts/list")


async def test_without_servers_no_principal_gets_an_expired_answer_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    async with HintServer() as server, caching_pool(server) as client:
        server.hints["ttlMs"] = 60_000
        kept = {name: await client.number("tools/list", principal=name) for name in ("a", "b")}
        assert kept["a"] != kept["b"]
        await server.refuse()
        monkeypatch.setattr(client.caching.store, "_clock", lambda: monotonic() + 61)
        for name in ("a", "b"):
            result = (await client.ask("tools/list", principal=name))["result"]
            assert (result["number"], result["ttlMs"]) == (kept[name], 0)
        assert "error" in await client.ask("tools/list", principal="c")


async def legacy(client: Any, tool: str, session: Any, headers: bytes = b"") -> int:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    answer = await client.send(json.dumps(message).encode(), FORWARD + headers, Era.LEGACY, session=session)
    number: int = answer["result"]["number"]
    return number


@pytest.mark.parametrize(("upstream_session", "same"), [("s-1", False), ("", True)])
async def test_calls_of_a_stateful_session_are_not_answered_from_the_cache(upstream_session: str, same: bool) -> None:
    from mcppool.pipeline.sessions.session import Session
    from mcppool.wire.sealing import SessionClaims

    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        session = Session(SessionClaims(server.url, upstream_session, "2025-11-25", None, b"{}", 0, 1))
        assert (await legacy(client, "read", session) == await legacy(client, "read", session)) is same


async def test_an_answer_has_the_form_of_the_version_that_a_client_without_a_session_names() -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        old, new = b"mcp-protocol-version: 2025-03-26\r\n", b"mcp-protocol-version: 2025-11-25\r\n"
        numbers = {named: await legacy(client, "read", None, named) for named in (b"", old, new)}
        assert len(set(numbers.values())) == 3
        assert {named: await legacy(client, "read", None, named) for named in numbers} == numbers


async def test_a_changed_configuration_of_the_cache_is_taken_over() -> None:
    async with HintServer() as server, caching_pool(server, sections=READ_CACHED) as client:
        spec = client.pool.spec
        kept = await client.tool("read")
        client.pool.configure(spec.model_copy(update={"cache": spec.cache.model_copy(update={"max_size": 5})}))
        assert await client.tool("read") == kept
        client.pool.configure(spec.model_copy(update={"cache": spec.cache.model_copy(update={"type": "none"})}))
        assert client.pool.caching is None
        assert await client.tool("read") != kept
        client.pool.configure(spec)
        assert await client.tool("read") == await client.tool("read") != kept


async def test_the_admin_port_shows_the_counters_of_the_cache(gateway: GatewayFactory) -> None:
    async with HintServer() as server:
        sections = '[pools.cache]\ntype = "memory"\nmax_size = 10000\nttl = "1h"\n' + READ_CACHED
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        from tests.integration.test_failover import post

        answers = [await post(front, "read") for _ in range(3)]
        assert len({(status, answer["result"]["number"]) for status, answer in answers}) == 1
        assert server.executed("read") == 1
        read = await asyncio.to_thread(front.metric, 'mcp_cache_hits_total{cache_type="memory",tool_name="read"}')
        missed = await asyncio.to_thread(front.metric, 'mcp_cache_misses_total{cache_type="memory",tool_name="read"}')
        items = await asyncio.to_thread(front.metric, 'mcp_cache_size_items{cache_type="memory"}')
        used = await asyncio.to_thread(front.metric, 'mcp_cache_memory_usage_bytes{cache_type="memory"}')
        assert (read, missed, items) == (2, 1, 1)
        assert used > 0
        health = json.loads((await asyncio.to_thread(front.get, "/health"))[1])
        assert health["components"]["cache"] == {"status": "healthy", "message": "answers are cached: memory"}


async def test_a_real_server_executes_equal_calls_of_a_kept_tool_once_for_clients_of_its_era(
    gateway: GatewayFactory, sse_replicas: tuple[Replica, ...], ledger: Path
) -> None:
    kept = '[pools.cache]\ntype = "memory"\n[pools.tools.add]\ncache_ttl = "1m"\n'
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(sse_replicas), sections=kept))
    async with McpClient(front.url) as one, McpClient(front.url) as other:
        for client in (one, other, one):
            result = await client.call_tool("add", {"a": 2, "b": 3})
            assert text_of(result) == "5"
        await one.call_tool("add", {"a": 2, "b": 4})
        assert (await one.call_tool("fail", {})).is_error
    assert len(executions(ledger, "add")) == 2
    async with McpClient(front.url, mode="legacy") as old:  # its server remembers sessions, so nothing is kept
        for _ in range(2):
            await old.call_tool("add", {"a": 2, "b": 3})
    assert len(executions(ledger, "add")) == 4
