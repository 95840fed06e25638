"""Local programs as endpoints: started, isolated, restarted, balanced, and ended with us."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_session import HEADERS, RawSession, call
from tests.requirements import CACHE, need_path, need_program
from tests.servers import Gateway, executions, modern_call
from tests.waiting import until

SERVER = str(Path(__file__).resolve().parent.parent / "servers" / "stdio_replica.py")


def pool(*command: str, replicas: int = 2, sections: str = "") -> str:
    return f'[[pools]]\nname = "demo"\ncommand = {json.dumps(command)}\nreplicas = {replicas}\n{sections}\n'


def children(pid: int) -> set[int]:
    """All processes that descend from `pid`."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            child = int(path.parent.name)
            found |= {child, *children(child)}
    return found


def socket_files(pids: set[int]) -> set[Path]:
    """Where these processes listen for, or talk to, local servers."""
    held = set()
    for pid in pids:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                held.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return {Path(line[7]) for line in lines if len(line) > 7 and f"socket:[{line[6]}]" in held}


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def ask(http: aiohttp.ClientSession, front: Gateway, tool: str, **arguments: Any) -> Any:
    """The result of a modern call; the error where it is one."""
    headers, body = modern_call(tool, arguments)
    async with http.post(front.url, data=io.BytesIO(body), headers=headers) as response:
        text = (await response.read()).decode()
        if response.content_type == "text/event-stream":
            text = [line[6:] for line in text.splitlines() if line.startswith("data: {")][-1]
        answer = json.loads(text)
        return answer.get("result", {}).get("structuredContent", answer)


async def both(http: aiohttp.ClientSession, front: Gateway) -> set[int]:
    """The process ids of two replicas, once both take calls."""
    seen: set[int] = set()
    async with asyncio.timeout(120):
        while len(seen) < 2:
            seen.add((await ask(http, front, "whoami"))["pid"])
    return seen


async def test_a_program_is_an_endpoint_for_both_eras(gateway: GatewayFactory, http: aiohttp.ClientSession) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER))
    assert await both(http, front) <= children(front.pid)
    one, other = RawSession(http), RawSession(http)
    homes = []
    for session in (one, other):
        await session.open(front)
        seen = [(await session.post(front, call("whoami")))[1]["result"]["structuredContent"]["pid"] for _ in range(3)]
        assert len(set(seen)) == 1
        homes.append(seen[0])
    assert homes[0] != homes[1], "no session shares a process with another"
    assert await one.delete(front) == 200
    await until(lambda: not runs(homes[0]), "its process has ended with the session")
    assert runs(homes[1])
    assert "has begun" in front.log


async def test_sessions_of_a_server_without_state_share_its_processes(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    text = pool(sys.executable, SERVER, replicas=1, sections="[pools.sessions]\nstateless = true")
    front = await asyncio.to_thread(gateway, text)
    seen = set()
    for _ in range(3):
        session = RawSession(http)
        await session.open(front)
        assert await session.whoami(front) == "stdio"
        seen.add(frozenset(children(front.pid)))
    assert len(seen) == 1


async def test_a_killed_program_is_started_again_and_calls_go_elsewhere_meanwhile(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER))
    victim = (await both(http, front)).pop()
    os.kill(victim, signal.SIGKILL)
    for _ in range(10):
        assert (await ask(http, front, "whoami"))["pid"] != victim
    assert victim not in await both(http, front)


async def test_an_unsafe_call_whose_program_dies_has_unknown_delivery(
    gateway: GatewayFactory, http: aiohttp.ClientSession, ledger: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, "--log", str(ledger)))
    writing = asyncio.ensure_future(ask(http, front, "write", key="k", seconds=30))
    await until(lambda: executions(ledger, "write"), "at work")
    os.kill(executions(ledger, "write")[0]["pid"], signal.SIGKILL)
    answer = await writing
    assert answer["error"]["data"]["delivered"] == "unknown"
    assert len(executions(ledger, "write")) == 1


async def test_large_messages_pass_both_ways(gateway: GatewayFactory, http: aiohttp.ClientSession) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, replicas=1))
    text = "é" * 500_000
    answer = await ask(http, front, "echo", value=text)
    assert json.loads(answer["result"]) == text


async def test_progress_comes_before_the_answer_and_under_the_clients_own_token(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, replicas=1))
    for era in ("legacy", "modern"):
        if era == "legacy":
            session = RawSession(http)
            await session.open(front)
            message = call("progress", n=3)
            message["params"]["_meta"] = {"progressToken": "mine"}
            headers = {**HEADERS, "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25"}
            body = json.dumps(message).encode()
        else:
            headers, body = modern_call("progress", {"n": 3})
            changed = json.loads(body)
            changed["params"]["_meta"]["progressToken"] = "mine"
            body = json.dumps(changed).encode()
        async with http.post(front.url, data=body, headers=headers) as response:
            text = (await response.read()).decode()
        messages = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert [m.get("params", {}).get("progressToken") for m in messages] == ["mine"] * 3 + [None], era
        assert "result" in messages[-1]


async def test_nothing_is_left_behind(gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER))
    await both(http, front)
    session = RawSession(http)
    await session.open(front)
    await session.whoami(front)
    started = children(front.pid)
    assert len(started) >= 3
    sockets = {path for path in socket_files({front.pid, *started}) if path.is_absolute()}
    assert len(sockets) >= 2
    assert all(path.exists() for path in sockets)
    await asyncio.to_thread(front.terminate)
    assert not [pid for pid in started if runs(pid)]
    assert not any(path.parent.exists() for path in sockets)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["no-such-command-anywhere"], "no-such-command-anywhere"),
        ([sys.executable, "-c", "raise SystemExit('I cannot')"], "I cannot"),
    ],
    ids=["not there", "ends at once"],
)
async def test_a_program_that_does_not_run_is_reported_and_the_gateway_stays(
    gateway: GatewayFactory, http: aiohttp.ClientSession, command: list[str], said: str
) -> None:
    front = await asyncio.to_thread(gateway, pool(*command), wait=False)
    await until(lambda: said in front.log, "a log line that says why")
    await until(lambda: front.get("/health")[0] == 503 if front.reachable("/livez") else False, "seen to be unhealthy")
    answer = await ask(http, front, "whoami")
    assert answer["error"]["data"]["delivered"] == "no"
    assert front.alive


async def test_the_npm_server_of_the_older_era_works_and_keeps_sessions_apart(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    script = CACHE / "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    need_path(script, "npm's @modelcontextprotocol/server-everything", "`make servers` installs it")
    node = need_program("node", "`make install` installs it")
    front = await asyncio.to_thread(gateway, pool(node, str(script), "stdio", replicas=1))
    counts = [len(children(front.pid))]
    for number in range(2):
        session = RawSession(http)
        await session.open(front)
        status, answer = await session.post(front, call("echo", message=f"m{number}"))
        assert status == 200
        assert f"m{number}" in json.dumps(answer)
        counts.append(len(children(front.pid)))
    assert counts[0] < counts[1] < counts[2], "a process for each session"
