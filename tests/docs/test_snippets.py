"""Every fenced block of the documentation works, or says in a list below why it cannot be tried here."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import mcp_types
import pytest
import yaml
from mcp import Client

import mcppool
from mcppool.cli.main import main
from mcppool.spec import loads_toml
from mcppool.spec.resource import read_resource
from tests.docs.snippets import BLOCKS, Block, of_language
from tests.requirements import CACHE, need_node, need_path, need_program
from tests.servers import Gateway, Replica, ServerProcess, free_port, sdk2_replica, serving
from tests.servers.postgres_server import PASSWORD, PostgresServer

TRIED = {"console", "ini", "json", "nginx", "promql", "python", "sh", "sql", "toml", "yaml"}
SHOWN = {"text"}
"""Output of commands, signatures, pictures."""

POOL = '\n[[pools]]\nname = "x"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'
SPEC: dict[str, Any] = {
    "source": {"type": "Service", "service": {"name": "search", "port": "http"}},
    "auth": {"inbound": {"type": "None"}},
}

ELSEWHERE = {
    "make": "`.ci/run` runs the targets; tests/integration/test_example.py runs the program of `make run`",
    "MCPPOOL_COMPILED=1": "it compiles for minutes; make test-compiled builds and installs that wheel",
    "kubectl": "tests/kube/test_tutorial.py runs docs/tutorials/kubernetes.md on a control plane, e2e too",
    "mcppool-operator": "it needs a cluster; tests/kube runs it beside a real API server",
    "helm": "as above; the README's commands are copies",
    "docker": "no Docker daemon here; test_deployments.py runs the services of the compose file, make e2e the images",
    "uvx": "tests/packaging/test_wheel.py installs the package; the same commands without uvx run here",
    "quick start": "test_quick_start.py runs the page from top to bottom",
    "systemctl": "no service manager here; test_deployments.py checks the unit",
    "advise": "a gateway that has just started has no advice; tests/integration/test_advise.py runs the command",
    ".venv/bin/python": "a receiver that runs until Ctrl-C; tests/integration/test_tracing.py runs it",
    "keys": "its folder, /etc/mcppool, is the machine's; this module runs the command in a folder of its own",
}
"""Commands that this module does not run, and the reason."""


def ids(block: Block) -> str:
    return block.where


def test_every_block_says_its_language_and_is_tried() -> None:
    assert [f"{block.where} {block.language!r}" for block in BLOCKS if block.language not in TRIED | SHOWN] == []


# ---- configuration ----


@pytest.mark.parametrize("block", of_language("toml"), ids=ids)
def test_a_configuration_is_accepted(block: Block) -> None:
    whole = block.text if "[[pools]]" in block.text else block.text + POOL
    assert loads_toml(whole, source=block.where).pools


@pytest.mark.parametrize("block", of_language("json"), ids=ids)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


def merged(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `extra`, also in inner tables; a `type` starts its table anew."""
    both = {} if "type" in extra else dict(base)
    for key, value in extra.items():
        both[key] = merged(base.get(key) or {}, value) if isinstance(value, dict) else value
    return both


def pool_of(document: Any) -> dict[str, Any] | None:
    """The McpServerPool that a block shows: a whole one, or its `spec`, or a part of its source."""
    if document.get("kind") == "McpServerPool":
        return dict(document)
    if set(document) == {"managed"}:
        document = {"spec": {"source": {"type": "Managed", **document}}}
    if set(document) == {"spec"}:
        return {"metadata": {"name": "search", "namespace": "default"}, "spec": merged(SPEC, document["spec"])}
    return None


@pytest.mark.parametrize("block", of_language("yaml"), ids=ids)
def test_a_resource_is_accepted(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        pool = pool_of(document)
        if pool is not None:
            pool["metadata"] = {"namespace": "default", "generation": 1, **pool["metadata"]}
            read_resource(pool)
        else:
            assert {"apiVersion", "kind"} <= set(document) or "services" in document or block.name == "values"


@pytest.mark.parametrize("block", of_language("nginx"), ids=ids)
def test_nginx_accepts_its_configuration(block: Block, tmp_path: Path) -> None:
    nginx = need_program("nginx", "scripts/install-debian-packages installs it")
    text = re.sub(r"^.*(\bssl\b|ssl_\w+).*;$", "", block.text, flags=re.MULTILINE)
    text = re.sub(r"\blisten [^;]+", "listen 127.0.0.1:8443", text)
    if "server {" not in text:
        text = f"server {{ listen 127.0.0.1:8443;\n{text}}}"
    if "upstream tickets-servers" not in text and "tickets-servers" in text:
        text = f"upstream tickets-servers {{ server 127.0.0.1:8001; }}\n{text}"
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{text}}}\n")
    done = subprocess.run([nginx, "-t", "-c", conf, "-p", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of_language("promql"), ids=ids)
def test_prometheus_accepts_an_expression(block: Block, tmp_path: Path) -> None:
    promtool = need_program("promtool", "scripts/install-debian-packages installs it")
    found = [part.strip() for part in re.split(r"\n\s*\n", block.text)]
    rules = [{"record": f"r:{index}", "expr": expression} for index, expression in enumerate(found)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", of_language("sql"), ids=ids)
async def test_postgresql_accepts_statements(block: Block) -> None:
    with serving(PostgresServer()) as (server,):
        connection = await asyncpg.connect(server.address, password=PASSWORD)
        try:
            for statement in block.text.split(";\n"):
                if statement.strip():  # the test's server has a user mcppool already
                    await connection.execute(statement.replace("mcppool", "gateway"))
        finally:
            await connection.close()


# ---- programs and commands, beside real servers ----


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Replica, Replica]]:
    """Two servers and a gateway in front of them: those at 127.0.0.1:8001, :8002 and :8080 of the pages."""
    with serving(sdk2_replica("one"), sdk2_replica("two")) as (one, two):
        pool = f'[[pools]]\nname = "tools"\nendpoints = ["{one.url}", "{two.url}"]\n'
        with serving(Gateway(tmp_path_factory.mktemp("gateway"), pool)) as (gateway,):
            yield gateway, one, two


def placed(text: str, there: tuple[Gateway, Replica, Replica]) -> str:
    """A text with the addresses of the servers in `there`."""
    gateway, one, two = there
    ports = {8001: one.port, 8002: two.port, 8080: gateway.port, 9090: gateway.admin_port}
    for shown, real in ports.items():
        text = re.sub(rf"127\.0\.0\.1:{shown}\b", f"127.0.0.1:{real}", text)
    return text


@pytest.mark.parametrize("block", [block for block in of_language("python") if not block.name], ids=ids)
async def test_a_program_runs(block: Block, there: tuple[Gateway, Replica, Replica]) -> None:
    _, one, two = there
    text = placed(block.text, there)
    text = text.replace('"search", {"q": "x"}', '"add", {"a": 1, "b": 2}')  # a tool that these servers have
    async with contextlib.AsyncExitStack() as stack:
        names: dict[str, Any] = {
            "mcppool": mcppool,
            "mcp_types": mcp_types,
            "Client": Client,
            "urls": [one.url, two.url],
        }
        names["answer"] = lambda *_: mcp_types.ElicitResult(action="decline")
        names["mcp"] = __import__("mcp")
        if re.search(r"\bpool\.", text) and "as pool" not in text:
            pool = mcppool.Pool([one.url, two.url], capabilities={"elicitation": {"form": {}}})
            names["pool"] = await stack.enter_async_context(pool)
        code = compile(text, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, names)
        else:
            exec(code, names)


def why_not(block: Block) -> str | None:
    """The key in `ELSEWHERE` of a block that is not run."""
    if block.page.name == "quick-start.md":
        return "quick start"
    for command in block.commands:
        words = command.split()
        if words[0] in ELSEWHERE:
            return words[0]
        if "systemctl" in block.text:
            return "systemctl"
        if words[0] == "mcppool" and words[1] in ELSEWHERE:
            return words[1]
    return None


SHELL = of_language("sh", "console")


def test_every_reason_for_not_running_a_command_is_needed() -> None:
    assert {why_not(block) for block in SHELL} - {None} == set(ELSEWHERE)


@pytest.mark.parametrize("block", SHELL, ids=ids)
def test_a_command_of_ours_has_arguments_that_it_knows(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    for command in block.commands:
        command = re.sub(r"^/\S*/mcppool ", "mcppool ", command)
        if re.match(r"(uvx .*)?mcppool ", command):
            words = shlex.split(command.partition(" # ")[0].partition(" > ")[0].removesuffix(" &"))
            given = words[words.index("mcppool") + 1 :]
            own = given[: given.index("--")] if "--" in given else given
            with pytest.raises(SystemExit) as ended:
                main([*own, "--help"])
            assert ended.value.code == 0
            flags = capsys.readouterr().out
            for word in own:
                if word.startswith("-"):
                    assert word.partition("=")[0] in flags, f"{command}: {word}"


class Surroundings:
    """A folder with the files of a page, and programs that its commands expect."""

    def __init__(self, folder: Path, block: Block) -> None:
        self.folder = folder
        for other in BLOCKS:
            if other.page == block.page and "." in other.name:
                (folder / other.name).write_text(other.text.replace("/etc/mcppool", str(folder)))
        if not (keys := folder / "keys.toml").exists():  # API keys, for a page whose configuration names their file
            assert main(["keys", "add", str(keys), "somebody"]) == 0
        programs = folder / "bin"
        programs.mkdir()
        if "npx" in block.text:
            server = "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
            script = need_path(CACHE / "npm" / server, "the npm everything server", "`make servers` installs it")
            (programs / "npx").write_text(f"#!/bin/sh\nexec {need_node()} {script}\n")
            (programs / "npx").chmod(0o755)
        self.environment = {
            **os.environ, "NO_COLOR": "1", "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip

    def start(self, text: str) -> subprocess.Popen[str]:
        """The shell that runs the text, in a group of its own."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def serves(surroundings: Surroundings, command: str) -> None:
    """Run a gateway until it serves, and end it."""
    process = surroundings.start(f"exec {command}")
    seen = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(line)
            if line.startswith("Serving MCP at "):
                break
        else:
            pytest.fail("".join(seen))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        process.kill()
        process.communicate()


@pytest.mark.parametrize("block", [block for block in SHELL if why_not(block) is None], ids=ids)
def test_a_command_runs(block: Block, there: tuple[Gateway, Replica, Replica], tmp_path: Path) -> None:
    admin = there[0].admin
    surroundings = Surroundings(tmp_path, block)
    for command in block.commands:
        own = command.startswith("mcppool serve")
        # A gateway of the page takes any free port; what asks one asks that of the fixture.
        command = (
            command.replace("mcppool serve", "mcppool serve --listen 127.0.0.1:0 --admin-port 0") if own else command
        )
        command = placed(command, there).replace("http://10.0.0.7:9090 --watch", admin).replace('"message"', '"value"')
        command = re.sub(r"mcppool status(?! http)", f"mcppool status {admin}", command)
        if own:
            serves(surroundings, command)
            continue
        process = surroundings.start(command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, f"{command}\n{output}"
        if block.language == "console":
            assert output.strip() in block.text


async def test_the_fastmcp_proxy_that_a_page_replaces_is_one(
    there: tuple[Gateway, Replica, Replica], tmp_path: Path
) -> None:
    python = need_path(CACHE / "matrix/fastmcp4/bin/python", "FastMCP", "`make servers` installs it")
    (block,) = (block for block in BLOCKS if block.name == "proxy.py")
    port = free_port()
    program = tmp_path / block.name
    program.write_text(placed(block.text, there).replace(f"port={8080}", f"port={port}"))
    with serving(ServerProcess("proxy", [str(python), str(program)], port)) as (proxy,):
        async with Client(proxy.url) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
