"""Messages about an address that cannot be reached or listened on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import aiohttp
import pytest

from mcppool.cli.main import main
from mcppool.cli.reach import why_not_served, why_unreachable
from tests.certificates import make_server_certificate
from tests.servers.plain import plain_server
from tests.servers.scripted import ScriptedServer


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


async def test_a_port_without_tls_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    async with plain_server() as port:
        assert await asyncio.to_thread(main, ["status", f"https://127.0.0.1:{port}"]) == 2
    assert "it does not speak TLS: use http:// in place of https://" in capsys.readouterr().err


async def test_a_certificate_that_is_not_trusted_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = make_server_certificate(tmp_path)
    async with plain_server(own) as port:
        assert await asyncio.to_thread(main, ["status", f"https://127.0.0.1:{port}"]) == 2
    said = capsys.readouterr().err
    assert "its certificate is refused: unable to get local issuer certificate" in said


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


@pytest.mark.parametrize("command", ["status", "config"])
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--token-file", "/none"], "--token-file: /none cannot be read: No such file or directory"),
        (["--token-file", "/"], "--token-file: / cannot be read: Is a directory"),
        (["--token-file", "/dev/null"], "--token-file: /dev/null cannot be read: Not a regular file"),
        (["--ca-file", "/none"], "--ca-file: /none: No such file or directory"),
        (["--certificate-file", "/none"], "--certificate-file: /none: No such file or directory"),
    ],
)
def test_a_file_for_the_admin_port_that_cannot_be_used_is_named_with_its_flag(
    command: str, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *flags, "http://127.0.0.1:1"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [([], "requires the token of metrics.token_file: give --token-file"), (["{}"], "refuses the token in {}")],
)
def test_a_token_that_is_missing_or_wrong_is_named(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    given = ["--token-file", str(token)] if flags else []
    with ScriptedServer() as server:
        server.script = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
        assert main(["status", *given, server.url]) == 2
    assert told.format(token) in capsys.readouterr().err
