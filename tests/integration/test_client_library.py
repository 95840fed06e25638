"""`mcppool.Pool` against real servers of both eras, and against servers that fail."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from mcp_types import ElicitResult, PromptReference

import mcppool
from tests.requirements import ROOT
from tests.servers import (
    Replica,
    ServerProcess,
    aserving,
    everything_server,
    executions,
    npm_everything_server,
    pool_toml,
    sdk1_replica,
    serving,
    urls_of,
)
from tests.servers.faults import (
    Exchange,
    FaultServer,
    cut_short,
    delayed,
    gated,
    healthy,
    reset_after,
    silent,
    wrong_id,
)
from tests.servers.handshakes import Handshakes
from tests.waiting import until

ME = {"name": "the-program", "version": "1"}
FEW = {"min_connections": 1, "max_connections": 4}


def held() -> set[str]:
    """What this process has open: each socket has a number of its own."""
    names = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            names.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass  # that of the listing itself
    return {name for name in names if not name.startswith("/proc/")}


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """What runs inside leaves neither task nor file descriptor."""
    tasks, files = asyncio.all_tasks(), held()
    yield
    assert asyncio.all_tasks() == tasks
    assert held() <= files


@asynccontextmanager
async def legacy_pool(
    behaviour: Handshakes, servers: int = 1, **sections: Any
) -> AsyncIterator[tuple[mcppool.Pool, list[FaultServer]]]:
    """A pool of servers of the handshake era; sessions of the program are told by its name."""
    fakes = [FaultServer(behaviour, everything=True, name=f"s{n}") for n in range(servers)]
    for fake in fakes:
        await fake.listen()
    try:
        sections = {"connection_pool": FEW, **sections}
        async with mcppool.Pool([fake.url for fake in fakes], client_info=ME, profile="test", **sections) as pool:
            yield pool, fakes
    finally:
        for fake in fakes:
            await fake.refuse()


# ---- both eras ----


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


async def test_what_a_progress_callback_raises_ends_the_call_and_comes_out(urls: list[str]) -> None:
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
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("slow", {"seconds": 30}, timeout=0.3), 10)
        assert (caught.value.reason, caught.value.delivered) == ("timeout", "unknown")


async def test_many_calls_at_once_get_each_its_own_answer(urls: list[str]) -> None:
    async with nothing_left(), mcppool.Pool(urls) as pool:
        answers = await asyncio.gather(*(pool.call_tool("add", {"a": n, "b": 1000}) for n in range(40)))
    assert [answer.structured_content for answer in answers] == [{"result": n + 1000} for n in range(40)]


async def test_closing_ends_the_calls_that_are_under_way_with_a_typed_error(urls: list[str]) -> None:
    async with nothing_left():
        async with mcppool.Pool(urls) as pool:
            calls = [asyncio.create_task(pool.call_tool("slow", {"seconds": 30})) for _ in range(5)]
            await asyncio.sleep(0.2)
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
        await until(lambda: len(executions(ledger, "add")) > 100, "calls are under way", 30)
        await asyncio.to_thread(victim.kill)
        seen = len(executions(ledger, "add"))
        await until(lambda: len(executions(ledger, "add")) > seen + 200, "calls go on", 30)
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


# ---- the modern era ----


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

    async with FaultServer(behave) as server, nothing_left(), mcppool.Pool([server.url], profile="test") as pool:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.call_tool("write"), 0.2)
        await asyncio.wait_for(left.wait(), 5)


@pytest.mark.parametrize(
    ("fault", "reason", "delivered"),
    [
        (reset_after, "connection_lost", "unknown"),
        (cut_short, "connection_lost", "yes"),
        (wrong_id, "bad_upstream_answer", "yes"),
    ],
)
async def test_a_write_that_broke_is_not_repeated_and_its_error_says_what_is_known(
    fault: Callable[[Exchange], Awaitable[None]], reason: str, delivered: str
) -> None:
    async with FaultServer(fault) as bad, mcppool.Pool([bad.url], profile="test") as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await pool.call_tool("write", {"key": "k"})
        failure = caught.value
        assert (failure.reason, failure.delivered, failure.attempts) == (reason, delivered, 1)
        assert bad.executed("write") == 1
        assert "127.0.0.1" not in str(failure), "addresses are for the log"


async def test_with_no_server_there_a_call_fails_and_was_not_delivered() -> None:
    async with FaultServer() as server:
        url = server.url
    async with (
        nothing_left(),
        mcppool.Pool([url], profile="test", connection_pool={"acquire_timeout": "100ms"}) as pool,
    ):
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("write"), 5)
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


STDIO_SERVER = """
import os
from mcp.server import MCPServer
server = MCPServer("stdio")
@server.tool()
async def pid() -> int:
    return os.getpid()
server.run(transport="stdio")
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_local_servers_are_started_with_the_pool_and_end_with_it() -> None:
    command = [sys.executable, "-c", STDIO_SERVER]
    balance = {"strategy": "round_robin"}
    async with nothing_left(), mcppool.Pool(command=command, replicas=2, load_balancer=balance) as pool:
        pids = {(await pool.call_tool("pid", timeout=20)).structured_content["result"] for _ in range(20)}
        assert os.getpid() not in pids
        assert all(map(runs, pids))
    assert not any(map(runs, pids))


# ---- sessions of the handshake era ----


async def test_a_session_carries_one_call_at_a_time_and_is_used_once() -> None:
    server = Handshakes(delayed(0.01))
    async with legacy_pool(server, 2) as (pool, _), asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(pool.call_tool("write"))
    mine = server.of("the-program")
    assert all(session.most_at_work <= 1 and len(session.calls) <= 1 for session in mine)
    assert sum(len(session.calls) for session in mine) == 30
    assert all(session.ended for session in mine), "those that lay ready, too"


async def test_sessions_without_state_are_used_again_one_call_at_a_time() -> None:
    server = Handshakes(delayed(0.01))
    async with legacy_pool(server, 2, sessions={"stateless": True}) as (pool, _), asyncio.TaskGroup() as group:
        for _ in range(60):
            group.create_task(pool.call_tool("write"))
    mine = server.of("the-program")
    assert all(session.most_at_work <= 1 for session in mine)
    assert sum(len(session.calls) for session in mine) == 60
    assert len(mine) <= 8 + 2, "no more than may be leased, and the floor"
    assert all(session.ended for session in mine)


async def test_sessions_are_opened_ahead_and_replaced_in_the_background() -> None:
    server = Handshakes()
    async with legacy_pool(server) as (pool, _):
        await until(lambda: len(server.of("the-program")) == 1, "one lies ready before any call")
        await pool.call_tool("write")
        assert server.of("the-program")[0].calls == ["write"]
        await until(lambda: server.of("the-program")[0].ended, "the used one is ended")
        await until(lambda: len(server.of("the-program")) == 2, "another takes its place")


async def test_a_session_that_its_server_has_ended_costs_no_call() -> None:
    server = Handshakes()
    async with legacy_pool(server) as (pool, (fake,)):
        await until(lambda: len(server.of("the-program")) == 1, "one lies ready")
        server.forgotten |= {id for id, session in server.sessions.items() if session.client == "the-program"}
        await pool.call_tool("write")
        assert fake.executed("write") == 1


async def test_a_call_that_is_cancelled_is_cancelled_in_its_session_which_is_ended() -> None:
    gate = asyncio.Event()
    server = Handshakes(gated(gate))
    async with legacy_pool(server) as (pool, _):
        call = asyncio.create_task(pool.call_tool("write"))
        await until(lambda: any(session.at_work for session in server.of("the-program")), "it is at work")
        (session,) = [session for session in server.of("the-program") if session.at_work]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: session.ended, "its session is ended")
        assert len(session.cancelled) == 1
        gate.set()


async def test_calls_wait_in_turn_for_a_session_and_no_longer_than_they_may() -> None:
    gate = asyncio.Event()
    server = Handshakes(gated(gate))
    limits = {"min_connections": 0, "max_connections": 1, "acquire_timeout": "200ms", "max_waiting": 2}
    async with legacy_pool(server, connection_pool=limits) as (pool, _):
        first = asyncio.create_task(pool.call_tool("write"))
        await until(lambda: any(session.at_work for session in server.of("the-program")), "the first is at work")
        others = [asyncio.create_task(pool.call_tool("write")) for _ in range(3)]
        failures = await asyncio.gather(*others, return_exceptions=True)
        reasons = Counter(str(getattr(failure, "reason", failure)) for failure in failures)
        assert reasons == {"acquire_timeout": 2, "queue_full": 1}
        assert {getattr(failure, "delivered", None) for failure in failures} == {"no"}
        gate.set()
        await first


async def test_a_server_that_asks_something_in_the_middle_is_told_that_nobody_answers() -> None:
    answers: list[Any] = []

    async def ask(exchange: Exchange) -> None:
        question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}
        events = [f"data: {json.dumps(message)}\n\n" for message in (question, exchange.answer())]
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.send(f"{len(events[0]):x}\r\n{events[0]}\r\n".encode())
        await until(lambda: any(told(seen) for seen in exchange.server.requests), "the answer to the question")
        answers.extend(seen.body for seen in exchange.server.requests if told(seen))
        await exchange.send(f"{len(events[1]):x}\r\n{events[1]}\r\n0\r\n\r\n".encode())

    def told(seen: Exchange) -> bool:
        return isinstance(seen.body, dict) and seen.body.get("id") == "q"

    async with legacy_pool(Handshakes(ask)) as (pool, _):
        assert (await pool.call_tool("write")).is_error is False
    assert answers[0]["error"]["code"] == -32601


def polling(rest: Callable[[Exchange], Awaitable[None]]) -> Handshakes:
    """A server that ends the stream of each call before the answer and expects its client to come back for the rest."""

    async def begin(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.respond(b"id: 7\ndata:\nretry: 10\n\n", content_type="text/event-stream")

    return Handshakes(begin, rest)


async def test_the_rest_of_a_stream_that_its_server_breaks_off_is_fetched() -> None:
    async def rest(exchange: Exchange) -> None:
        assert exchange.headers["last-event-id"] == "7"
        (call,) = exchange.server.calls("write")
        event = f"id: 8\ndata: {json.dumps(call.answer())}\n\n"
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await exchange.send(f"{len(event):x}\r\n{event}\r\n".encode())
        await silent(exchange)  # a stream of this kind goes on after the answer

    async with legacy_pool(polling(rest)) as (pool, (fake,)):
        assert (await asyncio.wait_for(pool.call_tool("write"), 10)).is_error is False
        assert fake.executed("write") == 1


async def test_a_rest_that_never_comes_ends_with_the_time_of_the_call() -> None:
    async with legacy_pool(polling(silent), timeouts={"request": "300ms"}) as (pool, _):
        with pytest.raises(mcppool.CallFailed) as caught:
            await asyncio.wait_for(pool.call_tool("write"), 10)
        assert (caught.value.reason, caught.value.delivered) == ("timeout", "yes")


async def test_the_official_client_listens_and_comes_back_over_the_pool() -> None:
    from mcp import Client

    servers = everything_server("a"), everything_server("b")
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers)) as pool:
        async with Client(pool.transport()) as client, client.listen(tools_list_changed=True) as changes:
            await client.call_tool("test_trigger_tool_change", {})
            assert type(await asyncio.wait_for(anext(aiter(changes)), 10)).__name__ == "ToolsListChanged"
        async with Client(pool.transport(), mode="legacy") as client:
            answer = await asyncio.wait_for(client.call_tool("test_reconnection", {}), 10)
            assert answer.structured_content == {"result": "Reconnection test completed"}


async def test_the_published_typescript_server_is_used_through_sessions() -> None:
    servers = npm_everything_server("a"), npm_everything_server("b")
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers), profile="development") as pool:
        answer = await pool.call_tool("echo", {"message": "hi"})
        assert getattr(answer.content[0], "text", "") == "Echo: hi"
        assert len((await pool.list_resources()).resources) > 0
        assert len((await pool.list_prompts()).prompts) > 0


async def test_the_example_runs() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples/library.py"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert b"200 of 200 calls were answered" in output
    assert b"the official client over the pool" in output
