"""`mcppool.Pool` and servers of the modern era: their offers, their questions, and their failures."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ElicitResult, PromptReference

import mcppool
from tests.descriptors import held
from tests.integration.client_library import nothing_left
from tests.servers import (
    Replica,
    executions,
    pool_toml,
    urls_of,
)
from tests.servers.faults import (
    Exchange,
    FaultServer,
    cut_short,
    healthy,
    reset_after,
    silent,
    wrong_id,
)
from tests.waiting import until


async def test_everything_that_a_server_offers_comes_as_typed_values(replicas: tuple[Replica, ...]) -> None:
    async with mcppool.Pool(urls_of(replicas)) as pool:
        assert [str(resource.uri) for resource in (await pool.list_resources()).resources] == ["replica://name"]
        assert getattr((await pool.read_resource("replica://name")).contents[0], "text", None) in {"a", "b", "c"}
        assert (await pool.list_resource_templates()).resource_templates == []
        assert [prompt.name for prompt in (await pool.list_prompts()).prompts] == ["greeting"]
        prompt = await pool.get_prompt("greeting", {"who": "Ada"})
        assert "Greet Ada" in getattr(prompt.messages[0].content, "text", "")
        with pytest.raises(mcppool.RpcError):
            await pool.complete(PromptReference(name="greeting"), {"name": "who", "value": "A"})
        assert (await pool.call_tool("fail", {"message": "as asked"})).is_error


async def test_the_calls_are_shared_by_all_replicas(replicas: tuple[Replica, ...], ledger: Path) -> None:
    async with mcppool.Pool(urls_of(replicas), load_balancer={"strategy": "round_robin"}) as pool:
        for _ in range(30):
            await pool.call_tool("whoami")
    assert Counter(line["name"] for line in executions(ledger, "whoami")) == {"a": 10, "b": 10, "c": 10}


async def test_a_question_of_the_server_is_raised_and_answered_by_the_same_call(
    replicas: tuple[Replica, ...],
) -> None:
    async with mcppool.Pool(urls_of(replicas), capabilities={"elicitation": {"form": {}}}) as pool:
        with pytest.raises(mcppool.InputRequired) as caught:
            await pool.call_tool("reserve", {"title": "Dune"})
        asked = caught.value.result
        (key,) = asked.input_requests or {}
        answer = await pool.call_tool(
            "reserve",
            {"title": "Dune"},
            input_responses={key: ElicitResult(action="accept", content={"copies": 2})},
            request_state=asked.request_state,
        )
        assert "2 x Dune" in getattr(answer.content[0], "text", "")


async def test_the_official_client_answers_questions_over_the_pool(sse_replicas: tuple[Replica, ...]) -> None:
    from mcp import Client

    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"copies": 3})

    async with nothing_left(), mcppool.Pool(urls_of(sse_replicas)) as pool:
        for mode in ("auto", "legacy"):
            async with Client(pool.transport(), mode=mode, elicitation_callback=answer) as client:
                result = await client.call_tool("reserve", {"title": "Dune"})
                assert "3 x Dune" in getattr(result.content[0], "text", ""), mode


async def test_a_call_that_is_cancelled_is_cancelled_at_the_server() -> None:
    left = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.reader.read()
        left.set()
        exchange.close()

    async with (
        FaultServer(behave) as server,
        nothing_left(server),
        mcppool.Pool([server.url], profile="test") as pool,
    ):
        call = asyncio.create_task(pool.call_tool("write"))
        await until(lambda: server.calls("write"), "it is at the server")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(left.wait(), 60)


@pytest.mark.parametrize(
    ("fault", "reason", "delivered"),
    [
        (reset_after, "connection_lost", "unknown"),
        (cut_short, "connection_lost", "yes"),
        (wrong_id, "bad_upstream_answer", "yes"),
    ],
)
async def test_a_write_that_broke_is_not_repeated_and_its_error_gives_the_delivery(
    fault: Callable[[Exchange], Awaitable[None]], reason: str, delivered: str
) -> None:
    async with FaultServer(fault) as bad, mcppool.Pool([bad.url], profile="test") as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await pool.call_tool("write", {"key": "k"})
        failure = caught.value
        assert (failure.reason, failure.delivered, failure.attempts) == (reason, delivered, 1)
        assert bad.executed("write") == 1
        assert f"at {bad.url}: " in str(failure), "it is the program's own configuration that names it"


async def test_with_no_server_there_a_call_fails_and_was_not_delivered() -> None:
    async with FaultServer() as server:
        url = server.url
    async with (
        nothing_left(),
        mcppool.Pool([url], profile="test", connection_pool={"acquire_timeout": "100ms"}) as pool,
    ):
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("write"), 60)
        assert (caught.value.reason, caught.value.delivered, caught.value.attempts) == ("no_catalog", "no", 0)


async def test_a_server_that_comes_later_is_used() -> None:
    server = FaultServer()
    async with mcppool.Pool([server.url], profile="test") as pool:
        calling = asyncio.create_task(pool.call_tool("read"))
        await server.listen()
        assert getattr((await calling).content[0], "text", "") == "fake"
    await server.refuse()


async def test_opening_that_is_cancelled_leaves_nothing_behind() -> None:
    async with FaultServer(silent, everything=True) as server, FaultServer(silent, everything=True) as other:
        mine = asyncio.current_task()
        before, files = asyncio.all_tasks(), held()
        pool = mcppool.Pool([server.url, other.url])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.__aenter__(), 0.2)
        ours = {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task.get_coro())}
        assert ours - {mine} == set()
        await until(lambda: len(held() - files) == 0, "the servers have seen the end, too")
        with pytest.raises(mcppool.CallFailed, match="not open"):
            await pool.call_tool("read")


async def test_a_pool_that_was_closed_can_be_opened_again_but_not_twice_at_once(replicas: tuple[Replica, ...]) -> None:
    pool = mcppool.Pool(urls_of(replicas))
    for _ in range(2):
        async with nothing_left(), pool:
            assert (await pool.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}
            with pytest.raises(RuntimeError, match="open already"):
                await pool.__aenter__()


async def test_two_tasks_that_open_a_pool_at_once_open_it_once(replicas: tuple[Replica, ...]) -> None:
    async with nothing_left():
        pool = mcppool.Pool(dns=replicas[0].url.replace("127.0.0.1", "localhost"))
        opened = await asyncio.gather(pool.__aenter__(), pool.__aenter__(), return_exceptions=True)
        await pool.aclose()
        assert [type(one) for one in opened] == [mcppool.Pool, RuntimeError]


async def test_another_event_loop_is_refused_with_the_reason(replicas: tuple[Replica, ...]) -> None:
    async with nothing_left(), mcppool.Pool(urls_of(replicas)) as pool:

        def elsewhere(action: Callable[[], Coroutine[Any, Any, Any]]) -> None:
            with pytest.raises(RuntimeError, match="opened in another event loop"):
                asyncio.run(action())

        for action in (lambda: pool.call_tool("add", {"a": 1, "b": 1}), pool.server_info, pool.aclose):
            await asyncio.to_thread(elsewhere, action)
        assert (await pool.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}


@pytest.mark.parametrize("timeout", [math.nan, "5"])
async def test_a_time_out_that_is_no_number_is_refused(timeout: Any) -> None:
    async with FaultServer() as server, mcppool.Pool([server.url], profile="test") as pool:
        for call in (pool.call_tool("read", timeout=timeout), pool.server_info(timeout=timeout)):
            with pytest.raises(ValueError, match=r"timeout: .* is not a number of seconds"):
                await call


async def test_arguments_that_a_tool_wants_in_headers_are_repeated_there() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    tools = [{"name": "read", "inputSchema": schema, "annotations": {"readOnlyHint": True}}]

    async def demand(exchange: Exchange) -> None:
        if exchange.headers.get("mcp-param-region") == exchange.body["params"]["arguments"]["region"]:
            await healthy(exchange)
            return
        error = {"code": -32020, "message": "Mcp-Param-Region header is missing"}
        body = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}
        await exchange.respond(body, status="400 Bad Request")

    async with FaultServer(demand, tools=tools) as server, mcppool.Pool([server.url], profile="test") as pool:
        for region in ("eu", "us"):
            assert (await pool.call_tool("read", {"region": region})).is_error is False
        assert len(server.calls("read")) == 3, "the schema is looked up once"


async def test_a_server_that_postpones_a_call_is_asked_again() -> None:
    states: list[str | None] = []

    async def postpone(exchange: Exchange) -> None:
        states.append(exchange.body["params"].get("requestState"))
        if len(states) < 3:
            result = {"resultType": "input_required", "requestState": f"state {len(states)}"}
            await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "result": result})
        else:
            await healthy(exchange)

    async with FaultServer(postpone) as server, mcppool.Pool([server.url], profile="test") as pool:
        assert (await pool.call_tool("write")).is_error is False
    assert states == [None, "state 1", "state 2"]


@pytest.mark.parametrize("result", [{"content": "no list"}, {"content": [], "resultType": "task"}])
async def test_a_result_of_no_known_kind_is_a_failed_call(result: Mapping[str, Any]) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "result": result})

    async with FaultServer(behave) as server, mcppool.Pool([server.url], profile="test") as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await pool.call_tool("write")
        assert caught.value.reason == "bad_upstream_answer"


async def test_a_pool_of_a_file_is_opened_by_its_name(replicas: tuple[Replica, ...], tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(pool_toml(*urls_of(replicas), name="search") + pool_toml("http://127.0.0.1:9/mcp", name="other"))
    async with mcppool.Pool.from_config(path, pool="search") as pool:
        assert (await pool.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
