"""Clients of the matrix on the Python SDKs: `client.py KIND`, a job on each line of standard input.

KIND is `mcp1`, `mcp2`, `mcp2-legacy`, `fastmcp` or `langchain`; each runs in an environment with that package. A job is
a JSON object. Its `targets` is a list; each is a URL, or a list: the command of a program on standard streams. Its
`actions`, which are carried out against each target in turn, is a list of `[what, …]`:

`["connect"]`, `["tools"]`, `["prompts"]`, `["resources"]`, `["call", tool, arguments]`, `["read", uri]`,
`["prompt", name, arguments]`, `["close"]`

For each action one JSON line goes out: `{"result": …}` (with `"progress"` for calls that had some), or
`{"error": message, "code": …}`, and in it `"target"`, the index of the target; `{"end": exit status}` ends a job.

Each job runs in a fork of this process, which has loaded the SDK: that takes longer than the job.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
import warnings
from contextlib import AsyncExitStack
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
kind = sys.argv[1]

#: What the clients import, and is loaded once.
MODULES = {
    "mcp1": ("mcp", "mcp.client.stdio", "mcp.client.streamable_http"),
    "mcp2": ("mcp", "mcp.client"),
    "mcp2-legacy": ("mcp", "mcp.client"),
    "fastmcp": ("fastmcp", "fastmcp.client.transports"),
    "langchain": ("langchain_mcp_adapters.client",),
}

#: The target of the moment, one of the two: a URL, or a command; and its place among the targets.
target = ""
command: list[str] | None = None
index = 0

#: Seconds for one action.
LIMIT = 60


def plain(value: Any) -> Any:
    """The value as it was on the wire, as far as the SDK keeps it."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", by_alias=True, exclude_none=True)


class Session:
    """ClientSession of the SDK 1.x."""

    async def connect(self, stack: AsyncExitStack) -> Any:
        """Open a session."""
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamablehttp_client

        if command is None:
            read, write, _ = await stack.enter_async_context(streamablehttp_client(target))
        else:
            read, write = await stack.enter_async_context(
                stdio_client(StdioServerParameters(command=command[0], args=command[1:]))
            )
        self.it = await stack.enter_async_context(ClientSession(read, write))
        hello = await self.it.initialize()
        return {
            "protocol": hello.protocolVersion,
            "server": plain(hello.serverInfo),
            "capabilities": plain(hello.capabilities),
            "instructions": hello.instructions,
        }

    async def tools(self) -> Any:
        """The tools."""
        return (await self.it.list_tools()).tools

    async def prompts(self) -> Any:
        """The prompts."""
        return (await self.it.list_prompts()).prompts

    async def resources(self) -> Any:
        """The resources."""
        return (await self.it.list_resources()).resources

    async def call(self, progress: Any, tool: str, arguments: dict[str, Any]) -> Any:
        """A call."""
        return await self.it.call_tool(tool, arguments, progress_callback=progress)

    async def read(self, uri: str) -> Any:
        """A resource."""
        return await self.it.read_resource(uri)

    async def prompt(self, name: str, arguments: dict[str, str]) -> Any:
        """A prompt."""
        return await self.it.get_prompt(name, arguments)


class Client2(Session):
    """Client of the SDK 2.x."""

    async def connect(self, stack: AsyncExitStack) -> Any:
        """Connect in the era that the server speaks, or by handshake."""
        from mcp import StdioServerParameters
        from mcp.client import Client

        to = target if command is None else StdioServerParameters(command=command[0], args=command[1:])
        mode = "legacy" if kind.endswith("legacy") else "auto"
        self.it = await stack.enter_async_context(Client(to, mode=mode, cache=None))
        return {
            "protocol": self.it.protocol_version,
            "server": plain(self.it.server_info),
            "capabilities": plain(self.it.server_capabilities),
            "instructions": self.it.instructions,
        }


class Fastmcp(Session):
    """Client of FastMCP 2 to 4."""

    async def connect(self, stack: AsyncExitStack) -> Any:
        """Connect."""
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport

        to = target if command is None else StdioTransport(command=command[0], args=command[1:], keep_alive=False)
        self.it = await stack.enter_async_context(Client(to))
        hello = plain(getattr(self.it, "initialize_result", None)) or {}
        return {**hello, "protocol": getattr(self.it, "protocol_version", None) or hello.get("protocolVersion")}

    async def tools(self) -> Any:
        """The tools."""
        return await self.it.list_tools()

    async def prompts(self) -> Any:
        """The prompts."""
        return await self.it.list_prompts()

    async def resources(self) -> Any:
        """The resources."""
        return await self.it.list_resources()

    async def call(self, progress: Any, tool: str, arguments: dict[str, Any]) -> Any:
        """A call."""
        return await self.it.call_tool_mcp(tool, arguments, progress_handler=progress)


def without_ids(result: Any) -> Any:
    """Without the random ids that LangChain gives to blocks of content."""
    if isinstance(result, list):
        return [{key: value for key, value in block.items() if key != "id"} for block in result]
    return result


class Langchain(Session):
    """LangChain's adapters: a session for each call."""

    async def connect(self, stack: AsyncExitStack) -> Any:
        """Make the adapter; it connects when it is used."""
        from langchain_mcp_adapters.client import MultiServerMCPClient

        how = (
            {"transport": "streamable_http", "url": target}
            if command is None
            else {"transport": "stdio", "command": command[0], "args": command[1:]}
        )
        self.it = MultiServerMCPClient({"it": how})
        self.found = {tool.name: tool for tool in await self.it.get_tools()}
        async with self.it.session("it", auto_initialize=False) as session:
            hello = await session.initialize()
            await session.list_tools()  # the SDK fails at a notification that comes while it closes: let them come now
            return {"protocol": hello.protocolVersion}

    async def tools(self) -> Any:
        """The tools."""
        return [
            {"name": tool.name, "description": tool.description, "schema": tool.args_schema}
            for tool in await self.it.get_tools()
        ]

    async def prompts(self) -> Any:
        """It lists none."""
        return []

    async def resources(self) -> Any:
        """The input."""
        return [
            {"uri": str(blob.metadata.get("uri")), "text": blob.as_string()}
            for blob in await self.it.get_resources("it")
        ]

    async def call(self, progress: Any, tool: str, arguments: dict[str, Any]) -> Any:
        """A call by LangChain's tool."""
        result = await self.found[tool].ainvoke(arguments)
        return without_ids(result)

    async def read(self, uri: str) -> Any:
        """A resource."""
        return [blob.as_string() for blob in await self.it.get_resources("it", uris=uri)]

    async def prompt(self, name: str, arguments: dict[str, str]) -> Any:
        """A prompt."""
        return plain(await self.it.get_prompt("it", name, arguments=arguments))


KINDS = {"mcp1": Session, "mcp2": Client2, "mcp2-legacy": Client2, "fastmcp": Fastmcp, "langchain": Langchain}


def causes(error: BaseException) -> BaseException:
    """The first error in groups of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def say(**line: Any) -> None:
    """The result of an action."""
    print(json.dumps({"target": index, **line}, default=str), flush=True)


async def session(steps: list[list[Any]]) -> None:
    """One connection: its actions, the first being `connect`, with a line for each."""
    async with AsyncExitStack() as stack:
        client = KINDS[kind]()
        for what, *rest in steps:
            line: dict[str, Any] = {}
            seen: list[Any] = []

            async def progress(done: float, total: float | None, message: str | None, seen: list[Any] = seen) -> None:
                seen.append([done, total, message])

            try:
                async with asyncio.timeout(LIMIT):
                    first = [stack] if what == "connect" else [progress] if what == "call" else []
                    line["result"] = plain(await getattr(client, what)(*first, *rest))
            except Exception as raised:
                error = causes(raised)
                told = getattr(error, "error", error)
                line = {"error": getattr(told, "message", None) or str(error), "code": getattr(told, "code", None)}
            if seen:
                line["progress"] = seen
            say(**line)
            if what == "connect" and "error" in line:
                for _ in steps[1:]:
                    say(error="not connected", code=None)
                return


async def visit(actions: list[list[Any]]) -> None:
    """All actions at one target, a connection from each `connect` to the `close` after it."""
    steps: list[list[Any]] = []
    for action in actions:
        if action[0] != "close":
            steps.append(action)
            continue
        try:
            await session(steps)
            say(result="closed")
        except BaseException as raised:
            say(error=str(causes(raised)), code=None)
        steps = []


def work(job: dict[str, Any]) -> None:
    """All actions at all targets."""
    global target, command, index
    os.environ.update(job["environment"])
    for place, one in enumerate(job["targets"]):
        index, target, command = (place, one, None) if isinstance(one, str) else (place, "", one)
        asyncio.run(visit(job["actions"]))


if __name__ == "__main__":
    for name in MODULES[kind]:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # programs that it starts do not read the jobs
            work(json.loads(line))
            sys.exit()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"end": status}), flush=True)
