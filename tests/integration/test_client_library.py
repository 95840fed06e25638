"""`mcppool.Pool` against real servers of both eras."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

import mcppool
from tests.integration.client_library import FEW, nothing_left
from tests.servers import (
    Replica,
    ServerProcess,
    aserving,
    executions,
    sdk1_replica,
    serving,
    urls_of,
)
from tests.waiting import until


@pytest.fixture(scope="module")
def old_servers(ledger_file: Path) -> Iterator[tuple[Replica, ...]]:
    """Two servers of the SDK 1.x, for all tests here that do them no harm."""
    with serving(sdk1_replica("a", ledger_file), sdk1_replica("b", ledger_file)) as servers:
        yield servers


@pytest.fixture(params=["modern", "legacy"])
def urls(request: pytest.FixtureRequest) -> list[str]:
    """Two real servers, of either era."""
    servers = request.getfixturevalue("sse_replicas" if request.param == "modern" else "old_servers")
    return urls_of(servers[:2])


async def test_a_tool_is_called_and_the_tools_are_listed(urls: list[str]) -> None:
    async with nothing_left(), mcppool.Pool(urls, retry_policy="network") as pool:
        answer = await pool.call_tool("add", {"a": 2, "b": 3})
        assert (answer.structured_content, answer.is_error) == ({"result": 5}, False)
        assert {"add", "whoami", "write"} <= {tool.name for tool in (await pool.list_tools()).tools}


async def test_progress_is_reported_in_order_to_functions_and_coroutine_functions(urls: list[str]) -> None:
    plain: list[float] = []
    awaited: list[tuple[float, float | None, str | None]] = []

    async def wait(progress: float, total: float | None, message: str | None) -> None:
        await asyncio.sleep(0)
        awaited.append((progress, total, message))

    async with nothing_left(), mcppool.Pool(urls) as pool:
        await pool.call_tool("progress", {"n": 3}, progress=lambda progress, _total, _message: plain.append(progress))
        await pool.call_tool("progress", {"n": 3}, progress=wait)
    assert plain == [1, 2, 3]
    assert awaited == [(n, 3, f"step {n}") for n in (1, 2, 3)]


async def test_an_exception_in_a_progress_callback_ends_the_call_and_propagates(urls: list[str]) -> None:
    def fall(*_: object) -> None:
        raise LookupError("of the program")

    async with nothing_left(), mcppool.Pool(urls) as pool:
        with pytest.raises(LookupError, match="of the program"):
            await pool.call_tool("progress", {"n": 3}, progress=fall)
        assert (await pool.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}


async def test_the_servers_own_errors_keep_code_and_message(urls: list[str]) -> None:
    async with mcppool.Pool(urls) as pool:
        with pytest.raises(mcppool.RpcError) as caught:
            await pool.request("tools/nonsense")
        assert caught.value.code in (-32601, -32602)


async def test_a_call_that_takes_longer_than_it_is_given_fails_in_time(urls: list[str]) -> None:
    async with nothing_left(), mcppool.Pool(urls) as pool:
        await pool.call_tool("add", {"a": 1, "b": 1})
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("slow", {"seconds": 30}, timeout=2.0), 60)
        assert (caught.value.reason, caught.value.delivered) == ("timeout", "unknown")


async def test_many_calls_at_once_get_each_its_own_answer(urls: list[str]) -> None:
    async with nothing_left(), mcppool.Pool(urls) as pool:
        answers = await asyncio.gather(*(pool.call_tool("add", {"a": n, "b": 1000}) for n in range(40)))
    assert [answer.structured_content for answer in answers] == [{"result": n + 1000} for n in range(40)]


async def test_closing_ends_the_calls_that_are_under_way_with_a_typed_error(urls: list[str], ledger: Path) -> None:
    async with nothing_left():
        async with mcppool.Pool(urls) as pool:
            calls = [asyncio.create_task(pool.call_tool("slow", {"seconds": 30})) for _ in range(5)]
            await until(lambda: len(executions(ledger, "slow")) == 5, "all are at work")
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [getattr(outcome, "reason", outcome) for outcome in outcomes] == ["shutting_down"] * 5
        with pytest.raises(mcppool.CallFailed, match="not open"):
            await pool.call_tool("add", {"a": 1, "b": 1})


async def test_a_cancelled_call_leaves_a_pool_that_works(urls: list[str]) -> None:
    async with nothing_left(), mcppool.Pool(urls, connection_pool=FEW) as pool:
        for _ in range(6):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pool.call_tool("slow", {"seconds": 30})
        assert (await pool.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}


async def test_the_official_client_runs_over_the_pool(urls: list[str]) -> None:
    from mcp import Client

    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with (
        nothing_left(),
        mcppool.Pool(urls) as pool,
        Client(pool.transport()) as client,
        Client(pool.transport()) as second,
    ):
        assert "add" in {tool.name for tool in (await client.list_tools()).tools}
        answers = await asyncio.gather(*(client.call_tool("add", {"a": n, "b": 1}) for n in range(10)))
        assert [answer.structured_content for answer in answers] == [{"result": n + 1} for n in range(10)]
        assert (await second.call_tool("progress", {"n": 3}, progress_callback=on_progress)).is_error is False
    assert seen == [1, 2, 3]


async def test_a_call_that_the_official_client_gives_up_leaves_it_usable(urls: list[str]) -> None:
    from mcp import Client, MCPError

    async with nothing_left(), mcppool.Pool(urls) as pool, Client(pool.transport()) as client:
        with pytest.raises(MCPError):
            await client.call_tool("slow", {"seconds": 30}, read_timeout_seconds=0.2)
        assert (await client.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}


async def test_the_official_client_may_outlive_the_pool(urls: list[str]) -> None:
    from mcp import Client, MCPError

    async with nothing_left():
        pool = mcppool.Pool(urls)
        await pool.__aenter__()
        async with Client(pool.transport()) as client:
            await client.call_tool("add", {"a": 1, "b": 1})
            await pool.aclose()
            with pytest.raises(MCPError, match="closed"):
                await client.call_tool("add", {"a": 1, "b": 1})


async def keep_calling(pool: mcppool.Pool, until_done: asyncio.Event, failures: list[BaseException]) -> int:
    """Read-only calls, one after another; how many there were."""
    made = 0
    while not until_done.is_set() and made < 10_000:
        try:
            answer = await pool.call_tool("add", {"a": made, "b": 1})
            assert answer.structured_content == {"result": made + 1}
        except (mcppool.CallFailed, mcppool.RpcError, AssertionError) as failure:
            failures.append(failure)
        made += 1
    return made


async def kill_under_load(pool: mcppool.Pool, victim: ServerProcess, ledger: Path) -> None:
    """Callers never notice that one of the replicas is killed."""
    done = asyncio.Event()
    failures: list[BaseException] = []
    callers = [asyncio.create_task(keep_calling(pool, done, failures)) for _ in range(8)]
    try:
        await until(lambda: len(executions(ledger, "add")) > 100, "calls are under way")
        await asyncio.to_thread(victim.kill)
        seen = len(executions(ledger, "add"))
        await until(lambda: len(executions(ledger, "add")) > seen + 200, "calls go on")
    finally:
        done.set()
        made = await asyncio.gather(*callers)
    assert failures == []
    assert min(made) > 10


async def test_no_read_only_call_fails_when_a_replica_is_killed(replicas: tuple[Replica, ...], ledger: Path) -> None:
    async with nothing_left(), mcppool.Pool(urls_of(replicas), retry_policy="network") as pool:
        await kill_under_load(pool, replicas[1], ledger)


async def test_no_read_only_call_fails_when_a_replica_with_sessions_is_killed(ledger: Path) -> None:
    servers = [sdk1_replica(name, ledger, json_response=True) for name in "abc"]
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers), retry_policy="network") as pool:
        await kill_under_load(pool, servers[1], ledger)


async def test_it_runs_on_uvloop_too(sse_replicas: tuple[Replica, ...]) -> None:
    async def use() -> Any:
        async with nothing_left(), mcppool.Pool(urls_of(sse_replicas)) as pool:
            await pool.call_tool("progress", {"n": 2}, progress=lambda *_: None)
            return (await pool.call_tool("add", {"a": 1, "b": 2})).structured_content

    def in_a_loop_of_its_own() -> Any:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(use())

    assert await asyncio.to_thread(in_a_loop_of_its_own) == {"result": 3}
