"""The table of the commands' JSON output has the members that the commands print."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mcppool.cli.main import main
from tests.requirements import ROOT
from tests.servers import Gateway, sdk2_replica, serving

ROW = re.compile(r"^\| (`[^|]+`) \| (.*) \|$", re.MULTILINE)
PAGE = (ROOT / "docs/reference/command.md").read_text().partition("## JSON output")[2].partition("<!-- generated")[0]
ROWS = {
    name: set(re.findall(r"`(\w+)`", text))
    for names, text in ROW.findall(PAGE)
    for name in re.findall("`(.*?)`", names)
}
"""The members in the row of each command."""
SERVERS = {"_meta", "resultType"}
"""Members of every result of a modern server."""


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command, and returns its exit status and the object that it prints."""

    async def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, [*arguments, "-o", "json"])
        return status, json.loads(capsys.readouterr().out)

    return run


async def test_each_command_prints_the_members_of_its_row(printed: Any, tmp_path: Path) -> None:
    keys = str(tmp_path / "keys.toml")
    assert await asyncio.to_thread(main, ["keys", "add", keys, "ci"]) == 0
    bad = tmp_path / "bad.toml"
    bad.write_text("nonsense = 1\n")
    with serving(sdk2_replica("a")) as (server,):
        pool = f'[[pools]]\nname = "p"\nendpoints = ["{server.url}"]\n'
        with serving(Gateway(tmp_path, pool)) as (gateway,):
            file = str(gateway.config)
            commands = {
                ("check", file): 0, ("check", str(bad)): 1, ("check --as", file, "--as", "ci"): 0,
                ("config", gateway.admin): 0, ("status", gateway.admin): 0, ("advise", gateway.admin): 0,
                ("ping", gateway.url): 0, ("tools", gateway.url): 0, ("prompts", gateway.url): 0,
                ("resources", gateway.url): 0, ("call", gateway.url, "add", "a=1", "b=2"): 0, ("keys list", keys): 0,
            }  # fmt: skip
            for (command, *rest), status in commands.items():
                words = command.split()[: 2 if command.startswith("keys") else 1]
                code, document = await printed(*words, *rest)
                assert code == status, command
                members = set(document) - (SERVERS if command == "call" else set())
                assert members <= ROWS[command], command
    assert {command for command, *_ in commands} == set(ROWS)


async def test_a_failed_call_prints_the_members_of_an_error(printed: Any) -> None:
    code, document = await printed("call", "http://127.0.0.1:1/mcp", "x")
    assert (code, set(document)) == (1, {"code", "message", "data"})
    (reasons,) = re.findall(r"prints `code`, `message` and `data`; `data\.(\w+)`", PAGE)
    assert reasons in document["data"]
