"""A gateway of several processes, which its clients, servers and operators see as one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from mcppool.cli.main import main
from tests.conftest import Trio
from tests.integration.event_streams import begin, end, event, send
from tests.integration.raw_http import Answer, RawClient, ask, request
from tests.integration.raw_session import HEADERS, HELLO, call
from tests.integration.test_breaker import CLOSED, FAILS, OPEN
from tests.integration.test_overload import Crowd
from tests.integration.test_stdio import children
from tests.servers import Gateway, Replica, free_port, modern_call, pool_toml, urls_of
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, reset_after
from tests.servers.handshakes import Handshakes
from tests.servers.process import HOST
from tests.waiting import until

LIMITED, FAILING, TRYING, FRAGILE, CACHED = "limited", "failing", "trying", "fragile", "cached"
RESUMED, CANCELLED = "resumed", "cancelled"
"""Pools with one server each, which a test starts."""

SECTIONS = {
    LIMITED: """
[pools.rate_limit]
pool = {requests_per_second = 1, burst = 12}
[pools.limits.pool]
max_concurrent = 3
[pools.connection_pool]
max_connections = 50
acquire_timeout = "60s"
""",
    FAILING: """
[pools.circuit_breaker]
failure_threshold = 4
open_duration = "10m"
[pools.outlier_detection]
consecutive_failures = 1000
[pools.retry_policy]
max_attempts = 1
""",
    TRYING: """
[pools.circuit_breaker]
failure_threshold = 2
open_duration = "1s"
success_threshold = 1
[pools.outlier_detection]
consecutive_failures = 1000
[pools.retry_policy]
max_attempts = 1
""",
    FRAGILE: "",
    RESUMED: "",
    CANCELLED: "",
    CACHED: """
[pools.cache]
type = "sql"
sql_url = "sqlite://FOLDER/cache.sqlite3"
sql_timeout = "20s"
[pools.tools.read]
cache_ttl = "10m"
""",
}


class TwoWorkers:
    """A gateway of two workers for all tests of this file, because a start takes seconds of a core.

    `ports` are those of the servers of the pools that tests start; the pool `demo` has the replicas of the test run.
    """

    def __init__(self, folder: Path, replicas: Sequence[Replica]) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in SECTIONS}
        self.replicas = replicas
        self.front = Gateway(folder, self.pools(), listener="workers = 2", level="info")
        self.front.start_timeout = 120

    def pools(self, demo: str = "") -> str:
        """The pools, with these sections of `demo`."""
        texts = [
            pool_toml(
                f"http://{HOST}:{self.ports[name]}/mcp",
                name=name,
                sections=sections.replace("FOLDER", str(self.folder)),
            )
            for name, sections in SECTIONS.items()
        ]
        return "\n".join([pool_toml(*urls_of(self.replicas), sections=demo), *texts])

    @asynccontextmanager
    async def server(self, pool: str, behaviour: Behaviour, *, everything: bool = False) -> AsyncIterator[FaultServer]:
        """The server of a pool, once every worker sends calls there."""
        async with FaultServer(behaviour, port=self.ports[pool], everything=everything) as server:
            sample = f'mcppool_endpoint_available{{pool="{pool}",endpoint="{server.url}"}}'
            await until(lambda: self.front.metric(sample) == 1, "every worker has found the server", 60)
            yield server


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, json_trio: Trio) -> Iterator[TwoWorkers]:
    """See `TwoWorkers`."""
    made = TwoWorkers(tmp_path_factory.mktemp("workers"), json_trio.ready())
    made.front.start()
    yield made
    made.front.close()


async def ask_at(client: RawClient, data: bytes) -> Answer:
    """One answer on this connection."""
    await client.send(data)
    return await client.answer()


def worker_of(front: Gateway, client: RawClient) -> int | None:
    """The process that has the other end of a connection; None until it has accepted it."""
    port = client.writer.get_extra_info("sockname")[1]
    ends = f":{front.port:04X} ", f":{port:04X} "
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if f"{fields[1]} ".endswith(ends[0]) and f"{fields[2]} ".endswith(ends[1]):
            for pid in children(front.pid):
                with contextlib.suppress(FileNotFoundError):  # it has ended just now
                    if any(_link(file) == f"socket:[{fields[9]}]" for file in Path(f"/proc/{pid}/fd").iterdir()):
                        return pid
    return None


def _link(file: Path) -> str:
    try:
        return os.readlink(file)
    except FileNotFoundError:
        return ""


@asynccontextmanager
async def one_connection_at_each(front: Gateway) -> AsyncIterator[dict[int, RawClient]]:
    """A connection to each worker, by the worker's process."""
    found: dict[int, RawClient] = {}
    others: list[RawClient] = []
    try:
        while len(found) < 2:
            client = await RawClient(front).__aenter__()
            await until(lambda client=client: worker_of(front, client), "the connection is accepted", 60)  # type: ignore[misc]
            pid = worker_of(front, client)
            assert pid is not None
            if pid in found:
                others.append(client)
            else:
                found[pid] = client
        yield found
    finally:
        for client in (*found.values(), *others):
            await client.__aexit__()


async def repeated(step: Callable[[], Awaitable[bool]], what: str) -> None:
    """Do `step` until it returns True."""
    deadline = time.monotonic() + 60
    while not await step():
        assert time.monotonic() < deadline, what


def call_of(pool: str, tool: str, number: int = 1, **arguments: int) -> bytes:
    """A call of a tool of a pool, as its bytes."""
    headers, body = modern_call(tool, arguments, request_id=number)
    return request(body, headers, path=f"/{pool}/mcp")


def calls_at(server: FaultServer) -> int:
    """The number of calls of tools that a server has executed."""
    return sum(message["method"] == "tools/call" for message in server.executions)


async def test_clients_of_both_eras_are_served_and_every_page_shows_the_whole(two: TwoWorkers) -> None:
    front = two.front
    count = 'mcp_tool_executions_total{server_id="demo",tool_name="add",status="success"}'
    before = front.metric(count)
    url = f"http://{HOST}:{front.port}/demo/mcp"
    async with Client(url) as client:
        assert client.protocol_version == "2026-07-28"
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
    async with one_connection_at_each(front) as connections:
        for connection in connections.values():
            assert (await ask_at(connection, call_of("demo", "add", a=1, b=2))).status == 200
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        hello = await http.post(url, json=HELLO, headers=HEADERS)
        session = {**HEADERS, "Mcp-Session-Id": hello.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
        for _ in range(12):  # each on a connection of its own: the session is at home in every worker
            async with http.post(url, json=call("add", a=1, b=2), headers=session) as response:
                assert response.status == 200, await response.text()
    await until(lambda: front.metric(count) - before == 15, "the calls of all workers are counted")
    assert front.metric("mcppool_workers") == 2
    assert json.loads(front.get("/health")[1])["components"]["workers"]["message"] == "2 processes serve"
    pool = next(pool for pool in json.loads(front.get("/status.json")[1])["pools"] if pool["name"] == "demo")
    assert sum(endpoint["attempts"] for endpoint in pool["endpoints"]) >= 15
    assert front.get("/livez")[0] == front.get("/readyz")[0] == 200
    assert "demo" in json.loads(front.get("/advice.json")[1])["pools"]
    settings = front.configz()
    assert settings["process"]["listener.workers"]["value"] == 2
    assert settings["pools"][LIMITED]["connection_pool.max_connections"]["value"] == 50


async def test_a_rate_and_a_place_are_those_of_the_gateway_and_not_of_a_worker(two: TwoWorkers) -> None:
    crowd = Crowd()
    async with two.server(LIMITED, crowd):
        began = time.monotonic()
        calls = [asyncio.create_task(ask(two.front, call_of(LIMITED, "read", n))) for n in range(24)]
        await until(lambda: sum(task.done() for task in calls) == 21, "all but three calls are refused", 60)
        await until(lambda: crowd.inside["fake"] == 3, "the three calls are at the server", 60)
        crowd.door.set()
        answers = await asyncio.gather(*calls)
        reasons = [answer.error["data"]["reason"] for answer in answers if answer.status != 200]
        assert crowd.most["fake"] == 3
        assert len(reasons) == 21
        assert 12 <= 24 - reasons.count("rate_limited") <= 12 + (time.monotonic() - began) + 1


async def test_failures_that_two_workers_see_open_one_breaker(two: TwoWorkers) -> None:
    worst = f'mcp_circuit_breaker_state{{server_id="{FAILING}",tool_name="write"}}'
    async with two.server(FAILING, FAILS) as server, one_connection_at_each(two.front) as connections:
        for _ in range(2):
            for connection in connections.values():
                assert (await ask_at(connection, call_of(FAILING, "write"))).status == 502
        await until(lambda: two.front.metric(worst) == OPEN, "the breaker is open")
        executed = calls_at(server)
        for connection in connections.values():

            async def is_refused(connection: RawClient = connection) -> bool:
                answer = await ask_at(connection, call_of(FAILING, "write"))
                return bool(answer.error["data"]["reason"] == "circuit_open")

            await repeated(is_refused, "the breaker is open in each worker")
        assert calls_at(server) - executed <= 1  # one call may come before the news


async def test_a_half_open_breaker_gets_one_trial_from_all_workers(two: TwoWorkers) -> None:
    worst = f'mcp_circuit_breaker_state{{server_id="{TRYING}",tool_name="write"}}'
    crowd, refusals = Crowd(), Counter[int]()
    async with two.server(TRYING, FAILS) as server, one_connection_at_each(two.front) as connections:

        async def fails(connection: RawClient) -> bool:
            answer = await ask_at(connection, call_of(TRYING, "write"))
            return bool(answer.error["data"]["reason"] == "circuit_open")

        for connection in connections.values():
            await repeated(partial(fails, connection), "the breaker is open in each worker")
        server.behaviour = crowd

        async def answered(pid: int, connection: RawClient) -> None:
            while (await ask_at(connection, call_of(TRYING, "write"))).status != 200:
                refusals[pid] += 1

        calls = [asyncio.create_task(answered(*each)) for each in connections.items()]
        await until(lambda: crowd.inside["fake"] == 1, "a trial is at the server", 60)
        before = refusals.copy()
        await until(lambda: (refusals - before).total() >= 20, "the other worker refuses calls", 60)
        assert len(refusals - before) == 1
        assert crowd.most["fake"] == 1
        crowd.door.set()
        await asyncio.gather(*calls)
        await until(lambda: two.front.metric(worst) == CLOSED, "the breaker is closed")


async def test_an_answer_that_one_worker_has_stored_in_a_file_is_given_by_the_other(two: TwoWorkers) -> None:
    def stored() -> bool:
        with contextlib.closing(sqlite3.connect(two.folder / "cache.sqlite3", timeout=30)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM mcppool_answers").fetchone()
            return bool(count == 1)

    async with two.server(CACHED, healthy) as server, one_connection_at_each(two.front) as connections:
        one, other = connections.values()
        assert (await ask_at(one, call_of(CACHED, "read", a=1))).status == 200
        await until(stored, "the answer is in the file")
        assert (await ask_at(other, call_of(CACHED, "read", a=1))).status == 200
        assert calls_at(server) == 1


async def first_event(client: RawClient) -> bytes:
    """The first event of the stream that begins."""
    status, _ = await client.head()
    assert status == 200
    found = b""
    while b"data: {" not in found or not found.endswith(b"\n\n"):
        more = await client.chunk()
        assert more, f"the stream has ended: {found!r}"
        found += more
    return found


def posted(pool: str, message: object, headers: dict[str, str]) -> bytes:
    """A message of a legacy client to a pool."""
    return request(json.dumps(message).encode(), {**HEADERS, **headers}, path=f"/{pool}/mcp")


async def begin_session(client: RawClient, pool: str) -> dict[str, str]:
    """Begin a session; return its headers."""
    hello = await ask_at(client, posted(pool, HELLO, {}))
    session = {"Mcp-Session-Id": hello.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    await ask_at(client, posted(pool, {"jsonrpc": "2.0", "method": "notifications/initialized"}, session))
    return session


async def test_a_stream_is_resumed_at_another_worker_though_the_first_one_still_has_it_open(two: TwoWorkers) -> None:
    ended = asyncio.Event()

    async def call_it(exchange: Exchange) -> None:
        await begin(exchange)
        await send(exchange, event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}, "e-1"))
        await exchange.reader.read()
        ended.set()
        exchange.close()

    async def resume(exchange: Exchange) -> None:
        assert exchange.headers["last-event-id"] == "e-1"
        await ended.wait()  # the rest is held back until the first stream has ended
        await begin(exchange)
        await send(exchange, event({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}, "e-2"))
        await end(exchange)

    async with (
        two.server(RESUMED, Handshakes(call_it, resume), everything=True),
        one_connection_at_each(two.front) as connections,
    ):
        first, other = connections.values()
        session = await begin_session(first, RESUMED)
        await first.send(posted(RESUMED, call("read"), session))
        assert b"id: e-1" in await first_event(first)
        resumed = {"Accept": "text/event-stream", "Last-Event-ID": "e-1", **session}
        await other.send(request(b"", resumed, path=f"/{RESUMED}/mcp", method="GET"))
        assert b'"result"' in await first_event(other)


async def test_a_call_is_cancelled_at_another_worker_by_the_id_that_it_has_at_the_server(two: TwoWorkers) -> None:
    tries, cancelled = list[object](), asyncio.Event()

    async def work(exchange: Exchange) -> None:
        tries.append(exchange.body["id"])
        if len(tries) == 1:
            await reset_after(exchange)
        else:
            await cancelled.wait()
            exchange.close()  # a call that is not cancelled would be made again

    server = Handshakes(work)
    async with two.server(CANCELLED, server, everything=True), one_connection_at_each(two.front) as connections:
        first, other = connections.values()
        session = await begin_session(first, CANCELLED)
        await first.send(posted(CANCELLED, call("read"), session))
        await until(lambda: len(tries) == 2, "the call was repeated")
        notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": tries[0]}}
        assert (await ask_at(other, posted(CANCELLED, notice, session))).status == 202
        (at_server,) = server.of("mcppool-tests")
        assert at_server.cancelled == [tries[1]] != [tries[0]]
        cancelled.set()
        status, headers = await first.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert await first.chunk() == b""
        assert len(tries) == 2


async def test_a_killed_worker_fails_the_calls_inside_it_only_and_starts_again(two: TwoWorkers) -> None:
    front, crowd = two.front, Crowd()
    ends = front.metric("mcppool_worker_ends_total")
    async with two.server(FRAGILE, crowd):
        async with one_connection_at_each(front) as connections:
            for connection in connections.values():
                await connection.send(call_of(FRAGILE, "read"))
            await until(lambda: crowd.inside["fake"] == 2, "both calls are at the server", 60)
            killed, kept = connections
            os.kill(killed, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert await connections[killed].reader.read() == b""
            crowd.door.set()
            assert (await connections[kept].answer()).status == 200
        await until(lambda: front.metric("mcppool_worker_ends_total") == ends + 1, "the end is noticed", 60)
        await until(lambda: front.metric("mcppool_workers") == 2, "another worker serves", 120)
        async with one_connection_at_each(front) as connections:
            assert killed not in connections
            assert kept in connections
            for connection in connections.values():
                assert (await ask_at(connection, call_of(FRAGILE, "read"))).status == 200


async def test_a_rolling_reload_replaces_every_worker_and_fails_no_call(two: TwoWorkers) -> None:
    front = two.front
    before, rolled = children(front.pid), front.log.count("rolling_reload_done")
    assert len(before) == 2
    done = asyncio.Event()
    served = 0

    async def work() -> None:
        nonlocal served
        while not done.is_set():
            assert (await ask(front, call_of("demo", "add", a=1, b=1))).status == 200
            served += 1

    working = asyncio.create_task(work())
    os.kill(front.pid, signal.SIGHUP)
    await until(lambda: front.log.count("rolling_reload_done") > rolled, "all workers are replaced", 240)
    seen = served
    await until(lambda: served > seen or working.done(), "the new workers serve", 60)
    done.set()
    await working
    after = children(front.pid)
    assert len(after) == 2
    assert not before & after
    history = json.loads(front.get("/history.json?series=none")[1])
    (pool,) = (each for each in history["pools"] if each["name"] == "demo")
    (tool,) = (line for line in pool["tools"] if line["name"] == "add")
    assert tool["summary"]["toolCalls"] > 0, "the history outlives the workers that counted it"


async def test_an_edit_is_in_force_in_all_workers_and_a_mistake_is_shown(two: TwoWorkers) -> None:
    front = two.front
    old = front.configz()["hash"]
    front.edit(two.pools("[pools.limits.pool]\nmax_concurrent = 9"))
    await until(lambda: front.configz()["hash"] != old, "every worker has the new configuration", 60)
    assert front.configz()["pools"]["demo"]["limits.pool.max_concurrent"]["value"] == 9
    front.edit(two.pools("[pools.nonsense]"))
    await until(lambda: front.configz()["rejected"], "the mistake is reported", 60)
    front.edit(two.pools())
    await until(lambda: front.configz()["hash"] == old and not front.configz()["rejected"], "all is as before", 60)


def test_a_port_that_another_gateway_has_is_refused(two: TwoWorkers) -> None:
    address = f"{HOST}:{two.front.port}"
    second = subprocess.run(
        [
            sys.executable, "-m", "mcppool", "serve", "--workers", "2", "--listen", address,
            "--admin-port", str(free_port()), two.replicas[0].url,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"{address} is in use" in second.stderr


@pytest.mark.parametrize("workers", ["0", "many", "1000"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--workers", workers, "http://127.0.0.1:1/mcp"]) == 1
    problem = capsys.readouterr().err
    assert "workers" in problem
    assert 'a whole number from 1 to 256, or "auto"' in problem
