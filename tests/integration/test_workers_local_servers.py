"""Local servers of a gateway with several processes: one set of programs for all workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.raw_http import RawClient, request
from tests.integration.raw_session import HEADERS, RawSession, call
from tests.integration.test_stdio import SERVER, ask, both, children, pool, runs, socket_files
from tests.integration.test_workers import ask_at, one_connection_at_each
from tests.servers import Gateway, modern_call
from tests.waiting import until


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of two workers with two replicas of a program, for all tests of this file."""
    front = Gateway(
        tmp_path_factory.mktemp("local"), pool(sys.executable, SERVER), listener="workers = 2", level="info"
    )
    front.start_timeout = 120
    front.start()
    yield front
    started = children(front.pid)
    folders = {path.parent for path in socket_files({front.pid, *started}) if path.is_absolute()}
    front.close()
    assert folders
    assert not [pid for pid in started if runs(pid)]
    assert not any(folder.exists() or folder.parent.exists() for folder in folders if "mcppool-" in str(folder))


def processes_of(front: Gateway, mark: str) -> set[int]:
    """The processes of a gateway with this argument."""
    found = set()
    for pid in children(front.pid):
        with contextlib.suppress(OSError):  # it has ended just now
            if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.add(pid)
    return found


def programs(front: Gateway) -> set[int]:
    """The processes of the program."""
    return processes_of(front, SERVER)


def workers(front: Gateway) -> set[int]:
    """The processes that serve clients."""
    return processes_of(front, "--worker")


def replicas(front: Gateway) -> list[Any]:
    """The endpoints on the status page."""
    endpoints: list[Any] = json.loads(front.get("/status.json")[1])["pools"][0]["endpoints"]
    return endpoints


async def pids_at(client: RawClient) -> set[int]:
    """The processes of both replicas, as they answer on one connection."""
    headers, body = modern_call("whoami", {})
    seen: set[int] = set()
    async with asyncio.timeout(120):
        while len(seen) < 2:
            answer = await ask_at(client, request(body, headers))
            assert answer.status == 200
            seen.add(json.loads(answer.body)["result"]["structuredContent"]["pid"])
    return seen


def in_session(session: RawSession) -> bytes:
    """A call in a session of the older era, as its bytes."""
    headers = {**HEADERS, "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25"}
    return request(json.dumps(call("whoami")).encode(), headers)


async def home(client: RawClient, session: RawSession) -> int:
    """The process that serves a session, asked on this connection."""
    answer = await ask_at(client, in_session(session))
    assert answer.status == 200, answer.body
    pid: int = json.loads(answer.body)["result"]["structuredContent"]["pid"]
    return pid


async def test_each_replica_runs_once_and_every_worker_reaches_it(two: Gateway, http: aiohttp.ClientSession) -> None:
    await both(http, two)
    async with one_connection_at_each(two) as connections:
        first, second = [await pids_at(client) for client in connections.values()]
    assert first == second <= programs(two)
    assert not any(first <= children(worker) for worker in workers(two))
    for replica in replicas(two):
        assert replica["processes"]["starts"] <= len(programs(two))
        assert replica["state"] == "available"


async def test_a_session_keeps_its_process_in_every_worker_and_after_a_kill_and_a_reload(
    two: Gateway, http: aiohttp.ClientSession
) -> None:
    session = RawSession(http)
    await session.open(two)
    async with one_connection_at_each(two) as connections:
        homes = {await home(client, session) for client in connections.values()}
        killed = next(iter(connections))
    assert len(homes) == 1
    os.kill(killed, signal.SIGKILL)
    await until(lambda: two.metric("mcppool_workers") == 2 and killed not in workers(two), "another one serves", 120)
    rolled = two.log.count("rolling_reload_done")
    os.kill(two.pid, signal.SIGHUP)
    await until(lambda: two.log.count("rolling_reload_done") > rolled, "all workers are replaced", 240)
    async with one_connection_at_each(two) as connections:
        for client in connections.values():
            homes.add(await home(client, session))
    assert len(homes) == 1
    assert await session.delete(two) == 200
    await until(lambda: not runs(next(iter(homes))), "its process has ended with the session")


async def test_a_killed_program_starts_again_once_and_the_page_counts_one_end(
    two: Gateway, http: aiohttp.ClientSession
) -> None:
    before = await both(http, two)
    victim = next(iter(before))
    starts = sum(replica["processes"]["starts"] for replica in replicas(two))
    os.kill(victim, signal.SIGKILL)
    await until(lambda: f"process {victim}: it was ended by SIGKILL" in two.log, "the end is logged")
    async with one_connection_at_each(two) as connections:
        for client in connections.values():
            assert victim not in await pids_at(client)
    assert two.log.count(f"process {victim}: it was ended by SIGKILL") == 1
    events = json.loads(two.get("/status.json")[1])["pools"][0]["events"]
    assert [event["count"] for event in events if f"process {victim}:" in event["detail"]] == [1]
    await until(
        lambda: sum(replica["processes"]["starts"] for replica in replicas(two)) == starts + 1, "it started once"
    )


async def test_an_edit_of_the_command_replaces_the_programs(two: Gateway, http: aiohttp.ClientSession) -> None:
    await both(http, two)
    old, before = programs(two), two.configz()["hash"]
    two.edit(pool(sys.executable, SERVER, "--name", "new"))
    await until(lambda: not any(runs(pid) for pid in old), "the old programs have ended", 120)
    async with one_connection_at_each(two) as connections:
        for client in connections.values():
            assert await pids_at(client) <= programs(two)
    two.edit("")
    await until(lambda: not programs(two), "a pool that is gone leaves no program", 120)
    two.edit(pool(sys.executable, SERVER))
    await until(lambda: two.configz()["hash"] == before, "both workers have the pool again", 60)
    await both(http, two)


async def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    front = Gateway(tmp_path, pool(sys.executable, SERVER, replicas=1), listener="workers = 2", level="info")
    front.start_timeout = 120
    front.start()
    try:
        assert (await ask(http, front, "whoami"))["name"]
        started = children(front.pid)
        assert len(started) >= 4
    finally:
        front.kill()
    await until(lambda: not any(runs(pid) for pid in started), "all processes have ended", 60)
