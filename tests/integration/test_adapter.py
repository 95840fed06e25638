"""The adapter of stdio servers: a copy of the program that serves one command from a container of any image."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from mcppool.cli.portable import command, libraries_of
from mcppool.spec import ListenerSpec, MetricsSpec, PoolSpec, Snapshot, render_snapshot
from mcppool.spec.resource import read_resource
from mcppool.spec.sections.local import LocalSpec
from mcppool_operator.children import adapter as in_pods
from tests.servers.clients import text_of
from tests.servers.process import HOST, ServerProcess, free_port, serving
from tests.waiting import until

# A fast starter: a slow one has to be asked in the older era.
PROGRAM = ["-S", str(Path(__file__).parent.parent / "servers" / "odd_program.py"), "--modern"]
MCPPOOL = [sys.executable, "-m", "mcppool.cli.main"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this program, made over the remains of an earlier try."""
    into = tmp_path_factory.mktemp("adapter")
    (into / "app").mkdir()
    (into / "app" / "half.py").write_text("")
    subprocess.run([*MCPPOOL, "adapter", "--into", into], check=True)
    assert not (into / "app" / "half.py").exists()
    return into


def test_an_extension_that_cannot_be_loaded_here_is_left_as_it_is(copy: Path, tmp_path: Path) -> None:
    broken = tmp_path / "_speedups.so"
    broken.write_bytes(b"no library")
    assert libraries_of(copy / "loader", [broken], tmp_path) == set()


class Adapter(ServerProcess):
    """A copy that serves a program, in an environment that would break a Python that used it."""

    BROKEN = {"PYTHONHOME": "/nowhere", "LD_LIBRARY_PATH": "/nowhere"}  # noqa: RUF012 (never changed)

    def __init__(self, copy: Path, *program: str, local: LocalSpec | None = None) -> None:
        port, self.admin_port = free_port(), free_port()
        policy = Snapshot(
            pools=(PoolSpec(name="program", local=local or LocalSpec()),),
            listener=ListenerSpec(listen=f"{HOST}:{port}"),
            metrics=MetricsSpec(port=self.admin_port),
        )
        arguments = ["adapter", "--policy", render_snapshot(policy), "--", *program]
        super().__init__("adapter", [*command(str(copy)), *arguments], port, env={**self.BROKEN, "GREETING": "hello"})


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The file into which the program writes the environment that it gets."""
    return tmp_path / "environment"


@pytest.fixture
def adapter(copy: Path, environment: Path) -> Iterator[Adapter]:
    script = f"env > {environment}; unset PYTHONHOME LD_LIBRARY_PATH; exec {shlex.join([sys.executable, *PROGRAM])}"
    with serving(Adapter(copy, "sh", "-c", script)) as (running,):
        yield running


async def running_processes(adapter: Adapter) -> int:
    """Number of processes of the program."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{HOST}:{adapter.admin_port}/status.json") as response,
    ):
        (pool,) = (await response.json())["pools"]
    return sum(endpoint["processes"]["running"] for endpoint in pool["endpoints"])


async def test_a_session_that_nobody_uses_ends_although_its_gateway_stays_connected(copy: Path) -> None:
    environment = ["env", "-u", "PYTHONHOME", "-u", "LD_LIBRARY_PATH"]
    local = LocalSpec(idle_timeout=2.0, behind_gateways=True)
    with serving(Adapter(copy, *environment, sys.executable, *PROGRAM, local=local)) as (adapter,):
        async with Client(adapter.url, mode="legacy") as client:
            assert client.protocol_version == "2025-11-25"

        async def count(wanted: int) -> None:
            async with asyncio.timeout(90):
                while await running_processes(adapter) != wanted:
                    await asyncio.sleep(0.1)

        headers = {"Accept": "application/json, text/event-stream"}
        parameters = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        async with aiohttp.ClientSession() as gateway:
            async with gateway.post(adapter.url, json=hello, headers=headers) as response:
                assert response.status == 200
                session = response.headers["mcp-session-id"]
            headers |= {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
            for pause in (3, 6, 12, 24):  # each ping begins the idle time anew
                await asyncio.sleep(pause)
                async with gateway.post(adapter.url, json=ping, headers=headers) as response:
                    if response.status == 404:
                        break
            assert response.status == 404
            await count(2)  # the first process and the spare one


def mapped(pid: int) -> set[Path]:
    """Return the files whose code a process can run."""
    fields = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return {Path(line[5]) for line in fields if "x" in line[1] and line[5:] and "/" in line[5]}


def variables(environment: Path) -> str:
    return environment.read_text() if environment.exists() else ""


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_program_is_served_in_both_eras_and_nothing_outside_the_copy_is_loaded(
    adapter: Adapter, copy: Path
) -> None:
    for mode, protocol in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
        async with Client(adapter.url, mode=mode) as client:
            assert client.protocol_version == protocol
            assert int(text_of(await client.call_tool("pid", {}))) not in (0, adapter.pid)
    (keeper,) = children(adapter.pid)
    for pid in (adapter.pid, keeper):
        files = mapped(pid)
        assert files
        assert [path for path in files if not path.is_relative_to(copy)] == []


async def test_the_program_gets_the_environment_of_its_container_as_it_is(adapter: Adapter, environment: Path) -> None:
    await until(lambda: "GREETING" in variables(environment), "the program has started")
    wanted = {"GREETING=hello", "PYTHONHOME=/nowhere", "LD_LIBRARY_PATH=/nowhere"}
    assert wanted <= set(variables(environment).splitlines())


def test_without_a_command_there_is_nothing_to_serve() -> None:
    policy = render_snapshot(Snapshot(pools=(PoolSpec(name="program"),)))
    done = subprocess.run([*MCPPOOL, "adapter", "--policy", policy], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--policy needs a command" in done.stderr


def test_the_operator_starts_a_copy_as_it_is_made(copy: Path) -> None:
    assert [*command(in_pods.DIRECTORY), "adapter"] == list(in_pods.COMMAND)


def test_the_adapter_reads_the_policy_of_the_operator(copy: Path) -> None:
    managed = {"image": "example.com/server:1", "transport": "Stdio", "command": ["no-such-program"], "args": ["-x"]}
    pool = read_resource(
        {
            "metadata": {"name": "search", "namespace": "default"},
            "spec": {
                "source": {"type": "Managed", "managed": managed},
                "auth": {"inbound": {"type": "None"}},
                "sessions": {"stateless": True, "idleTimeout": "90s"},
            },
        }
    )
    assert pool.source.managed is not None
    flag, _, dashes, *program = in_pods.arguments(pool, pool.source.managed)
    assert (flag, dashes, program) == ("--policy", "--", ["no-such-program", "-x"])
    (told,) = in_pods.adapter_policy(pool, pool.source.managed).pools
    assert (told.sessions.stateless, told.local.idle_timeout) == (True, 90.0)
    assert told.local.max_processes_per_client == told.local.max_processes == 64
