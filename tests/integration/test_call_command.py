"""`mcppool call` makes one call at any server: of either era, with sessions or without, a gateway or not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.conftest import GatewayFactory
from tests.servers import ServerProcess, pool_toml, sdk1_replica, sdk2_replica
from tests.servers.faults import FaultServer, status
from tests.servers.process import serving


def call(url: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Its exit status, its output, and its standard error."""
    command = [sys.executable, "-m", "mcppool", "call", url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.mark.parametrize("replica", [sdk2_replica, sdk1_replica], ids=["modern", "legacy"])
def test_the_result_is_printed_and_the_exit_status_tells_whether_the_tool_failed(
    replica: Callable[[str], ServerProcess],
) -> None:
    with serving(replica("a")) as (server,):
        code, printed, said = call(server.url, "add", '{"a": 20, "b": 22}')
        assert (code, said) == (0, "")
        assert printed["content"][0]["text"] == "42"
        code, printed, said = call(server.url, "fail", '{"message": "as asked"}')
        assert (code, said) == (1, "")
        assert printed["isError"] is True
        code, printed, said = call(server.url, "slow", '{"seconds": 60}', "--timeout", "5")
        assert (code, printed["data"]) == (1, {"reason": "timeout"})
        assert "--timeout" in said
        code, printed, said = call(server.url, "-o", "json", "ad", "a=1")
        assert (code, printed["code"]) == (1, -32602)
        assert printed["message"] in said
        assert "did you mean add?" in said


async def test_an_error_of_a_gateway_is_printed_with_its_reason(gateway: GatewayFactory) -> None:
    async with FaultServer(status("500 Oh"), everything=False) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        code, printed, said = await asyncio.to_thread(call, front.url, "write")
    assert code == 1
    assert printed["code"] == -32603
    assert (printed["data"]["reason"], printed["data"]["delivered"]) == ("upstream_error", "yes")
    assert front.url in said


@pytest.mark.parametrize("arguments", [["http://u:p@127.0.0.1:1/mcp", "x"], ["http://127.0.0.1:1/mcp", "x", "[]"]])
def test_a_wrong_command_line_prints_nothing_on_standard_output(arguments: Sequence[str]) -> None:
    code, printed, said = call(*arguments)
    assert (code, printed) == (2, {})
    assert said.startswith("mcppool call: ")
