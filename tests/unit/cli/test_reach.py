"""Messages about an address that cannot be reached or listened on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import aiohttp
import pytest

from mcppool.cli.main import main
from mcppool.cli.reach import why_not_served, why_unreachable


@pytest.mark.parametrize("arguments", [["status", "{}"], ["config", "{}"]])
def test_a_closed_port_is_reported(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: no other process gets the port meanwhile
        port = held.getsockname()[1]
        assert main([argument.format(f"http://127.0.0.1:{port}") for argument in arguments]) != 0
    assert f"connection refused: nothing listens at 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_call_to_a_closed_port_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert main(["call", f"http://127.0.0.1:{port}/mcp", "echo"]) == 1
    told = capsys.readouterr()
    assert f"127.0.0.1:{port}: connection refused" in told.err
    assert json.loads(told.out)["data"] == {"reason": "no_catalog", "delivered": "no", "attempts": 0}


def test_other_errors_keep_their_words() -> None:
    assert why_unreachable(TimeoutError()) == "no answer in time"
    assert why_unreachable(ValueError("HTTP 404")) == "HTTP 404"
    assert why_unreachable(aiohttp.ServerDisconnectedError()) == "the connection was closed without an answer"


async def test_a_port_that_is_taken_is_named_with_the_flags() -> None:
    async def serve(port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", port)

    first = await serve(0)
    port = first.sockets[0].getsockname()[1]
    with contextlib.closing(first), pytest.raises(OSError) as taken:  # noqa: PT011 (its kind is what is asked about)
        await serve(port)
    told = why_not_served(taken.value)
    assert told.startswith(f"127.0.0.1:{port} is in use")
    assert "--listen" in told
