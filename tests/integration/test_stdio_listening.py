"""`subscriptions/listen` at a local server with several processes per replica."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import GatewayFactory
from tests.integration.stdio_helpers import Caller, value_of
from tests.integration.test_listening import Stream
from tests.integration.test_stdio import pool
from tests.servers import Gateway, modern_request

PROGRAM = """
import asyncio, os
from pathlib import Path
from mcp.server.mcpserver import MCPServer, Context
server = MCPServer("s")
@server.resource("note://{who}")
def note(who: str) -> str:
    return who
@server.tool()
async def change(who: str, folder: str, together: int, ctx: Context) -> int:
    Path(folder, who).touch()
    while len(os.listdir(folder)) < together:
        await asyncio.sleep(0.02)
    await ctx.notify_resource_updated(f"note://{who}")
    return os.getpid()
server.run("stdio")
"""


@asynccontextmanager
async def listening(http: aiohttp.ClientSession, front: Gateway, *who: str) -> AsyncIterator[Stream]:
    """A client that listens for changes of these notes, acknowledged."""
    wanted = {"notifications": {"resourceSubscriptions": [f"note://{name}" for name in who]}}
    headers, body = modern_request("subscriptions/listen", wanted, request_id="mine")
    async with http.post(front.url, data=body, headers=headers) as response:
        stream = Stream(response)
        assert (await stream.next())["method"] == "notifications/subscriptions/acknowledged"
        yield stream


async def at_once(caller: Caller, folder: Path) -> set[int]:
    """Change both notes in calls that run at once; the processes that did. The calls ask for log messages, so each has
    one for itself."""
    await asyncio.to_thread(folder.mkdir)
    both = (caller.call("change", who=who, folder=str(folder), together=2) for who in ("ann", "bob"))
    return {value_of(messages) for messages in await asyncio.gather(*both)}


async def changes(stream: Stream, number: int) -> list[str]:
    """The next notes that are said to have changed, in the order of their names."""
    seen: list[dict[str, Any]] = [await stream.next() for _ in range(number)]
    assert {event["method"] for event in seen} == {"notifications/resources/updated"}
    assert all(event["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "mine"} for event in seen)
    return sorted(event["params"]["uri"] for event in seen)


async def test_a_subscriber_hears_of_changes_in_every_process(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, "-c", PROGRAM, replicas=1))
    caller = Caller(http, front, modern=True)
    async with listening(http, front, "ann", "bob") as early:
        assert len(await at_once(caller, tmp_path / "first")) == 2, "two processes"
        assert await changes(early, 2) == ["note://ann", "note://bob"]
        async with listening(http, front, "ann", "bob") as late:
            assert len(await at_once(caller, tmp_path / "second")) == 2, "two processes"
            for stream in (early, late):
                assert await changes(stream, 2) == ["note://ann", "note://bob"]
        assert len(await at_once(caller, tmp_path / "third")) == 2, "two processes"
        assert await changes(early, 2) == ["note://ann", "note://bob"]


async def test_a_new_subscriber_hears_of_running_processes(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, "-c", PROGRAM, replicas=1))
    caller = Caller(http, front, modern=True)
    assert len(await at_once(caller, tmp_path / "before")) == 2, "two processes"
    async with listening(http, front, "ann", "bob") as stream:
        assert len(await at_once(caller, tmp_path / "after")) == 2, "two processes"
        assert await changes(stream, 2) == ["note://ann", "note://bob"]
