"""Clients of the matrix on the Python SDKs: `client.py KIND TARGETS ACTIONS`.

KIND is `mcp1`, `mcp2`, `mcp2-legacy`, `fastmcp` or `langchain`; each runs in an environment with that package.
TARGETS is a JSON list; each is a URL, or a list: the command of a program on standard streams. ACTIONS, which are
carried out against each target in turn, is a JSON list of `[what, …]`:

`["connect"]`, `["tools"]`, `["prompts"]`, `["resources"]`, `["call", tool, arguments]`, `["read", uri]`,
`["prompt", name, arguments]`, `["close"]`

For each action one JSON line goes out: `{"result": …}` (with `"progress"` for calls that had some), or
`{"error": message, "code": …}`, and in it `"target"`, the index of the target.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from contextlib import AsyncExitStack
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
kind, targets, actions = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])

#: The target of the moment, one of the two: a URL, or a command.
target = ""
command: list[str] | None = None

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
            return {"protocol": (await session.initialize()).protocolVersion}

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
        """What it reads."""
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
    """What came of an action."""
    print(json.dumps({"target": targets.index(command or target), **line}, default=str), flush=True)


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
                return


async def visit() -> None:
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


if __name__ == "__main__":
    for one in targets:
        target, command = (one, None) if isinstance(one, str) else ("", one)
        asyncio.run(visit())
