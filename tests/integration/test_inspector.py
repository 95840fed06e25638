"""The command line of the MCP Inspector signs in as the gateway's metadata tells it, and calls a tool, in both eras."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import aiohttp

from tests.conftest import GatewayFactory
from tests.integration.test_sign_in import jwt_toml
from tests.requirements import CACHE, need_node, need_path
from tests.servers import aserving, free_port, pool_toml, sdk2_replica
from tests.servers.kinds import REMEDY
from tests.servers.oauth import OidcProvider
from tests.servers.process import HOST

PROMPT = b"Please navigate to: "


async def add(url: str, era: str, home: Path) -> str:
    """The text of the result of `add`, called by the Inspector; the user follows its link, and is signed in."""
    script = CACHE / "inspector/node_modules/@modelcontextprotocol/inspector/clients/cli/build/index.js"
    need_path(script, "the MCP Inspector", REMEDY)
    command = [  # the script does nothing if its path has a symbolic link
        str(need_node()), str(script.resolve()), "--server-url", url, "--transport", "http", "--protocol-era", era,
        "--callback-url", f"http://{HOST}:{free_port()}/oauth/callback",
        "--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=2", "--tool-arg", "b=3",
    ]  # fmt: skip
    # It opens a browser if it may; there is none, so it writes the link.
    env = {**os.environ, "HOME": str(home), "MCP_AUTO_OPEN_ENABLED": "true", "MCP_INSPECTOR_SECRET_STORE": "memory"}
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=env)
    assert process.stdout is not None
    assert process.stderr is not None
    words = b""
    answer = asyncio.create_task(process.stdout.read())
    try:
        async with asyncio.timeout(120):
            async for line in process.stderr:
                words += line
                if line.startswith(PROMPT):
                    await follow(line.removeprefix(PROMPT).decode().strip())
            assert await process.wait() == 0, words.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return str(json.loads(await answer)["content"][0]["text"])


async def follow(link: str) -> None:
    """Open a page as a browser does, with its redirects, the last of which is to the Inspector."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
        browser.get(link, max_redirects=15) as page,
    ):
        assert page.status == 200, await page.text()


async def test_the_inspector_signs_in_and_calls_a_tool_in_both_eras(gateway: GatewayFactory, tmp_path: Path) -> None:
    issuer = OidcProvider()
    async with aserving(issuer, sdk2_replica("a")) as (_, server):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=jwt_toml(issuer.issuer)))
        for era in ("modern", "legacy"):
            (tmp_path / era).mkdir()
            assert await add(front.url, era, tmp_path / era) == "5"
